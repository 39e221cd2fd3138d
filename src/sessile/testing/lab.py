"""What a contract test works with: a store with the engines on it, a clock to move, and short ways to say usual things."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sessile.engine.activity import ActivityEngine
from sessile.engine.audit import AuditEngine
from sessile.engine.binding import BindingEngine
from sessile.engine.caching import SessionCache
from sessile.engine.changes import ChangeEngine
from sessile.engine.checkpoints import CheckpointEngine
from sessile.engine.copies import CopyEngine
from sessile.engine.documents import DocumentEngine
from sessile.engine.erasing import ErasureEngine
from sessile.engine.exporting import ExportEngine
from sessile.engine.handoff import HandoffEngine
from sessile.engine.history import CompactionRule, HistoryEngine
from sessile.engine.keys import KeyRing
from sessile.engine.legacy import LegacyEngine
from sessile.engine.logins import Logins, SessionRules
from sessile.engine.maintenance import MaintenanceEngine
from sessile.engine.platforms import PlatformEngine
from sessile.engine.presence import PresenceEngine
from sessile.engine.principals import PrincipalEngine
from sessile.engine.retention import RetentionEngine, RetentionRule
from sessile.engine.sessions import SessionEngine, expiry_policy
from sessile.model.audit import AuditEvent
from sessile.model.binding import BindingRules
from sessile.model.change_format import parse_operations
from sessile.model.document import Actor, Change, LoggedChange, Opened, Outcome, Submission
from sessile.model.events import Event
from sessile.model.kind import NO_KINDS, Kinds
from sessile.model.merge import Policies
from sessile.ports import Cache, Clock, Random, Store, Transaction
from sessile.runtime.assemble import SystemRandom
from sessile.runtime.caching import make_session_cache, opened
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lanes import Lane

T = TypeVar("T")
IDLE_TIMEOUT_S: Final = 1000
ABSOLUTE_TIMEOUT_S: Final = 5000
ROTATION_WINDOW_S: Final = 30
LEASE_S: Final = 35
RULES: Final = SessionRules(expiry_policy(IDLE_TIMEOUT_S, ABSOLUTE_TIMEOUT_S, ROTATION_WINDOW_S))
POLICIES: Final = Policies.from_mapping({"/last/**": "last_write_wins", "/strict/**": "reject"})
"""Below `/last` the last write wins, below `/strict` a collision is refused, everywhere else both values are kept."""

COMPACTION: Final = CompactionRule(versions_kept=4, retention=timedelta(days=1), batch=3)
"""The last four versions and everything younger than a day are kept; three lines are forgotten at a time."""

RETENTION: Final = RetentionRule(
    ended=timedelta(days=10), audit=timedelta(days=30), checkpoints=timedelta(days=20), batch=3
)
"""Ended sessions are kept ten days, passing checkpoints twenty, audit events thirty; three rows are forgotten at a time."""

ADA: Final = Actor(user_id="ada", device_id="01900000-0000-7000-8000-00000000000a")
PHONE: Final = replace(ADA, device_id="01900000-0000-7000-8000-00000000000b")
"""Ada's other device."""
EVE: Final = Actor(user_id="eve", device_id="01900000-0000-7000-8000-00000000000e")
BINDING: Final = BindingRules(cookie_ttl=timedelta(seconds=600), grace=timedelta(seconds=30))
MakeStore = Callable[[str, Path], Store]
MakeCache = Callable[[str, Path], Cache | None]
FENCE_PERIOD_S: Final = 0.05
"""Long enough for a look to serve a few calls, short enough for a test to wait for."""


class Bench:
    """One store with the engines on it. `told` are the events that its listener was given, commit by commit."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        rules: SessionRules = RULES,
        kinds: Kinds = NO_KINDS,
        cached: SessionCache | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.cached = cached
        self.sessions = SessionEngine(store, clock, random, rules, None if cached is None else opened(store, cached))
        self.principals = PrincipalEngine(store, clock, rules.limit)
        self.platforms = PlatformEngine(store, clock)
        self.documents = DocumentEngine(store, clock, random, kinds)
        self.changes = ChangeEngine(store, clock, random, lambda _name: POLICIES, kinds, COMPACTION.versions_kept)
        self.checkpoints = CheckpointEngine(store, clock, random, kinds)
        self.history = HistoryEngine(store, clock, COMPACTION)
        self.copies = CopyEngine(store, clock, random, kinds)
        self.activity = ActivityEngine(store, clock)
        keys = KeyRing([b"the key of a test"], store, random)
        self.handoffs = HandoffEngine(store, clock, random, keys, Logins(clock, random, rules))
        self.bindings = BindingEngine(store, clock, random, keys, BINDING, end_on_late_use=rules.end_on_late_use)
        self.legacy = LegacyEngine(store, clock, random, rules, self.sessions)
        self.audits = AuditEngine(store)
        self.maintenance = MaintenanceEngine(store, clock)
        self.presence = PresenceEngine(store, clock, timedelta(seconds=LEASE_S))
        self.erasure = ErasureEngine(store, clock, keys)
        self.export = ExportEngine(store, clock)
        self.retention = RetentionEngine(store, clock, RETENTION)
        self.told: list[Event] = []
        store.subscribe(self.told.extend)

    async def document(self, state: Mapping[str, Any] | None = None, actor: Actor = ADA) -> Opened:
        """The document `form`, made with that state, as the actor's device opens it."""
        return await self.documents.open(actor, "form", state)

    async def send(self, actor: Actor, document_id: str, *changes: Change) -> Outcome:
        """What became of these changes of the actor's device."""
        return (await self.changes.submit([Submission(document_id, changes, actor)]))[0]

    async def take(
        self, actor: Actor, document_id: str, seq: int, base_version: int, *operations: Mapping[str, Any]
    ) -> LoggedChange:
        """The log's line for one change of the actor's device; raises the error that it met."""
        outcome = await self.send(actor, document_id, change(actor, seq, base_version, *operations))
        if outcome.error is not None:
            raise outcome.error
        return outcome.logged[0]

    async def audit(self, stream: str) -> list[AuditEvent]:
        """A stream of the audit log, oldest first."""
        return await self.store.read(_audit_stream, stream)


class Lab:
    """Given to every contract test. Opens as many stores on the same rows as a test needs, and closes them after it."""

    def __init__(self, lane: Lane, make_store: MakeStore, place: Path, make_cache: MakeCache | None = None) -> None:
        self._make_cache = make_cache
        self._caches: list[Cache] = []
        self.lane = lane
        self.clock = FakeClock()
        self.random = SeededRandom()
        self._make_store = make_store
        self._place = place
        self._stores: list[Store] = []

    async def open(self, rules: SessionRules = RULES, kinds: Kinds = NO_KINDS) -> Bench:
        """A store on this test's rows, and the engines on it. Called again, a second store on the same rows."""
        store = self._make_store(self.lane.name, self._place)
        self._stores.append(store)
        cache = None if self._make_cache is None else self._make_cache(self.lane.name, self._place)
        cached = None if cache is None else self._cached(store, cache)
        await store.open()
        if cached is not None:
            await _until_open(cached, self.lane)
        return Bench(store, self.clock, self.random, rules, kinds, cached)

    def _cached(self, store: Store, cache: Cache) -> SessionCache:
        self._caches.append(cache)
        blocking = self.lane.name == "blocking"
        return make_session_cache(cache, store, SystemRandom(), FENCE_PERIOD_S, blocking=blocking)

    async def together(self, *calls: Callable[[], Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        """What each call returned or raised, all of them started at the same moment."""
        return await self.lane.together(calls)

    async def close(self) -> None:
        """Closes what `open` opened, the last one first."""
        while self._stores:
            await self._stores.pop().close()
        while self._caches:
            await self._caches.pop().close()


async def _until_open(cached: SessionCache, lane: Lane) -> None:
    """Returns when the cache is used. Raises TimeoutError."""
    for _ in range(100):
        await cached.keep()
        if cached.is_open:
            return
        await lane.pause(FENCE_PERIOD_S / 5)
    raise TimeoutError("The fence was not opened.")


def change(actor: Actor, seq: int, base_version: int, *operations: Mapping[str, Any], generation: int = 0) -> Change:
    """A change of the actor's device, its operations checked as those from the wire are."""
    return Change(
        device_id=actor.device_id,
        seq=seq,
        base_version=base_version,
        generation=generation,
        operations=parse_operations([dict(operation) for operation in operations]),
    )


def put(path: str, value: Any) -> dict[str, Any]:
    """A `set`."""
    return {"op": "set", "path": path, "value": value}


def remove(path: str) -> dict[str, Any]:
    """A `remove`."""
    return {"op": "remove", "path": path}


def only(items: Sequence[T]) -> T:
    """The one item there is. Raises AssertionError when there are more or less."""
    assert len(items) == 1, f"{len(items)} items instead of one"
    return items[0]


def succeeded(outcomes: Sequence[T | BaseException]) -> list[T]:
    """Those that did not raise."""
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


def failed(outcomes: Sequence[Any]) -> list[BaseException]:
    """What the others raised."""
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


def _audit_stream(tx: Transaction, stream: str) -> list[AuditEvent]:
    return tx.audit_stream(stream)
