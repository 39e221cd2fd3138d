"""Where sessions of other libraries are: a Redis or a table. Read in small pieces, in order, without writing or locking anything.

Redis is walked with SCAN, which never holds it up for longer than one small piece takes; values are read with GETRANGE, so that one that is
too large is not even fetched. A table is walked by its key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import DateTime, LargeBinary, String, column, create_engine, select, table
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from sessile.model.errors import ConfigurationError, StoreUnavailable
from sessile.model.legacy import LegacyKind
from sessile.moving.payload import PAYLOAD_BYTES_MAX
from sessile.ports import Clock

if TYPE_CHECKING:
    from sessile.stores.redis.address import Node
    from sessile.stores.redis.blocking_connection import BlockingConnection

PIECE: Final = 200
"""Keys or rows read at a time."""
_CALL_TIMEOUT_S: Final = 10.0
PREFIXES: Final[Mapping[LegacyKind, str]] = {
    LegacyKind.FLASK_SESSION: "session:",
    LegacyKind.DJANGO: ":1:django.contrib.sessions.cache",
    LegacyKind.STARSESSIONS: "starsessions.",
    LegacyKind.LITESTAR: "LITESTAR:",
}
"""What stands before the id in each library's keys, unless it was set up otherwise."""
_VALUES_AT_ONCE: Final = 20
"""So many of PAYLOAD_BYTES_MAX are asked for together at most."""
_NO_KEY: Final = -2
_NO_STRING: Final = "WRONGTYPE"


@dataclass(frozen=True, slots=True)
class Found:
    """One session as it is kept there. `payload` is None where its value is of another type or too large: `problem` says which."""

    id: str = field(repr=False)
    payload: bytes | None = field(repr=False)
    expires_at: datetime | None
    """None: never."""
    problem: str = ""


class SessionSource(Protocol):
    def pieces(self) -> Iterator[Sequence[Found]]:
        """All sessions, some of them perhaps twice. Raises StoreUnavailable, ConfigurationError."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """Names of a table and its columns. `key` orders the rows and is unique."""

    name: str
    id: str
    data: str
    expiry: str
    is_text: bool = False


TABLES: Final[Mapping[LegacyKind, Table]] = {
    LegacyKind.FLASK_SESSION: Table("sessions", "session_id", "data", "expiry"),
    LegacyKind.DJANGO: Table("django_session", "session_key", "session_data", "expire_date", is_text=True),
}


def open_source(
    kind: LegacyKind, address: str, clock: Clock, *, prefix: str | None = None, table_name: str | None = None
) -> SessionSource:
    """The sessions of that library behind a URL, of a Redis or of a database. Raises ConfigurationError, which repeats no password."""
    if kind.is_signed:
        raise ConfigurationError(
            f"{kind}: these sessions are in their cookies, so there is nothing to import. Name the cookie in SESSILE_LEGACY_COOKIES."
        )
    scheme = address.partition("://")[0].lower()
    if scheme.partition("+")[0] in {"redis", "rediss", "valkey", "valkeys", "unix"}:
        return RedisSource(address, PREFIXES[kind] if prefix is None else prefix, clock)
    if kind not in TABLES:
        raise ConfigurationError(f"{kind}: its sessions are read from Redis; the address begins with redis://")
    return TableSource(address, TABLES[kind], table_name, _table_prefix(kind, prefix))


def _table_prefix(kind: LegacyKind, prefix: str | None) -> str:
    """Flask-Session puts its prefix before the id in a table, too."""
    return (PREFIXES[kind] if prefix is None else prefix) if kind is LegacyKind.FLASK_SESSION else ""


class RedisSource:
    """A replica will do; of a cluster each master is read after the other. Raises ConfigurationError for an address that cannot be."""

    def __init__(self, address: str, prefix: str, clock: Clock) -> None:
        try:
            from sessile.stores.redis.address import Topology, parse_address
        except ImportError as error:
            raise ConfigurationError(
                f'Redis needs more packages ({error.name}): pip install "sessile[redis]"'
            ) from error
        try:
            self._address = parse_address(address)
        except ConfigurationError as error:
            raise ConfigurationError(error.message.replace("SESSILE_REDIS_URL", "The address of the source")) from None
        if self._address.topology is Topology.SENTINEL:
            raise ConfigurationError(
                "The source is not looked for by way of Sentinel: name the server that has the sessions with redis:// or rediss://, its master or a replica"
            )
        self._is_cluster = self._address.topology is Topology.CLUSTER
        self._prefix = prefix.encode()
        self._clock = clock

    def pieces(self) -> Iterator[Sequence[Found]]:
        from sessile.model.fence import CacheUnavailable
        from sessile.stores.redis.wire import ProtocolFault, ServerFault

        try:
            for node in self._masters() if self._is_cluster else self._address.nodes[:1]:
                yield from self._pieces_of(node)
        except (OSError, UnicodeError, ProtocolFault, ServerFault, CacheUnavailable) as error:
            reason = f"it answered {error.code}" if isinstance(error, ServerFault) else type(error).__name__
            raise StoreUnavailable(f"The source at {self._address} cannot be read ({reason}).") from error

    def _connected(self, node: Node) -> BlockingConnection:
        from sessile.stores.redis.blocking_connection import open_socket

        connection = open_socket(node, self._address.tls_context(), _CALL_TIMEOUT_S, _CALL_TIMEOUT_S)
        try:
            _good(connection.exchange(self._greeting()))
        except BaseException:
            connection.close()
            raise
        return connection

    def _masters(self) -> list[Node]:
        """Of the first node that answers. What moves from one to another meanwhile may be seen twice, or not: then import again."""
        from sessile.stores.redis.slots import read_slots

        missed: OSError | None = None
        for node in self._address.nodes:
            try:
                with closing(self._connected(node)) as connection:
                    (reply,) = _good(connection.exchange([("CLUSTER", "SLOTS")]))
            except OSError as error:
                missed = error
                continue
            return list(dict.fromkeys(master for _, _, master in read_slots(reply, node)))
        raise missed or OSError("no node is named")

    def _pieces_of(self, node: Node) -> Iterator[Sequence[Found]]:
        pattern = (
            b"".join(b"\\" + bytes([byte]) if byte in b"*?[]^\\-" else bytes([byte]) for byte in self._prefix) + b"*"
        )
        with closing(self._connected(node)) as connection:
            cursor: bytes = b"0"
            while True:
                (scanned,) = _good(connection.exchange([("SCAN", cursor, "MATCH", pattern, "COUNT", PIECE)]))
                cursor, keys = scanned
                for begin in range(0, len(keys), _VALUES_AT_ONCE):
                    yield self._found(connection, keys[begin : begin + _VALUES_AT_ONCE])
                if cursor == b"0":
                    return

    def _greeting(self) -> list[tuple[str | bytes | int, ...]]:
        hello: tuple[str | bytes | int, ...] = ("HELLO", "3")
        if self._address.login.password:
            hello = (*hello, "AUTH", self._address.login.user, self._address.login.password)
        chosen: list[tuple[str | bytes | int, ...]] = []
        if self._address.database:
            chosen = [("SELECT", self._address.database)]
        return [(*hello, "SETNAME", "sessile-import"), *chosen]

    def _found(self, connection: Any, keys: Sequence[bytes]) -> list[Found]:
        from sessile.stores.redis.wire import ServerFault

        commands: list[tuple[str | bytes | int, ...]] = []
        for key in keys:
            commands += [("PTTL", key), ("GETRANGE", key, 0, PAYLOAD_BYTES_MAX)]
        before = self._clock.now()
        replies = connection.exchange(commands)
        for reply in replies:
            if isinstance(reply, ServerFault) and reply.code != _NO_STRING:
                raise reply  # it may not be read, or not now: that says nothing about the session
        found = []
        for key, left_ms, value in zip(keys, replies[::2], replies[1::2], strict=True):
            if left_ms == _NO_KEY:
                continue  # it ended meanwhile
            name = key[len(self._prefix) :].decode("utf-8", "replace")
            expires_at = before + timedelta(milliseconds=left_ms) if isinstance(left_ms, int) and left_ms >= 0 else None
            if not isinstance(value, bytes):
                found.append(Found(name, None, expires_at, "shape"))  # no string: something else of that name
            elif len(value) > PAYLOAD_BYTES_MAX:
                found.append(Found(name, None, expires_at, "too_large"))
            else:
                found.append(Found(name, value, expires_at))
        return found


def _good(replies: list[Any]) -> list[Any]:
    from sessile.stores.redis.wire import ServerFault

    for reply in replies:
        if isinstance(reply, ServerFault):
            raise reply
    return replies


class TableSource:
    """Each piece is a query of its own, so nothing is held in the database between them. Raises ConfigurationError for a URL that cannot be."""

    def __init__(self, address: str, shape: Table, name: str | None, prefix: str) -> None:
        self._shape = shape
        self._prefix = prefix
        schema, _, plain = (name or shape.name).rpartition(".")
        self._table = table(
            plain,
            column(shape.id, String()),
            column(shape.data, String() if shape.is_text else LargeBinary()),
            column(shape.expiry, DateTime()),
            schema=schema or None,
        )
        try:
            self._engine = _engine_of(address)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise ConfigurationError(
                f"The address of the source is a database URL whose driver is installed, as in sqlite:///old.db ({type(error).__name__})"
            ) from None

    def pieces(self) -> Iterator[Sequence[Found]]:
        id_, data, expiry = (self._table.c[name] for name in (self._shape.id, self._shape.data, self._shape.expiry))
        last: str | None = None
        try:
            while True:
                statement = select(id_, data, expiry).order_by(id_).limit(PIECE)
                if last is not None:
                    statement = statement.where(id_ > last)
                with self._engine.connect() as connection:
                    rows = list(connection.execute(statement))
                if not rows:
                    return
                last = str(rows[-1][0])
                yield [self._found(*row) for row in rows]
        except SQLAlchemyError as error:
            told = type(error.__cause__ or error).__name__
            raise StoreUnavailable(
                f"The table {self._table.fullname} of the source cannot be read ({told})."
            ) from error
        finally:
            self._engine.dispose()

    def _found(self, name: Any, data: Any, expiry: Any) -> Found:
        payload = data.encode() if isinstance(data, str) else bytes(data or b"")
        if not isinstance(expiry, datetime):
            # Both libraries take a row without a time for one that is over.
            expires_at = datetime.min.replace(tzinfo=UTC)
        else:
            expires_at = expiry.replace(tzinfo=UTC) if expiry.tzinfo is None else expiry.astimezone(UTC)
        text = str(name)
        if not text.startswith(self._prefix):
            return Found(text, None, expires_at, "shape")
        if len(payload) > PAYLOAD_BYTES_MAX:
            return Found(text.removeprefix(self._prefix), None, expires_at, "too_large")
        return Found(text.removeprefix(self._prefix), payload, expires_at)


def _engine_of(address: str) -> Engine:
    """Reads only, where the database can be told so."""
    url = make_url(address)
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url, isolation_level="AUTOCOMMIT", connect_args={"options": "-c default_transaction_read_only=on"}
        )
    if url.get_backend_name() == "sqlite" and url.database:
        from pathlib import Path

        # mode=ro: a name that is mistyped must not make an empty file.
        file = Path(url.database).resolve()
        return create_engine(f"sqlite:///file:{_quoted(str(file))}?mode=ro&uri=true")
    return create_engine(url)


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)
