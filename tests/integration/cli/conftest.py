"""The command line in this process, on a file and on PostgreSQL with Redis in front of it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sessile.cli.main import app
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer
from tests.conftest import postgres_or_skip, redis_or_skip

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one value on standard output."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Place:
    """A database with commands on it. `environment` is the whole of what they see of ours."""

    name: str
    database_url: str
    redis: RedisServer | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def settings(self, **given: Any) -> Settings:
        redis_url = None if self.redis is None else self.redis.url()
        return Settings(database_url=self.database_url, redis_url=redis_url, **given)

    def manager(self) -> SessionManager:
        return SessionManager(self.settings())

    def run(self, *arguments: str, typed: str | None = None, **environment: str) -> Ran:
        """The command, whatever its status."""
        done = CliRunner(env={"COLUMNS": "160", **self.environment, **environment}).invoke(
            app, list(arguments), input=typed
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def ok(self, *arguments: str, **environment: str) -> Ran:
        """The command, which must succeed."""
        ran = self.run(*arguments, **environment)
        assert ran.status == 0, (arguments, ran.out, ran.err)
        return ran

    def values(self, *arguments: str, **environment: str) -> Any:
        """What it prints with --json."""
        return self.ok(*arguments, "--json", **environment).json


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("SESSILE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _place(name: str, database_url: str, redis: RedisServer | None = None) -> Place:
    environment: Mapping[str, str] = {"SESSILE_DATABASE_URL": database_url}
    if redis is not None:
        environment = {**environment, "SESSILE_REDIS_URL": redis.url(), "SESSILE_FENCE_PERIOD_S": "0.2"}
    return Place(name, database_url, redis, dict(environment))


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, RedisServer]]:
    postgres, redis = postgres_or_skip(), redis_or_skip()
    with postgres, redis:
        yield postgres, redis
        postgres.kill()  # nothing of it is kept, so it need not write down what it has in memory


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    return _place("sqlite", f"sqlite:///{tmp_path / 'a.db'}")


@pytest.fixture
def postgres(servers: tuple[PostgresServer, RedisServer]) -> Place:
    url = servers[0].create_database(f"cli_{next(_NUMBERS)}")
    upgrade(url)
    return _place("postgres", url, servers[1])


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found
