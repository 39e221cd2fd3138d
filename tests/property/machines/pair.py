"""The same steps on memory and on SQLite, side by side: what each returns, raises and tells must be the same."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.engine import Connection

from sessile.engine.logins import SessionRules
from sessile.model.audit import AuditEvent
from sessile.model.errors import SessileError, SessionEnded, SessionExpired
from sessile.model.kind import NO_KINDS, Kinds
from sessile.ports import Store, Transaction
from sessile.runtime.lane import drive
from sessile.stores.memory import MemoryStore
from sessile.stores.sql import BlockingSqliteStore
from sessile.stores.sql.tables import metadata
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import RULES, Bench
from tests.property.history import plain

Call = Callable[[Bench], Coroutine[Any, Any, Any]]
_RAM: Final = Path("/dev/shm")


@dataclass(frozen=True)
class Told:
    """What came of a step: `error` when it raised one of ours, else `result`."""

    result: Any
    error: SessileError | None

    @property
    def reason(self) -> str:
        """`ok`, the clock that ran out, why it ended, or the error's code with its reason."""
        error = self.error
        if error is None:
            return "ok"
        if isinstance(error, SessionExpired):
            return error.clock
        if isinstance(error, SessionEnded):
            return f"ended:{error.reason}"
        reason = getattr(error, "reason", None)
        return error.code if reason is None else f"{error.code}:{reason}"


class Rows:
    """One SQLite file for all examples of a machine, emptied for each: to migrate a new one takes longer than an example."""

    def __init__(self) -> None:
        # Durability is the soak's affair; a file system in memory gives the same results sooner.
        folder = tempfile.mkdtemp(dir=_RAM if _RAM.is_dir() else None)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self.store = BlockingSqliteStore(f"sqlite:///{folder}/machine.db")
        drive(self.store.open())

    def emptied(self) -> BlockingSqliteStore:
        self.store.database.write(self._empty)
        self.store._listeners.clear()
        return self.store

    @staticmethod
    def _empty(connection: Connection) -> None:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))

    def close(self) -> None:
        drive(self.store.close())


class Side:
    """One store, with the engines of one or more processes on it; the first of them is `bench`."""

    def __init__(self, store: Store, rules: SessionRules, processes: Sequence[Kinds]) -> None:
        self.store = store
        self.clock = FakeClock()
        random = SeededRandom(7)
        self.benches = [Bench(store, self.clock, random, rules, kinds) for kinds in processes]
        self.bench = self.benches[0]


class Pair:
    """`steps` counts what was done on both."""

    def __init__(self, rows: Rows, rules: SessionRules = RULES, processes: Sequence[Kinds] = (NO_KINDS,)) -> None:
        self.memory = Side(MemoryStore(), rules, processes)
        self.sqlite = Side(rows.emptied(), rules, processes)
        self.sides = (self.memory, self.sqlite)
        self.steps = 0

    def step(self, call: Call, process: int = 0) -> Told:
        """What it came to, the same on both stores. Raises AssertionError when it was not."""
        self.steps += 1
        told = [self._perform(side, call, process) for side in self.sides]
        seen = [
            (plain(one.error or one.result), self._events(side)) for one, side in zip(told, self.sides, strict=True)
        ]
        assert seen[0] == seen[1], "the stores differ"
        return told[0]

    @staticmethod
    def _perform(side: Side, call: Call, process: int) -> Told:
        for bench in side.benches:
            bench.told.clear()
        try:
            return Told(drive(call(side.benches[process])), None)
        except SessileError as error:
            return Told(None, error)

    @staticmethod
    def _events(side: Side) -> Any:
        # Sessions with one deadline may be swept, and listed by a database, in any order.
        return sorted((plain(event) for event in side.bench.told), key=repr)

    def wait(self, seconds: float) -> None:
        for side in self.sides:
            side.clock.advance(seconds)

    @property
    def now(self) -> Any:
        return self.memory.clock.now()

    def read(self, work: Callable[..., Any], *args: Any) -> Any:
        """From memory; `agree` says that SQLite has the same."""
        return drive(self.memory.store.read(work, *args))

    def agree(self) -> None:
        """Raises AssertionError unless both hold the same rows, and every audit chain of both verifies."""
        left, right = (drive(side.store.read(_everything)) for side in self.sides)
        for name in left:
            assert left[name] == right[name], f"the stores differ in their {name}"
        for side in self.sides:
            report = drive(side.bench.audits.verify(None))
            assert report.faults == []
            assert report.streams == len(left["streams"])


def _everything(tx: Transaction) -> dict[str, Any]:
    streams = [chain.stream for chain in tx.audit_streams()]
    events = [_without_digest(event) for stream in streams for event in tx.audit_stream(stream)]
    kinds = ("session", "user", "document")
    keys = {kind: [s.partition(":")[2] for s in streams if s.startswith(f"{kind}:")] for kind in kinds}
    users = sorted({*keys["user"], "ada", "eve", "bob"})
    documents = sorted(tx.documents.get_many(keys["document"]).values(), key=lambda document: document.document_id)
    everything: dict[str, Any] = plain(
        {
            "streams": streams,
            "events": events,
            "sessions": tx.sessions.get_many(keys["session"]),
            "users": [tx.sessions.principal(user_id) for user_id in users],
            "platforms": [tx.platforms.of_user(user_id) for user_id in users],
            "handoffs": [tx.handoffs.of_session(session_id) for session_id in keys["session"]],
            "documents": documents,
            "logs": [tx.documents.changes(d.document_id, after=0) for d in documents],
            "bases": [tx.documents.log_base(d.document_id) for d in documents],
            "devices": [tx.documents.devices(d.document_id) for d in documents],
            "conflicts": [sorted(plain(tx.documents.open_conflicts(d.document_id)), key=repr) for d in documents],
            "checkpoints": [tx.documents.checkpoints(d.document_id) for d in documents],
        }
    )
    return everything


def _without_digest(event: AuditEvent) -> AuditEvent:
    """Digests are of chains, which every store salts by itself."""
    return replace(event, data={key: value for key, value in event.data.items() if key != "digest"})
