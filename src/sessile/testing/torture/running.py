"""Starts what an engine needs, and its application."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from sessile.testing.fault_proxy import FaultProxy
from sessile.testing.servers import PostgresServer, RedisServer
from sessile.testing.torture.application import Application
from sessile.testing.torture.engines import Engine
from sessile.testing.torture.stage import Stage
from sessile.testing.torture.storage import PostgresSide, RedisSide, SqliteSide, SqlSide


class Servers:
    """PostgreSQL for all engines of a run, started for the first that needs it. As a context manager it ends what it started."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._postgres: PostgresServer | None = None
        self._databases = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def postgres(self) -> PostgresServer:
        """Raises ServerMissing."""
        if self._postgres is None:
            self._postgres = self._stack.enter_context(PostgresServer())
        return self._postgres

    def database(self) -> str:
        """The name of a new one."""
        self._databases += 1
        name = f"torture_{self._databases}"
        self.postgres.create_database(name)
        return name


@contextmanager
def staged(
    engine: Engine, servers: Servers, python: Path | None = None, redis_binary: str | None = None
) -> Iterator[Stage]:
    """Starts what the engine needs, and its application; ends all of it. Raises ServerMissing, TimeoutError with the application's log."""
    with ExitStack() as stack:
        arguments: list[str] = []
        cache = cache_proxy = sql_proxy = None
        if engine.cache is not None:
            redis = stack.enter_context(RedisServer(binary=redis_binary or "redis-server"))
            cache, cache_proxy = RedisSide(redis), stack.enter_context(FaultProxy("127.0.0.1", redis.port))
            arguments += ["--redis", redis.url(port=cache_proxy.port)]
        name = ""
        if engine.database == "postgres":
            name = servers.database()
            sql_proxy = stack.enter_context(FaultProxy("127.0.0.1", servers.postgres.port))
            arguments += ["--database", servers.postgres.url(name, port=sql_proxy.port)]

        def made(options: Mapping[str, str]) -> Application:
            given = [part for option in options.items() for part in ("--option", "=".join(option))]
            return Application(python or Path(sys.executable), engine.program, [*given, *arguments])

        application = made(engine.options)
        stack.callback(application.close)
        file = application.folder / "sessions.db"
        if engine.database == "sqlite":
            arguments += ["--database", f"sqlite:///{file}"]
            application.add(*arguments[-2:])
        application.start()
        sql: SqlSide | None = None
        if engine.database == "postgres":
            sql = PostgresSide(servers.postgres, name, engine.session_table, engine.payload_column)
        elif engine.database == "sqlite" and engine.session_table is not None:
            sql = sqlite = SqliteSide(file, engine.session_table, engine.payload_column)
            stack.callback(sqlite.close)
        yield Stage(
            engine,
            application,
            cache,
            cache_proxy,
            sql,
            sql_proxy,
            lambda options: made({**engine.options, **options}),
        )
