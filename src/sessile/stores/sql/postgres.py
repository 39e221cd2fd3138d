"""The PostgreSQL store in both lanes: asyncpg on an event loop, psycopg without one. READ COMMITTED with rows locked in one order.

The truth is shared by every process on the database. News goes by NOTIFY, sent inside the transaction that it tells of.
"""

from __future__ import annotations

import asyncio
import secrets
import select
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import QueuePool

from sessile.model.errors import ConfigurationError, StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.model.health import PoolStatus
from sessile.ports import CommitGuard, Listener, Messenger
from sessile.stores.sql.breaker import Breaker
from sessile.stores.sql.migrate import check_schema, upgrade_shared
from sessile.stores.sql.postgres_connections import ROLLBACK, Connections, run
from sessile.stores.sql.postgres_errors import Repeat, errors, lockable, repeatable
from sessile.stores.sql.postgres_news import Listening, hints, notifying, payloads
from sessile.stores.sql.store import Written
from sessile.stores.sql.transaction import SqlTransaction
from sessile.stores.sql.waiters import Waiters

T = TypeVar("T")
SCHEMA: Final = "sessile"
DURABLE: Final = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings that must not be off: an acknowledged change would be lost with the machine."""
_CONNECT_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT_MS: Final = 10_000
_LOCK_TIMEOUT_MS: Final = 5_000
_SILENCE_MS: Final = 4_000
"""How long a transaction of ours may say nothing. Less than the lock timeout: what a process holds that was stopped or cut off in the middle is free before
those who wait for it give up."""
_UPGRADE_LOCK_TIMEOUT_MS: Final = 2_000
"""Less than `_LOCK_TIMEOUT_MS`: who waits behind an upgrade that waits gets its turn before it gives up."""
_UPGRADE_WAIT_S: Final = 60.0
_UPGRADE_PAUSE_S: Final = 0.5
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sessile'"
)
_OF_APPLICATION: Final = text("SET LOCAL idle_in_transaction_session_timeout = 60000")
_TRIES: Final = 4
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_BEGIN_VIEW: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ"
_COMMIT: Final = "COMMIT"


def _within(guard: CommitGuard, written: Written[Any], _connection: Connection) -> None:
    guard.within(written.tx, written.plan)


class _PostgresStore:
    """What both lanes share."""

    writes_at_once = True

    def __init__(self, url: str, *, pool_size: int, pool_timeout_s: float) -> None:
        self.url = checked_url(url)
        self._pool_size = pool_size
        self._pool_timeout_s = pool_timeout_s
        self._origin = secrets.token_hex(8)
        self._listeners: list[Listener] = []
        self._guard: CommitGuard | None = None
        self._messenger: Messenger | None = None

    def guard(self, guard: CommitGuard) -> None:
        self._guard = guard

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def _options(self) -> dict[str, Any]:
        return {
            "pool_size": self._pool_size,
            "max_overflow": 0,
            "pool_timeout": self._pool_timeout_s,
            "pool_pre_ping": False,
            "hide_parameters": True,  # an error that gets into a log must not carry session data or token hashes
        }

    def _tell(self, events: Sequence[Event]) -> None:
        if events:
            for listener in list(self._listeners):
                listener(events)

    def _write_on(self, connection: Connection, work: Callable[..., T], args: Sequence[Any]) -> Written[T]:
        tx = SqlTransaction(connection, self._origin, datetime.now(UTC))
        result = work(tx, *args)
        plan = None if self._guard is None else self._guard.plan(tx, tx.sessions.changes)
        return Written(result, tx, plan)

    def _ending(self, written: Written[Any]) -> str:
        """The news and the commit, in one statement for the server."""
        return "; ".join((*self._notifying(written), _COMMIT))

    def _notifying(self, written: Written[Any]) -> list[str]:
        """With the commit, unless a messenger takes them after it (`_settle`). Ends go with the commit in any case: whoever is cut off from the messenger
        closes the sockets all the same."""
        events: Sequence[Event] = written.tx.events
        if self._messenger is not None and self._messenger.is_up:
            events = [one for one in events if one.kind is EventKind.SESSION_ENDED]
        return [notifying(payload) for payload in payloads(self._origin, events)]

    async def _settle(self, written: Written[T]) -> T:
        self._tell(written.tx.events)
        if self._messenger is not None and self._messenger.is_up:
            for payload in payloads(self._origin, written.tx.events):
                self._messenger.publish(payload.encode())
        if self._guard is not None and written.plan is not None:
            await self._guard.settle(written.plan)
        return written.result

    async def _doubt(self, written: Written[Any] | None) -> None:
        if self._guard is not None and written is not None and written.plan is not None:
            await self._guard.doubt(written.plan)

    def _read_on(self, connection: Connection, work: Callable[..., T], args: Sequence[Any]) -> T:
        return work(SqlTransaction(connection, self._origin, datetime.now(UTC)), *args)

    def hear(self, payload: str | bytes) -> None:
        """News of another process."""
        self._tell(hints(payload, self._origin))

    def missed(self) -> None:
        """For some time nothing may have been heard."""
        self._tell([Event(EventKind.NEWS_MISSED, "")])

    def carry_by(self, messenger: Messenger) -> None:
        """From now on `messenger` carries the news while it is up; what it hears goes to `hear`."""
        self._messenger = messenger


def checked_url(url: str) -> URL:
    """Raises ConfigurationError for a URL that is not of PostgreSQL."""
    made = make_url(url)
    if made.get_backend_name() != "postgresql" or not made.database:
        raise ConfigurationError("SESSILE_DATABASE_URL: postgresql://user:password@host/database")
    return made


_SESSION_SETTINGS: Final = {
    "search_path": SCHEMA,
    "application_name": "sessile",
    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
    "lock_timeout": str(_LOCK_TIMEOUT_MS),
    "standard_conforming_strings": "on",
    "idle_in_transaction_session_timeout": str(_SILENCE_MS),
}


def prepare(connection: Connection) -> None:
    """Checks that a commit is durable, and that the schema is the one that this version needs. Raises ConfigurationError."""
    settings = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in DURABLE}
    weak = [f"{name} is {value}" for name, value in settings.items() if value == "off"]
    if weak:
        raise ConfigurationError(f"PostgreSQL: {', '.join(weak)}; an acknowledgement would not be durable.")
    check_schema(connection, SCHEMA)


def _connect_patiently(
    breaker: Breaker, _dialect: Any, _record: Any, args: Sequence[Any], options: dict[str, Any]
) -> Any:
    from sessile.stores.sql.patience import PatientConnection

    with breaker.trying():
        return PatientConnection.connect(*args, **options)


def _check_connected(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that the server closed while nobody used it (it said so: there is something to read) costs nobody a refusal: the pool makes another
    one."""
    watch = select.poll()
    watch.register(connection.fileno(), select.POLLIN)
    if watch.poll(0):
        raise DisconnectionError


class BlockingPostgresStore(_PostgresStore):
    """Never suspends: for Flask, Django, the command line, and tests of the blocking lane."""

    def __init__(self, url: str, *, pool_size: int = 8, pool_timeout_s: float = 5.0) -> None:
        super().__init__(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        options = " ".join(f"-c {name}={value}" for name, value in _SESSION_SETTINGS.items())
        self._engine: Engine = create_engine(
            self.url.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": _CONNECT_TIMEOUT_S, "options": options},
            **self._options(),
        )
        self._waiters = Waiters()
        event.listen(self._engine, "do_connect", partial(_connect_patiently, Breaker()))
        event.listen(self._engine, "checkout", _check_connected)

    async def open(self) -> None:
        try:
            with errors(), self._engine.connect() as connection:
                prepare(connection)
        except BaseException:
            self._engine.dispose()
            raise

    async def close(self) -> None:
        self._engine.dispose()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        for tries_left in range(_TRIES - 1, -1, -1):
            written: Written[T] | None = None
            try:
                with (
                    errors(),
                    repeatable(tries_left),
                    self._waiters.connect(self._engine) as connection,
                    connection.begin(),
                ):
                    written = self._write_on(connection, work, args)
                    if self._guard is not None and written.plan is not None:
                        await self._guard.mark([written.plan])
                        self._guard.within(written.tx, written.plan)
                    for statement in self._notifying(written):
                        connection.exec_driver_sql(statement.replace("%", "%%"))
            except Repeat:
                continue
            except StoreUnavailable:
                await self._doubt(written)
                raise
            return await self._settle(written)
        raise AssertionError("the last try returns or raises")

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        with errors(), self._waiters.connect(self._engine) as connection:
            viewing = connection.execution_options(isolation_level="REPEATABLE READ")
            transaction = viewing.begin()
            try:
                return self._read_on(viewing, work, args)
            finally:
                transaction.rollback()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        with errors(), self._waiters.connect(self._engine) as connection, connection.begin():
            connection.execute(_OF_APPLICATION)
            return work(connection)

    def pool(self) -> PoolStatus | None:
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)
        return PoolStatus(pool.checkedin() + pool.checkedout(), pool.checkedout(), pool.size(), self._waiters.number)

    async def poll(self) -> None:
        """Nobody listens in this lane: a request reads what it needs."""

    async def tidy(self) -> None:
        """Notifications are not kept."""


class AsyncPostgresStore(_PostgresStore):
    """SQLAlchemy is told that there are no transactions, and they are begun and ended by statements: so the statements of a batch can go to asyncpg directly,
    among those that go through SQLAlchemy."""

    def __init__(self, url: str, *, pool_size: int = 8, pool_timeout_s: float = 5.0) -> None:
        super().__init__(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        self._connections: Connections | None = None
        self._at_work: set[asyncio.Task[Any]] = set()
        own = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._listening = Listening(own, _CONNECT_TIMEOUT_S, self.hear, self.missed)

    async def open(self) -> None:
        engine = create_async_engine(
            self.url.set(drivername="postgresql+asyncpg"),
            connect_args={"timeout": _CONNECT_TIMEOUT_S, "server_settings": _SESSION_SETTINGS, "command_timeout": 15},
            isolation_level="AUTOCOMMIT",
            **self._options(),
        )
        connections = Connections(engine)
        try:
            with errors():
                async with engine.connect() as connection:
                    await connection.run_sync(prepare)
                await self._listening.start()
        except BaseException:
            await engine.dispose()
            raise
        self._connections = connections

    async def close(self) -> None:
        connections, self._connections = self._connections, None
        await self._listening.stop()
        if self._at_work:  # else a loop that ends would break off a connection in the middle, and leave it open
            await asyncio.wait(self._at_work, timeout=_CONNECT_TIMEOUT_S)
        if connections is not None:
            await connections.close()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        # The transaction runs to its end even when the request that asked for it is cancelled; what it committed is told either way.
        return await self._to_its_end(self._write(work, args))

    async def _write(self, work: Callable[..., T], args: Sequence[Any]) -> T:
        for tries_left in range(_TRIES - 1, -1, -1):
            written: Written[T] | None = None
            try:
                with errors(), repeatable(tries_left):
                    async with self._opened().transaction(_BEGIN) as connection:
                        written = await connection.run_sync(self._write_on, work, args)
                        if self._guard is not None and written.plan is not None:
                            await self._guard.mark([written.plan])
                            await connection.run_sync(partial(_within, self._guard, written))
                        await self._commit(connection, written)
            except Repeat:
                continue
            except StoreUnavailable:
                await self._doubt(written)
                raise
            return await self._settle(written)
        raise AssertionError("the last try returns or raises")

    async def _commit(self, connection: AsyncConnection, written: Written[Any]) -> None:
        if await run(connection, self._ending(written)) != _COMMIT:
            raise StoreUnavailable("The transaction could not be committed.")  # an error had spoiled it

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        # Not cancelled either: a connection that is in the middle of an answer is no good for the next one.
        return await self._to_its_end(self._read(work, args))

    async def _read(self, work: Callable[..., T], args: Sequence[Any]) -> T:
        with errors():
            async with self._opened().transaction(_BEGIN_VIEW) as connection:
                result = await connection.run_sync(self._read_on, work, args)
                await run(connection, ROLLBACK)
                return result

    async def transact(self, work: Callable[[Connection], T]) -> T:
        async def committed() -> T:
            with errors():
                async with self._opened().ordinary() as connection, connection.begin():
                    await connection.execute(_OF_APPLICATION)
                    return await connection.run_sync(work)

        return await self._to_its_end(committed())

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Also when whoever asked for it has gone; `close` waits for it."""
        task = asyncio.ensure_future(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return await asyncio.shield(task)

    def pool(self) -> PoolStatus | None:
        return self._opened().status()

    async def poll(self) -> None:
        """Notifications come by themselves."""

    async def tidy(self) -> None:
        """Notifications are not kept."""

    def _opened(self) -> Connections:
        if self._connections is None:
            raise StoreUnavailable("The store is not open.")
        return self._connections


def upgrade(url: str, *, wait_s: float = _UPGRADE_WAIT_S, force: bool = False) -> str | None:
    """Brings the schema to the newest version; the revision it was at. For `sessile db upgrade`, also while programs work on it.

    A lock that is not had within two seconds is let go of, so that nobody waits behind us for longer, and asked for again for `wait_s` seconds in all. What programs
    that are connected could not go on with is refused unless `force`. Raises StoreUnavailable, ConfigurationError.
    """
    engine = create_engine(checked_url(url).set(drivername="postgresql+psycopg"), hide_parameters=True)
    event.listen(engine, "connect", _use_schema)
    deadline = time.monotonic() + wait_s
    try:
        while True:
            try:
                with errors(), lockable(), engine.begin() as connection:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_UPGRADE_LOCK_TIMEOUT_MS}")
                    others = 0 if force else connection.exec_driver_sql(_OTHERS).scalar_one()
                    return upgrade_shared(connection, SCHEMA, others=others).at
            except Repeat as error:
                if time.monotonic() > deadline:
                    raise StoreUnavailable(
                        f"The tables were in use for {wait_s:g} s, and nothing was changed. Try again, or see pg_stat_activity for who holds them."
                    ) from error
            time.sleep(_UPGRADE_PAUSE_S)
    finally:
        engine.dispose()


def _use_schema(connection: Any, _record: Any) -> None:
    connection.execute(f"SET search_path = {SCHEMA}")
    connection.commit()
