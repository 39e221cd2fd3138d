"""The seam between what can be done (`engine`) and where it is kept (`stores`).

One business action is one call of `Store.write` (or `Store.read`) with a plain function of the engine: the function runs inside one
transaction and sees rows through `Transaction`. So the rules of a session or a document are written once, and a store supplies rows,
locks and durability. It changes nothing but rows: a store whose database rolled the transaction back (a deadlock, a row that two made
at once) runs it again from the start. `sessile.testing.store_contract` says what a store must keep; it can be run against any store.

What the methods of the row groups promise, together:
- Missing is None or an empty list, never an error. A store that cannot look raises StoreUnavailable.
- Reads inside a transaction see its own writes. Nothing is visible outside before `write` returns; after it has returned, it is durable.
- `lock=True` holds the row until the end: two writers of the same session or document run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from sessile.model.audit import AuditEvent, AuditPlace, AuditStream
from sessile.model.batch import Progress, Surroundings
from sessile.model.census import Census
from sessile.model.content import ContentKind
from sessile.model.document import Checkpoint, Conflict, Document, DocumentDevice, LogBase, LoggedChange, Owner
from sessile.model.events import Event
from sessile.model.health import PoolStatus
from sessile.model.platform import Platform
from sessile.model.session import Lifetime, Principal, Session
from sessile.ports.caching import (
    Cache,
    CommitGuard,
    FenceRows,
    Messenger,
    NewsTeller,
    Pause,
    SessionReader,
    Stopwatch,
)
from sessile.ports.console import ConsoleRows
from sessile.ports.delivery import DeliveryRows
from sessile.ports.handoffs import HandoffRows
from sessile.ports.legacy import LegacyRows
from sessile.ports.presence import PresenceRows

T = TypeVar("T")
Listener = Callable[[Sequence[Event]], None]


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, UTC."""
        ...


class Random(Protocol):
    def token_bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        ...


class SessionRows(Protocol):
    def get(self, session_id: str, *, lock: bool = False) -> Session | None: ...

    def insert(self, session: Session) -> None:
        """Insert only, never replace. Raises SessionCreationError when the id is taken."""
        ...

    def insert_many(self, sessions: Sequence[Session]) -> None:
        """The same for several, together: all of them or none."""
        ...

    def update(self, session: Session) -> None:
        """Writes the whole record. The caller holds the row's lock."""
        ...

    def update_many(self, sessions: Sequence[Session]) -> None:
        """The same for several, together."""
        ...

    def touch(self, seen: Sequence[Session]) -> None:
        """Max-merge of last_seen_at, idle_expires_at (never beyond the row's absolute deadline) and first token_seen_at; never matches an ended
        row, changes no version."""
        ...

    def confirm(self, sessions: Sequence[Session]) -> None:
        """These were read under their locks and found over: the call must not return before every process knows, as if it had ended them itself.
        None of them: the same for those that it did not find."""
        ...

    def of_user(
        self, user_id: str, now: datetime, *, lock: bool = False, after: str = "", limit: int | None = None
    ) -> list[Session]:
        """Live sessions (not ended, not expired at `now`), in the order of their handles, which is that of their beginnings: those behind the handle
        `after`, at most `limit`."""
        ...

    def of_provider(self, provider_session: str, now: datetime) -> list[Session]:
        """Locked: live sessions that were begun with this session of an identity provider, by handle."""
        ...

    def expired(self, now: datetime, limit: int) -> list[Session]:
        """Locked: sessions past a deadline that have not ended, at most `limit`."""
        ...

    def live_users(self, now: datetime, after: str, limit: int) -> list[str]:
        """Ids above `after` of users who have live sessions, in order."""
        ...

    def live(self, now: datetime, *, after: str = "", limit: int) -> list[Session]:
        """Live sessions of everybody in the order of their handles, those behind the handle `after`."""
        ...

    def census(self, now: datetime, active_since: datetime, busiest: int) -> Census:
        """Live sessions counted, and at most `busiest` users with the most of them."""
        ...

    def ended_before(self, moment: datetime, limit: int) -> list[Session]:
        """Locked: sessions that ended before it, those longest over first, at most `limit`."""
        ...

    def ended_since(self, user_id: str, moment: datetime) -> list[Session]:
        """Locked: sessions of a user that ended at `moment` or later."""
        ...

    def kept_of_user(self, user_id: str, *, lock: bool = False, after: str = "", limit: int) -> list[Session]:
        """All that there are of a user, over or not, in the order of their handles: those behind the handle `after`, at most `limit`."""
        ...

    def delete(self, session_ids: Sequence[str]) -> None:
        """Removes rows. The caller has removed what refers to them."""
        ...

    def get_many(self, session_ids: Sequence[str], *, lock: bool = False) -> dict[str, Session]:
        """By handle; locked in id order, so that two batches cannot wait for each other."""
        ...

    def principal(self, user_id: str, *, lock: bool = False) -> Principal | None: ...

    def put_principal(self, principal: Principal) -> None: ...

    def delete_principal(self, user_id: str) -> bool:
        """Removes what is known of the user, locked as by `principal` whether or not there is anything; False where nothing was."""
        ...


class PlatformRows(Protocol):
    def get(self, platform_id: str, *, lock: bool = False) -> Platform | None: ...

    def of_user(self, user_id: str, *, lock: bool = False) -> list[Platform]:
        """All of them, inactive ones too, oldest first, those of one moment by their ids; locked in id order."""
        ...

    def put(self, platform: Platform) -> None:
        """Inserts, or replaces the one of the same id. Raises VersionConflict when it is to be its user's second default."""
        ...

    def delete_of_user(self, user_id: str) -> int:
        """Removes all of a user's; how many. No live session is on one of them; sessions that are over forget that they were."""
        ...


class ContentRows(Protocol):
    """Records that have content of people's, as the store has them: for a re-encryption."""

    def page(self, kind: ContentKind, after: Sequence[str], limit: int) -> list[Any]:
        """Locked, in the order of their keys (`key_of`) behind `after`, at most `limit`."""
        ...

    def replace(self, kind: ContentKind, records: Sequence[Any]) -> None:
        """Writes their content again. Their keys, and all else that is in their rows, are as they were."""
        ...


class DocumentRows(Protocol):
    def get(self, document_id: str) -> Document | None: ...

    def get_many(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, Document]:
        """Locked in id order, so that two batches cannot wait for each other."""
        ...

    def versions(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, int]:
        """Of those that there are, without reading a state; locked in id order."""
        ...

    def by_name(self, owner: Owner, name: str) -> Document | None:
        """The active document of that name."""
        ...

    def of_owner(self, owner: Owner, *, status: str | None = "active") -> list[Document]:
        """Those of that status (None: of any), latest activity first."""
        ...

    def ids_of_owner(self, owner: Owner, *, after: str = "", limit: int) -> list[str]:
        """Ids of all of an owner's, of any status, in order: those behind the id `after`, at most `limit`. Reads no state."""
        ...

    def delete(self, document_ids: Sequence[str]) -> None:
        """Removes them with everything that belongs to them."""
        ...

    def insert(self, document: Document) -> None:
        """Raises VersionConflict when the owner already has an active document of that name."""
        ...

    def update(self, documents: Sequence[Document], *, with_state: Sequence[bool]) -> None:
        """Writes the records; `state` and `state_version` only where asked. The caller holds the locks. Raises VersionConflict when an active one
        has a name that another has."""
        ...

    def needing_checkpoint(self, active_since: datetime, limit: int) -> list[str]:
        """Ids of active documents whose version is ahead of their last checkpoint and that were active since then."""
        ...

    def changes(self, document_id: str, *, after: int, limit: int | None = None) -> list[LoggedChange]:
        """The log behind a version, oldest first."""
        ...

    def recent_changes(self, document_id: str, *, before: int | None, limit: int) -> list[LoggedChange]:
        """Newest first, below version `before` where given."""
        ...

    def change_of_device(self, document_id: str, device_id: str, seq: int) -> LoggedChange | None: ...

    def change_by_key(self, document_id: str, idempotency_key: str) -> LoggedChange | None: ...

    def insert_changes(self, changes: Sequence[LoggedChange]) -> None:
        """(document, version), (document, device, seq) and (document, idempotency key) are unique in the store itself.

        Raises VersionConflict when one of them is there already; then none of the changes is inserted."""
        ...

    def log_base(self, document_id: str) -> LogBase | None:
        """Where the document's log begins."""
        ...

    def put_log_base(self, base: LogBase) -> None: ...

    def delete_changes(self, document_id: str, up_to: int) -> None:
        """The log's lines up to that version, with it. The caller holds the document's lock and has moved the log's base there."""
        ...

    def needing_compaction(self, versions_kept: int, before: datetime, limit: int) -> list[str]:
        """Ids of documents whose log has lines to forget: more than `versions_kept` behind the head, the first of them older than `before`,
        not ahead of the state's row, and older than every open conflict."""
        ...

    def surroundings(self, after: Mapping[str, int | None]) -> dict[str, Surroundings]:
        """Of each document that is named: its log behind that version (None: none of it), its devices, its open conflicts. The caller holds the
        locks, and asks after it has them."""
        ...

    def record(self, progress: Sequence[Progress]) -> None:
        """Writes what a batch of changes came to. The caller holds the locks. Raises VersionConflict when one of the changes is in the log already."""
        ...

    def devices(self, document_id: str) -> list[DocumentDevice]: ...

    def device(self, document_id: str, device_id: str) -> DocumentDevice | None: ...

    def put_devices(self, devices: Sequence[DocumentDevice]) -> None: ...

    def open_conflicts(self, document_id: str) -> list[Conflict]: ...

    def put_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        """Inserts, or replaces the one of the same id."""
        ...

    def insert_checkpoint(self, checkpoint: Checkpoint) -> None: ...

    def checkpoint(self, document_id: str, checkpoint_id: str) -> Checkpoint | None: ...

    def checkpoint_by_request(self, document_id: str, request_id: str) -> Checkpoint | None: ...

    def checkpoints(self, document_id: str) -> list[Checkpoint]:
        """Newest first, without their states."""
        ...

    def delete_checkpoints(self, checkpoint_ids: Sequence[str]) -> None: ...

    def delete_old_checkpoints(self, before: datetime, limit: int) -> int:
        """Those of passing kinds that were made before it, at most `limit`; how many."""
        ...


class Transaction(Protocol):
    """One unit of work. Never called a session."""

    @property
    def sessions(self) -> SessionRows: ...

    @property
    def platforms(self) -> PlatformRows: ...

    @property
    def documents(self) -> DocumentRows: ...

    @property
    def contents(self) -> ContentRows: ...

    @property
    def handoffs(self) -> HandoffRows: ...

    @property
    def legacy(self) -> LegacyRows: ...

    @property
    def presence(self) -> PresenceRows: ...

    @property
    def fence(self) -> FenceRows: ...

    @property
    def deliveries(self) -> DeliveryRows: ...

    @property
    def console(self) -> ConsoleRows: ...

    def hold(
        self, session_ids: Sequence[str], document_ids: Sequence[str], *, with_state: bool
    ) -> tuple[dict[str, Lifetime], dict[str, Document]]:
        """First the sessions, each in id order: no other transaction changes them before this one is over, but several may hold the same session.
        The documents are locked, as by `get_many`; without the state it may be empty."""
        ...

    def audit(self, events: Sequence[AuditEvent]) -> None:
        """Appends to each event's stream, chained by hash."""
        ...

    def audit_stream(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[AuditEvent]:
        """What is kept of a stream above position `after`, oldest first."""
        ...

    def audit_streams(self, *, after: str = "", limit: int | None = None) -> list[AuditStream]:
        """The chains, by name, above `after`."""
        ...

    def audit_chain(self, stream: str, *, lock: bool = False) -> AuditStream | None: ...

    def old_audit(self, before: datetime, limit: int) -> list[str]:
        """Names of chains with events older than `before` that are still kept."""
        ...

    def forget_audit(self, chain: AuditStream) -> None:
        """Writes the chain, and removes the events up to its base."""
        ...

    def close_audit(self, stream: str) -> None:
        """Removes a chain of which no event is kept and to which none will be added."""
        ...

    def recent_audit(self, stream: str, *, before: int | None, limit: int) -> list[AuditEvent]:
        """Newest first, below position `before` where given."""
        ...

    def audit_behind(self, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
        """Events of all streams in the order of their places: by time, then stream, then position. None: from the first one on."""
        ...

    def latest_audit(self, limit: int) -> list[AuditEvent]:
        """The last events of all streams in the same order, oldest first."""
        ...

    def audit_of_user(self, user_id: str, *, after: tuple[str, int] = ("", 0), limit: int) -> list[AuditEvent]:
        """Events of all streams that name the user, by stream and position, behind that place."""
        ...

    def erase_audit(self, stream: str, user_id: str | None = None) -> int:
        """Takes the personal fields and their salt from a stream's events, or only from those that name the user; from how many. The chain stays as it is."""
        ...

    def unchained_audit(self, limit: int) -> list[str]:
        """Names of streams that have events and no chain, in order: nobody wrote those."""
        ...

    def emit(self, event: Event) -> None:
        """Told to the store's listeners after the commit, and as a hint to the other processes on the same store."""
        ...

    def lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """True when `holder` now has the lease of that name: it was free, lapsed, or its own."""
        ...

    def instance(self, key: str, value: str | None = None) -> str | None:
        """A small value kept once for the whole installation; the first writer wins. Returns what stands there."""
        ...

    def put_instance(self, key: str, value: str | None) -> None:
        """Sets such a value, or with None removes it; the last writer wins."""
        ...

    def count(self, key: str, now: datetime, window: timedelta) -> int:
        """Counts one more under the key and returns how many it is within the window that the first of them opened."""
        ...

    def counted(self, key: str, now: datetime) -> int:
        """How many were counted under the key within its window."""
        ...

    def forget_counts(self, now: datetime, limit: int) -> int:
        """Removes counts whose window is over, at most `limit`; how many."""
        ...


class Store(Protocol):
    """A place for rows. `work` gets a Transaction and whatever arguments follow; an exception rolls everything back and comes through."""

    writes_at_once: bool
    """Whether several transactions can write at the same time; otherwise each waits for the one before it."""

    async def open(self) -> None:
        """Makes the store usable (embedded stores migrate themselves). Raises StoreUnavailable, ConfigurationError."""
        ...

    async def close(self) -> None: ...

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        """One durable transaction. When this returns, it is committed; when it raises, nothing happened, except that
        StoreUnavailable from the commit itself leaves the outcome unknown (fully done or not at all)."""
        ...

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        """A consistent view that writes nothing."""
        ...

    async def transact(self, work: Callable[[Any], T]) -> T:
        """One durable transaction of the database itself, for rows that are not ours: `work` gets its connection (SQLAlchemy). An exception rolls
        everything back and comes through. Raises ConfigurationError for a store without a database."""
        ...

    def pool(self) -> PoolStatus | None:
        """Its connections; None for a store without any."""
        ...

    async def poll(self) -> None:
        """Looks for what other processes have committed and tells the listeners. Nothing to do for a store of one process."""
        ...

    async def tidy(self) -> None:
        """Forgets hints that everybody has seen; called now and then."""
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener` is called with the events of each commit, after it. Returns the way to stop."""
        ...

    def guard(self, guard: CommitGuard) -> None:
        """From now on `guard` stands around each commit that changed sessions. Called before `open`."""
        ...


__all__ = [
    "Cache",
    "Clock",
    "CommitGuard",
    "ConsoleRows",
    "ContentRows",
    "DeliveryRows",
    "DocumentRows",
    "FenceRows",
    "HandoffRows",
    "LegacyRows",
    "Listener",
    "Messenger",
    "NewsTeller",
    "Pause",
    "PlatformRows",
    "PresenceRows",
    "Random",
    "SessionReader",
    "SessionRows",
    "Stopwatch",
    "Store",
    "Transaction",
]
