"""What a library keeps, looked at and changed behind its back: in Redis, in SQLite, in PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, TypeAlias

from sessile.testing.servers import PostgresServer, RedisServer, Reply
from sessile.testing.servers.resp import text_of, texts_of

_OURS: Final = frozenset({"info", "config|resetstat", "config", "ping", "keys", "type", "auth", "select", "hello"})
"""Commands that a probe itself sends, and those that open a connection."""
_QUIET: Final = frozenset({"client", "client|setinfo", "client|setname", "client|id", "client|tracking"})
_HEX: Final = re.compile(r"\\x([0-9a-f]+)")

Count: TypeAlias = "int | None"
"""None where there is no such store."""


class RedisSide:
    """A Redis or Valkey, over a connection of its own that no proxy is in front of."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    @property
    def version(self) -> str:
        facts = self._server.info("server")
        valkey = facts.get("valkey_version")
        return f"Valkey {valkey}" if valkey else f"Redis {facts['redis_version']}"

    def keys(self) -> list[bytes]:
        found = self._server.run("KEYS", "*")
        assert isinstance(found, list)
        return sorted(key for key in found if isinstance(key, bytes))

    def changes(self) -> int:
        """Changes of data since it started, times to live included."""
        return int(self._server.info("persistence")["rdb_changes_since_last_save"])

    def commands(self) -> int:
        """Commands that the application sent so far."""
        total = 0
        for name, facts in self._server.info("commandstats").items():
            if name.removeprefix("cmdstat_") not in _OURS | _QUIET:
                total += int(facts.split(",")[0].partition("=")[2])
        return total

    def dump(self) -> str:
        """All keys and values, as text."""
        parts = []
        for key in self.keys():
            parts += [_readable(key), *map(_readable, self._values(key))]
        return "\n".join(parts)

    def overwrite(self, payload: bytes) -> int:
        """Puts `payload` in the place of every value, with the type and time to live that it had; how many."""
        count = 0
        for key in self.keys():
            kind = text_of(self._server.run("TYPE", key))
            if kind == "string":
                self._server.run("SET", key, payload, "KEEPTTL")
                count += 1
            elif kind == "hash":
                for name in texts_of(self._server.run("HKEYS", key)):
                    self._server.run("HSET", key, name, payload)
                    count += 1
        return count

    def empty(self) -> None:
        """Removes every key."""
        self._server.flush()

    def _values(self, key: bytes) -> list[bytes]:
        kind = text_of(self._server.run("TYPE", key))
        asked: dict[str, tuple[str | bytes, ...]] = {
            "string": ("GET", key),
            "hash": ("HGETALL", key),
            "set": ("SMEMBERS", key),
            "list": ("LRANGE", key, "0", "-1"),
            "zset": ("ZRANGE", key, "0", "-1"),
        }
        return _flat(self._server.run(*asked[kind])) if kind in asked else []


class SqlSide(ABC):
    """A database and the table in it that has a row for each session."""

    def __init__(self, table: str | None, column: str | None) -> None:
        self.table = table
        self.column = column

    @property
    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def rows(self) -> int:
        """Sessions."""

    @abstractmethod
    def changes(self) -> int:
        """A number that grows with every transaction that wrote something."""

    @abstractmethod
    def dump(self) -> str:
        """All rows of all tables, as text."""

    @abstractmethod
    def delete_rows(self) -> None:
        """Removes every session's row."""

    @abstractmethod
    def damage(self, payload: bytes) -> None:
        """Puts `payload` in the place of what every session holds."""


class SqliteSide(SqlSide):
    def __init__(self, file: Path, table: str | None, column: str | None) -> None:
        super().__init__(table, column)
        self._file = file
        # `data_version` tells a connection of the commits of others, so it has to be the same one each time.
        self._watching = sqlite3.connect(file, timeout=10, isolation_level=None)

    def close(self) -> None:
        self._watching.close()

    @property
    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def rows(self) -> int:
        return int(self._watching.execute(f'SELECT count(*) FROM "{self.table}"').fetchone()[0])

    def changes(self) -> int:
        return int(self._watching.execute("PRAGMA data_version").fetchone()[0])

    def dump(self) -> str:
        parts = []
        tables = self._watching.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            for row in self._watching.execute(f'SELECT * FROM "{name}"'):
                parts += [_readable(value) if isinstance(value, bytes) else str(value) for value in row]
        return "\n".join(parts)

    def delete_rows(self) -> None:
        self._watching.execute(f'DELETE FROM "{self.table}"')

    def damage(self, payload: bytes) -> None:
        self._watching.execute(f'UPDATE "{self.table}" SET "{self.column}" = ?', (payload,))


class PostgresSide(SqlSide):
    def __init__(self, server: PostgresServer, database: str, table: str | None, column: str | None) -> None:
        super().__init__(table, column)
        self._server = server
        self._database = database

    @property
    def version(self) -> str:
        return f"PostgreSQL {self._server.version}"

    def rows(self) -> int:
        return int(self._server.ask_sql(f'SELECT count(*) FROM "{self.table}"', self._database))

    def changes(self) -> int:
        # Only a transaction that writes is given a number. Those of the other databases of the server count, too: nothing else runs there.
        return int(self._server.ask_sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint", self._database))

    def dump(self) -> str:
        text = self._server.dump(self._database)
        return _HEX.sub(lambda found: f"{found[0]} {_readable(bytes.fromhex(found[1]))}", text)

    def delete_rows(self) -> None:
        self._server.ask_sql(f'DELETE FROM "{self.table}"', self._database)

    def damage(self, payload: bytes) -> None:
        kind = self._server.ask_sql(
            f"SELECT data_type FROM information_schema.columns WHERE table_name = '{self.table}' AND column_name = '{self.column}'",
            self._database,
        )
        value = f"'\\x{payload.hex()}'::bytea" if kind == "bytea" else f"convert_from('\\x{payload.hex()}', 'LATIN1')"
        self._server.ask_sql(f'UPDATE "{self.table}" SET "{self.column}" = {value}', self._database)


def _readable(value: bytes) -> str:
    """As text, and what is no text in hexadecimal digits, which is how a person would copy it."""
    return value.decode("utf-8") if value.isascii() else f"{value.hex()} {value.decode('utf-8', 'replace')}"


def _flat(reply: Reply) -> list[bytes]:
    if isinstance(reply, bytes):
        return [reply]
    return [part for one in reply for part in _flat(one)] if isinstance(reply, list) else []
