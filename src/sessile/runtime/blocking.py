"""The blocking facade: the same verbs without await, for WSGI, scripts and threads. Every call finishes before it returns."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import UNSET, UnsetType

from sessile.engine.history import NOW, Point
from sessile.model.activity import ActivityPage
from sessile.model.audit import AuditEvent
from sessile.model.delta import DataOperation
from sessile.model.document import (
    Actor,
    Checkpoint,
    CheckpointKind,
    Conflict,
    Delta,
    Difference,
    Document,
    LoggedChange,
    Opened,
    Operation,
    Outcome,
    Restored,
    State,
    Submission,
)
from sessile.model.errors import SessionEnded, SessionExpired, SessionNotFound
from sessile.model.platform import Platform, PlatformEntry
from sessile.model.session import EndReason, Issued, Principal, Session, SessionContext
from sessile.model.values import encode
from sessile.model.wire import platform_to_wire
from sessile.ports import Clock, Random, Store, Transaction
from sessile.runtime.assemble import Engines, SystemClock, SystemRandom, make_engines, make_store
from sessile.runtime.documents import AsyncDocuments, Submit
from sessile.runtime.group_commit import Probe, no_probe
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.settings import Settings

T = TypeVar("T")


class CoreSuspended(RuntimeError):
    """A store of the asyncio lane was given to the blocking facade."""


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never waits, without an event loop. Raises CoreSuspended if it waits after all."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise CoreSuspended("This store needs an event loop: use AsyncSessionManager, or a blocking store.")


class Documents:
    """Everything an actor can do with documents; see `AsyncDocuments`, whose twin this is."""

    def __init__(self, engines: Engines, submit: Submit, probe: Probe) -> None:
        self._twin = AsyncDocuments(engines, submit, probe)

    def open(self, actor: Actor, name: str, *, default: State | None = None, kind: str | None = None) -> Opened:
        """The actor's document of that name, made with `default` if there is none."""
        return drive(self._twin.open(actor, name, default=default, kind=kind))

    def open_by_id(self, actor: Actor, document_id: str) -> Opened:
        """The same for a document that is known by its id."""
        return drive(self._twin.open_by_id(actor, document_id))

    def get(self, actor: Actor, document_id: str) -> Document:
        """The document with its state."""
        return drive(self._twin.get(actor, document_id))

    def list(self, actor: Actor) -> list[Document]:
        """The actor's active documents, latest activity first."""
        return drive(self._twin.list(actor))

    def submit(self, submission: Submission) -> Outcome:
        """Changes of a device, in seq order; returns after the commit."""
        return drive(self._twin.submit(submission))

    def change(
        self,
        actor: Actor,
        document_id: str,
        operations: Sequence[Operation],
        *,
        base_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> LoggedChange:
        """A change by server code. Raises ChangeRejected, InvalidChange."""
        return drive(
            self._twin.change(
                actor, document_id, operations, base_version=base_version, idempotency_key=idempotency_key
            )
        )

    def since(self, actor: Actor, document_id: str, *, epoch: str | None, version: int | None) -> Delta:
        """What happened since a position: contiguous changes, or a snapshot."""
        return drive(self._twin.since(actor, document_id, epoch=epoch, version=version))

    def log(
        self, actor: Actor, document_id: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[LoggedChange]:
        """Lines of the log, newest first."""
        return drive(self._twin.log(actor, document_id, before=before, limit=limit))

    def conflicts(self, actor: Actor, document_id: str) -> Sequence[Conflict]:
        """The open ones."""
        return drive(self._twin.conflicts(actor, document_id))

    def checkpoint(
        self,
        actor: Actor,
        document_id: str,
        *,
        label: str = "",
        kind: CheckpointKind = CheckpointKind.MANUAL,
        step: int | None = None,
        request_id: str | None = None,
    ) -> Checkpoint:
        """A snapshot of now. The same request_id gives the same checkpoint."""
        return drive(
            self._twin.checkpoint(actor, document_id, label=label, kind=kind, step=step, request_id=request_id)
        )

    def checkpoints(self, actor: Actor, document_id: str) -> Sequence[Checkpoint]:
        """Newest first, without their states."""
        return drive(self._twin.checkpoints(actor, document_id))

    def restore(
        self,
        actor: Actor,
        document_id: str,
        checkpoint_id: str,
        *,
        paths: Sequence[str] | None = None,
        dry_run: bool = False,
        expected_version: int | None = None,
    ) -> Restored:
        """Back to a checkpoint, as a new version. Raises CheckpointNotFound, VersionConflict."""
        return drive(
            self._twin.restore(
                actor, document_id, checkpoint_id, paths=paths, dry_run=dry_run, expected_version=expected_version
            )
        )

    def rename(self, actor: Actor, document_id: str, name: str) -> Document:
        """Raises VersionConflict when the name is taken."""
        return drive(self._twin.rename(actor, document_id, name))

    def fork(
        self,
        actor: Actor,
        document_id: str,
        name: str,
        *,
        at_version: int | None = None,
        checkpoint_id: str | None = None,
    ) -> Document:
        """A new document of the actor with the state that this one has, or had. Raises VersionConflict, VersionNotKept, CheckpointNotFound."""
        return drive(self._twin.fork(actor, document_id, name, at_version=at_version, checkpoint_id=checkpoint_id))

    def diff(self, actor: Actor, document_id: str, a: Point, b: Point = NOW) -> Sequence[Difference]:
        """Where the states at two points (a version, the id of a checkpoint, "now") differ."""
        return drive(self._twin.diff(actor, document_id, a, b))

    def export_document(self, actor: Actor, document_id: str) -> dict[str, Any]:
        """The document with its log, checkpoints and open conflicts as a JSON value."""
        return drive(self._twin.export_document(actor, document_id))

    def import_document(self, actor: Actor, exported: Mapping[str, Any], *, name: str | None = None) -> Document:
        """A new document of the actor with what an export holds. Raises ExportDamaged."""
        return drive(self._twin.import_document(actor, exported, name=name))

    def activity(self, actor: Actor, document_id: str, *, before: str | None = None, limit: int = 100) -> ActivityPage:
        """Changes, checkpoints and events of the document in one list, newest first."""
        return drive(self._twin.activity(actor, document_id, before=before, limit=limit))

    def log_activity(
        self, actor: Actor, document_id: str, event_type: str, data: Mapping[str, Any] | None = None
    ) -> AuditEvent:
        """Adds an event of the application's own, of a type `app.*`."""
        return drive(self._twin.log_activity(actor, document_id, event_type, data))

    def compact(self) -> int:
        """Forgets old lines of some documents' logs; how many. Call it now and then: there is no background work here."""
        return drive(self._twin.compact())

    def archive(self, actor: Actor, document_id: str) -> None:
        """Takes it out of the list and frees its name; nothing is deleted."""
        drive(self._twin.archive(actor, document_id))


class SessionManager:
    """Sessions without an event loop; safe to share between threads. See `AsyncSessionManager`, whose twin this is."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        probe: Probe | None = None,
        kinds: Sequence[DocumentKind] = (),
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self._store = store or make_store(self.settings.database_url, blocking=True)
        engines = make_engines(self.settings, self._store, self.clock, random or SystemRandom(), kinds)
        self._sessions = engines.sessions
        self._principals = engines.principals
        self._platforms = engines.platforms
        reached = probe or no_probe

        async def submit(submission: Submission) -> Outcome:
            reached("before_commit")
            outcome = (await engines.changes.submit([submission]))[0]
            reached("after_commit")
            return outcome

        self.documents = Documents(engines, submit, reached)

    def open(self) -> None:
        """Makes the store usable. Raises StoreUnavailable, ConfigurationError."""
        drive(self._store.open())

    def close(self) -> None:
        """Lets go of the store."""
        drive(self._store.close())

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create_session(
        self,
        user_id: str | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        public: Mapping[str, Any] | None = None,
        device: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
    ) -> Issued:
        """A new session and its token, on the platform that is named, else on the user's default. Raises InvalidValue,
        SessionCreationError, PlatformRefused."""
        return drive(
            self._sessions.create(
                user_id, data=encode(dict(data or {})), public=public, device=device, platform_id=platform_id
            )
        )

    def authenticate(self, token: str) -> Session:
        """The session that a token stands for. Raises SessionNotFound, SessionExpired, SessionEnded."""
        return drive(self._sessions.authenticate(token))

    def get_session(self, session_id: str) -> Session:
        """The session with this handle. Raises SessionNotFound, SessionExpired, SessionEnded."""
        return drive(self._sessions.get(session_id))

    def get_session_context(self, session_id: str) -> SessionContext | None:
        """What a page may know of a live session; None when there is no such session (any more)."""
        try:
            session = self.get_session(session_id)
        except (SessionNotFound, SessionExpired, SessionEnded):
            return None
        platform = platform_to_wire(self.get_session_platform(session))
        return SessionContext(session, session.public if session.is_authenticated else None, platform)

    def validate_session(self, session_id: str) -> bool:
        """True when the session is live."""
        return self.get_session_context(session_id) is not None

    def touch_session(self, session: Session) -> None:
        """Notes activity of the user, which moves the idle deadline; costs nothing when it is not due."""
        touched = self._sessions.touched(session)
        if touched is not None:
            drive(self._sessions.touch([touched]))

    def change_session_data(
        self, session_id: str, operations: Sequence[DataOperation], *, user_id: str | None
    ) -> Session:
        """Applies a delta to what stands there now. Raises SessionUpdateError, and like `get_session`."""
        return drive(self._sessions.change_data(session_id, operations, user_id))

    def rotate_session(self, session_id: str) -> Issued:
        """A new token for the same principal. Raises like `get_session`."""
        return drive(self._sessions.rotate(session_id))

    def login(
        self,
        session_id: str | None,
        user_id: str,
        *,
        public: Mapping[str, Any] | None = None,
        device: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
    ) -> Issued:
        """The user is authenticated now: always a new token (ASVS 7.2.4). Raises PlatformRefused, SessionCreationError, InvalidValue."""
        return drive(self._sessions.login(session_id, user_id, public=public, device=device, platform_id=platform_id))

    def destroy_session(self, session_id: str, *, reason: EndReason = EndReason.LOGOUT) -> bool:
        """True when this call ended it."""
        return drive(self._sessions.end(session_id, reason))

    def cleanup_user_sessions(
        self, user_id: str, *, keep: str | None = None, reason: EndReason = EndReason.REVOKED
    ) -> int:
        """Ends all sessions of a user but `keep`; how many."""
        return drive(self._sessions.end_of_user(user_id, keep, reason))

    def list_sessions(self, user_id: str) -> list[Session]:
        """The user's live sessions, oldest first."""
        return drive(self._sessions.of_user(user_id))

    def get_principal(self, user_id: str) -> Principal | None:
        """What is known of a user; None for one who never had a session."""
        return drive(self._principals.get(user_id))

    def change_principal(
        self, user_id: str, *, public: Mapping[str, Any] | None = None, roles: Sequence[str] | None = None
    ) -> Principal:
        """Sets what is given: what pages see of the user, in all live sessions at once, and the roles. Raises InvalidValue."""
        return drive(self._principals.change(user_id, public, roles))

    def limit_sessions(self, user_id: str, sessions_max: int | None) -> int:
        """A user's own limit: None is the common one, 0 any number. Sessions beyond it end, the oldest first; how many did."""
        return drive(self._principals.limit(user_id, sessions_max))

    def disable_user(self, user_id: str) -> int:
        """Ends all sessions of the user and lets no login through any more (ASVS 7.4.2); how many ended."""
        return drive(self._principals.disable(user_id))

    def enable_user(self, user_id: str) -> None:
        """The user may log in again."""
        drive(self._principals.enable(user_id))

    def sync_platforms(self, user_id: str, entries: Sequence[PlatformEntry]) -> list[Platform]:
        """Mirrors the application's accounts of a user; returns the active ones. What is missing becomes inactive, and sessions on it go to the
        default. Raises InvalidValue, and PlatformRefused for an id that is active with another user."""
        return drive(self._platforms.sync(user_id, entries))

    def list_platforms(self, user_id: str, *, with_inactive: bool = False) -> list[Platform]:
        """The user's platforms, oldest first."""
        return drive(self._platforms.list(user_id, with_inactive=with_inactive))

    def ensure_default_platform(self, user_id: str) -> Platform | None:
        """Where new sessions of the user begin, chosen now if there was none; None when the user has no active platform."""
        return drive(self._platforms.ensure_default(user_id))

    def set_default_platform(self, user_id: str, platform_id: str) -> Platform:
        """New sessions of the user begin there from now on. Raises PlatformRefused."""
        return drive(self._platforms.set_default(user_id, platform_id))

    def check_platform(self, user_id: str | None, platform_id: str) -> Platform:
        """The platform, if the user may be on it. Raises PlatformRefused, whose `reason` is the true one: `missing`, `other_owner`, `inactive`."""
        return drive(self._platforms.check(user_id, platform_id))

    def get_session_platform(self, session: Session) -> Platform | None:
        """The platform that the session is on."""
        return drive(self._platforms.of_session(session))

    def switch_platform(
        self, session_id: str, platform_id: str, *, expected: str | UnsetType | None = UNSET
    ) -> Session:
        """The session, on that platform. With `expected` only if it is on that one (None: on none) until then; else raises VersionConflict with
        the present one. Raises PlatformRefused, and like `get_session`."""
        return drive(self._platforms.switch(session_id, platform_id, expected))

    def cleanup_expired_sessions(self) -> int:
        """Ends a batch (`sweep_batch`) of sessions past a deadline; how many."""
        return drive(self._sessions.sweep(self.settings.sweep_batch))

    def ready(self) -> None:
        """Raises StoreUnavailable when the store cannot be reached."""
        drive(self._store.read(_look))


def _look(tx: Transaction) -> None:
    tx.instance("ready")
