"""What the processes do with one session after another, and what must hold whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sessile.engine.caching import SessionCache
from sessile.model.errors import StoreUnavailable
from sessile.model.session import EndReason, Session
from sessile.ports import Transaction
from tests.simulation.world import PERIOD_S, Operation, Process, World

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
SESSION_ID: Final = "the-session"
TURNS: Final = 200
CALM_TURNS: Final = 400
CALM_EVERY: Final = 10
"""So many seeds, and one of them goes on without faults."""


class Broken(AssertionError):
    """A promise did not hold; the text has every step that led there."""


@dataclass
class Promises:
    """What was returned to callers so far."""

    ended_at_event: int | None = None
    written: int = 0
    """The newest version whose writer has its answer."""
    written_until: float = 0.0
    """From this time on no read that begins is older."""


class Play:
    """One seed: three processes read, write, touch and at some time end one session."""

    def __init__(self, seed: int, kind: type[SessionCache] = SessionCache) -> None:
        self.world = World(seed)
        self.processes = [Process(self.world, f"p{number}", kind) for number in range(self.world.rng.choice((2, 2, 3)))]
        self.promises = Promises()
        self.versions: set[int] = {1}
        self.serves = 0
        rng = self.world.rng
        self.weights = [
            rng.choice((1, 3, 8)),
            rng.choice((1, 3)),
            rng.choice((0, 1, 3)),
            rng.choice((0, 0, 1)),
            rng.choice((0, 1)),
        ]
        self.at_once = rng.choice((2, 3, 5))
        self.world.tables.sessions[SESSION_ID] = _session()

    def run(self) -> None:
        """Raises Broken."""
        try:
            self._go()
        finally:
            for operation in self.world.running:
                operation.coroutine.close()

    def _go(self) -> None:
        for _ in range(TURNS):
            if len(self.world.running) < self.at_once and self.world.rng.random() < 0.3:
                self._begin()
            self.world.turn()
        if self.world.seed % CALM_EVERY == 0:
            self._calm()

    def _calm(self) -> None:
        """Without faults the truth is served from the cache again."""
        self.world.is_faulty = False
        for process in self.processes:
            process.cache.at = self.world.servers[0]
        is_used = False
        for turn in range(CALM_TURNS):
            if len(self.world.running) < 3:
                process = self.world.rng.choice(self.processes)
                self._start(process, "keep", process.cached.keep(), lambda _result: None)
                self._read(process)
            self.world.turn()
            if turn < CALM_TURNS / 2 and self.world.rng.random() < 0.2:
                self.world.now += 1.0
            is_used |= any(process.cached.is_open for process in self.processes)
        if not is_used:
            self._broken("the cache is never used again")

    def _begin(self) -> None:
        process = self.world.rng.choice(self.processes)
        (kind,) = self.world.rng.choices(("read", "keep", "write", "touch", "end"), self.weights)
        if kind == "read":
            self._read(process)
        elif kind == "keep":
            self._start(process, "keep", process.cached.keep(), lambda _result: None)
        elif kind == "touch":
            self._start(process, "touch", process.store.write(_touch), lambda _result: None)
        elif kind == "write":
            self._write(process)
        else:
            self._end(process)

    def _start(self, process: Process, kind: str, coroutine: Any, done: Callable[[Any], None]) -> None:
        name = f"{process.name} {kind} {self.world.events}"

        def told(result: Any) -> None:
            self.world.say(f"{name}: {_brief(result)}")
            done(result)

        self.world.start(Operation(name, coroutine, told, self.world.rng.random()))

    def _read(self, process: Process) -> None:
        began, promised = self.world.events, replace(self.promises)
        began_at = self.world.now

        def check(found: Any) -> None:
            if isinstance(found, StoreUnavailable):
                return
            self.serves += 1
            if not isinstance(found, Session) or found.version not in self.versions:
                self._broken("something was served that was never there")
            is_ended = found.ended_at is not None
            if promised.ended_at_event is not None and promised.ended_at_event <= began and not is_ended:
                self._broken("an ended session was accepted")
            if began_at >= promised.written_until and found.version < promised.written:
                self._broken("a read is older than what was promised")

        self._start(process, "read", process.cached.get(SESSION_ID), check)

    def _write(self, process: Process) -> None:
        def work(tx: Transaction) -> int:
            session = tx.sessions.get(SESSION_ID, lock=True)
            assert session is not None
            if session.ended_at is not None:
                return 0
            changed = replace(session, version=session.version + 1)
            self.versions.add(changed.version)
            tx.sessions.update(changed)
            return changed.version

        def done(version: Any) -> None:
            if isinstance(version, int) and version > self.promises.written:
                self.promises.written = version
                self.promises.written_until = self.world.now + PERIOD_S * 1.01 + 0.1

        self._start(process, "write", process.store.write(work), done)

    def end_work(self) -> Callable[[Transaction], bool]:
        """Ends the session, or confirms that it is over."""

        def work(tx: Transaction) -> bool:
            session = tx.sessions.get(SESSION_ID, lock=True)
            assert session is not None
            if session.ended_at is not None:
                tx.sessions.confirm([session])
                return False
            ended = replace(session, ended_at=NOON, end_reason=EndReason.LOGOUT, version=session.version + 1)
            self.versions.add(ended.version)
            tx.sessions.update(ended)
            return True

        return work

    def _end(self, process: Process) -> None:
        def done(result: Any) -> None:
            if not isinstance(result, StoreUnavailable) and self.promises.ended_at_event is None:
                self.promises.ended_at_event = self.world.events

        self._start(process, "end", process.store.write(self.end_work()), done)

    def _broken(self, what: str) -> None:
        raise Broken("\n".join([f"seed {self.world.seed}: {what}", *self.world.log]))


def _session() -> Session:
    later = NOON + timedelta(days=1)
    return Session(
        session_id=SESSION_ID, created_at=NOON, last_seen_at=NOON, idle_expires_at=later, absolute_expires_at=later
    )


def _touch(tx: Transaction) -> None:
    session = tx.sessions.get(SESSION_ID, lock=True)
    assert session is not None
    tx.sessions.touch([replace(session, last_seen_at=session.last_seen_at + timedelta(seconds=1))])


def _brief(result: Any) -> str:
    if isinstance(result, Session):
        return f"version {result.version}{', ended' if result.ended_at else ''}"
    return type(result).__name__ if isinstance(result, Exception) else str(result)
