"""The PostgreSQL store in both lanes: asyncpg on an event loop, psycopg without one. READ COMMITTED with rows locked in one order.

The truth is shared by every process on the database. News goes by NOTIFY, sent inside the transaction that it tells of.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from sessile.model.errors import ConfigurationError, InvalidValue, SessileError, StoreUnavailable
from sessile.model.events import KNOWN_KINDS, Event, EventKind
from sessile.model.health import PoolStatus
from sessile.ports import CommitGuard, Listener
from sessile.stores.sql.migrate import check_schema, upgrade_shared
from sessile.stores.sql.store import Written
from sessile.stores.sql.transaction import SqlTransaction

T = TypeVar("T")
logger = logging.getLogger("sessile.postgres")

_Entry = tuple[str, str, int, str, str]
_Payload = tuple[str, list[_Entry]]
SCHEMA: Final = "sessile"
DURABLE: Final = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings that must not be off: an acknowledged change would be lost with the machine."""
CHANNEL: Final = "sessile"
_CONNECT_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT_MS: Final = 10_000
_LOCK_TIMEOUT_MS: Final = 5_000
_TRIES: Final = 4
_NOTIFY_BYTES_MAX: Final = 7_900
"""PostgreSQL takes less than 8000 bytes (NOTIFY, "payload")."""
_AGAIN: Final = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: nothing happened, the same work can be done once more."""
_NOT_TEXT: Final = "22021"
_TAKEN: Final = "23505"
_LISTEN_AGAIN_S: Final = 1.0


def _sqlstate(error: DBAPIError) -> str:
    fault: Any = error.orig
    return str(getattr(fault, "sqlstate", None) or getattr(fault, "pgcode", None) or "")


def _is_away(error: DBAPIError) -> bool:
    """The connection or the server failed, not the statement: SQLSTATE classes 08, 53, 57 and 58, a lock that was not had in time, a server
    that only reads."""
    state = _sqlstate(error)
    if state:
        return state[:2] in {"08", "53", "57", "58"} or state in {"55P03", "25006"}
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


@contextmanager
def _errors() -> Iterator[None]:
    """The only place where errors of the drivers become ours."""
    try:
        yield
    except SessileError:
        raise
    except (PoolTimeoutError, OSError, TimeoutError) as error:
        raise StoreUnavailable from error
    except DBAPIError as error:
        if _is_away(error) or _sqlstate(error) in _AGAIN:
            raise StoreUnavailable from error
        if isinstance(error, DataError) or _sqlstate(error) == _NOT_TEXT:
            raise InvalidValue("", "a text has the character U+0000, which PostgreSQL cannot keep") from error
        raise


def _within(guard: CommitGuard, written: Written[Any], _connection: Connection) -> None:
    guard.within(written.tx, written.plan)


class _Repeat(Exception):
    """The transaction was rolled back by the database for a reason that another try may not meet."""


@contextmanager
def _repeatable(tries_left: int) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # A unique key that no row group expected: two transactions made the same row at once, and the next try finds it.
        if tries_left and _sqlstate(error) in {*_AGAIN, _TAKEN}:
            raise _Repeat from error
        raise


class _PostgresStore:
    """What both lanes share."""

    def __init__(self, url: str, *, pool_size: int, pool_timeout_s: float) -> None:
        self.url = checked_url(url)
        self._pool_size = pool_size
        self._pool_timeout_s = pool_timeout_s
        self._origin = secrets.token_hex(8)
        self._listeners: list[Listener] = []
        self._guard: CommitGuard | None = None

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
        for payload in payloads(self._origin, tx.events):
            connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload})
        plan = None if self._guard is None else self._guard.plan(tx, tx.sessions.changes)
        return Written(result, tx, plan)

    async def _settle(self, written: Written[T]) -> T:
        self._tell(written.tx.events)
        if self._guard is not None and written.plan is not None:
            await self._guard.settle(written.plan)
        return written.result

    async def _doubt(self, written: Written[Any] | None) -> None:
        if self._guard is not None and written is not None and written.plan is not None:
            await self._guard.doubt(written.plan)

    def _read_on(self, connection: Connection, work: Callable[..., T], args: Sequence[Any]) -> T:
        return work(SqlTransaction(connection, self._origin, datetime.now(UTC)), *args)

    def _hint(self, payload: str) -> None:
        """News of another process. What cannot be read is no news: versions are the truth, and heads are compared again at every ping."""
        try:
            origin, events = msgspec.json.decode(payload, type=_Payload)
        except msgspec.MsgspecError:
            logger.warning("A notification on the channel %s is not one of ours", CHANNEL)
            return
        if origin != self._origin:
            self._tell(
                [
                    Event(EventKind(kind), key, version, detail, epoch)
                    for kind, key, version, detail, epoch in events
                    if kind in KNOWN_KINDS
                ]
            )


def checked_url(url: str) -> URL:
    """Raises ConfigurationError for a URL that is not of PostgreSQL."""
    made = make_url(url)
    if made.get_backend_name() != "postgresql" or not made.database:
        raise ConfigurationError("SESSILE_DATABASE_URL: postgresql://user:password@host/database")
    return made


def payloads(origin: str, events: Sequence[Event]) -> list[str]:
    """As few notifications as hold the events of a commit."""
    found: list[str] = []
    batch: list[_Entry] = []
    for one in events:
        entry = (str(one.kind), one.key, one.version, one.detail, one.epoch)
        if batch and len(_payload(origin, [*batch, entry])) > _NOTIFY_BYTES_MAX:
            found.append(_payload(origin, batch))
            batch = []
        batch.append(entry)
    return [*found, _payload(origin, batch)] if batch else found


def _payload(origin: str, entries: Sequence[_Entry]) -> str:
    return msgspec.json.encode((origin, entries)).decode()


_SESSION_SETTINGS: Final = {
    "search_path": SCHEMA,
    "application_name": "sessile",
    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
    "lock_timeout": str(_LOCK_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": "60000",
}


def prepare(connection: Connection) -> None:
    """Checks that a commit is durable, and that the schema is the one that this version needs. Raises ConfigurationError."""
    settings = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in DURABLE}
    weak = [f"{name} is {value}" for name, value in settings.items() if value == "off"]
    if weak:
        raise ConfigurationError(f"PostgreSQL: {', '.join(weak)}; an acknowledgement would not be durable.")
    check_schema(connection, SCHEMA)


def _connect_patiently(_dialect: Any, _record: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    from sessile.stores.sql.patience import PatientConnection

    return PatientConnection.connect(*args, **options)


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
        event.listen(self._engine, "do_connect", _connect_patiently)

    async def open(self) -> None:
        with _errors(), self._engine.connect() as connection:
            prepare(connection)

    async def close(self) -> None:
        self._engine.dispose()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        for tries_left in range(_TRIES - 1, -1, -1):
            written: Written[T] | None = None
            try:
                with _errors(), _repeatable(tries_left), self._engine.begin() as connection:
                    written = self._write_on(connection, work, args)
                    if self._guard is not None and written.plan is not None:
                        await self._guard.mark([written.plan])
                        self._guard.within(written.tx, written.plan)
            except _Repeat:
                continue
            except StoreUnavailable:
                await self._doubt(written)
                raise
            return await self._settle(written)
        raise AssertionError("the last try returns or raises")

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        with _errors(), self._engine.connect() as connection:
            viewing = connection.execution_options(isolation_level="REPEATABLE READ")
            transaction = viewing.begin()
            try:
                return self._read_on(viewing, work, args)
            finally:
                transaction.rollback()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        with _errors(), self._engine.begin() as connection:
            return work(connection)

    def pool(self) -> PoolStatus | None:
        return _pool_status(self._engine)

    async def poll(self) -> None:
        """Nobody listens in this lane: a request reads what it needs."""

    async def tidy(self) -> None:
        """Notifications are not kept."""


class AsyncPostgresStore(_PostgresStore):
    def __init__(self, url: str, *, pool_size: int = 8, pool_timeout_s: float = 5.0) -> None:
        super().__init__(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        self._engine: AsyncEngine | None = None
        self._listening: asyncio.Task[None] | None = None
        self._listener: Any = None

    async def open(self) -> None:
        self._engine = create_async_engine(
            self.url.set(drivername="postgresql+asyncpg"),
            connect_args={"timeout": _CONNECT_TIMEOUT_S, "server_settings": _SESSION_SETTINGS, "command_timeout": 15},
            **self._options(),
        )
        try:
            with _errors():
                async with self._engine.connect() as connection:
                    await connection.run_sync(prepare)
                listener = await self._connect_listener()
        except BaseException:
            await self._engine.dispose()
            self._engine = None
            raise
        self._listener = listener
        self._listening = asyncio.create_task(self._listen(), name="sessile-listen")

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
            self._listener.terminate()
        if engine is not None:
            await engine.dispose()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        # The transaction runs to its end even when the request that asked for it is cancelled; what it committed is told either way.
        return await asyncio.shield(asyncio.ensure_future(self._write(work, args)))

    async def _write(self, work: Callable[..., T], args: Sequence[Any]) -> T:
        for tries_left in range(_TRIES - 1, -1, -1):
            written: Written[T] | None = None
            try:
                with _errors(), _repeatable(tries_left):
                    async with self._opened().begin() as connection:
                        written = await connection.run_sync(self._write_on, work, args)
                        if self._guard is not None and written.plan is not None:
                            await self._guard.mark([written.plan])
                            await connection.run_sync(partial(_within, self._guard, written))
            except _Repeat:
                continue
            except StoreUnavailable:
                await self._doubt(written)
                raise
            return await self._settle(written)
        raise AssertionError("the last try returns or raises")

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        with _errors():
            async with self._opened().connect() as connection:
                viewing = await connection.execution_options(isolation_level="REPEATABLE READ")
                transaction = await viewing.begin()
                try:
                    return await viewing.run_sync(self._read_on, work, args)
                finally:
                    await transaction.rollback()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        async def run() -> T:
            with _errors():
                async with self._opened().begin() as connection:
                    return await connection.run_sync(work)

        return await asyncio.shield(asyncio.ensure_future(run()))

    def pool(self) -> PoolStatus | None:
        return _pool_status(self._opened().sync_engine)

    async def poll(self) -> None:
        """Notifications come by themselves."""

    async def tidy(self) -> None:
        """Notifications are not kept."""

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise StoreUnavailable("The store is not open.")
        return self._engine

    async def _connect_listener(self) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # it has no types

        url = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT_S)
        await connection.add_listener(CHANNEL, lambda _connection, _pid, _channel, payload: self._hint(payload))
        return connection

    async def _listen(self) -> None:
        """Keeps a connection that listens; another one when it is lost. What was told meanwhile is found by the next look at the heads."""
        while True:
            connection, lost = self._listener, asyncio.Event()
            connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
            try:
                while not lost.is_set() and not connection.is_closed():
                    # A half-open connection says nothing by itself, so it is asked now and then.
                    try:
                        await asyncio.wait_for(lost.wait(), 10)
                    except TimeoutError:
                        await asyncio.wait_for(connection.execute("SELECT 1"), _CONNECT_TIMEOUT_S)
            except Exception as error:  # noqa: BLE001 - asyncpg's errors have no common root; whatever it was, a new connection is the answer
                logger.info("The connection that listens for news is lost: %s", type(error).__name__)
            connection.terminate()
            self._listener = await self._listen_again()

    async def _listen_again(self) -> Any:
        while True:
            await asyncio.sleep(_LISTEN_AGAIN_S)
            try:
                with _errors():
                    return await self._connect_listener()
            except Exception as error:  # noqa: BLE001 - the same
                logger.debug("Listening for news does not work yet: %s", type(error).__name__)


def _pool_status(engine: Engine) -> PoolStatus:
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    return PoolStatus(pool.checkedin() + pool.checkedout(), pool.checkedout(), pool.size())


def upgrade(url: str) -> str | None:
    """Brings the schema to the newest version; the revision it was at. For `sessile db upgrade`. Raises StoreUnavailable, ConfigurationError."""
    engine = create_engine(checked_url(url).set(drivername="postgresql+psycopg"), hide_parameters=True)
    event.listen(engine, "connect", _use_schema)
    try:
        with _errors(), engine.begin() as connection:
            return upgrade_shared(connection, SCHEMA)
    finally:
        engine.dispose()


def _use_schema(connection: Any, _record: Any) -> None:
    connection.execute(f"SET search_path = {SCHEMA}")
    connection.commit()
