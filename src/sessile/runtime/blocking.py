"""The blocking facade: the same verbs without await, for WSGI, scripts and threads. Every call finishes before it returns."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from msgspec import UNSET, UnsetType

from sessile.engine.caching import SessionCache
from sessile.model.anomaly import Anomaly
from sessile.model.delta import DataOperation
from sessile.model.document import Outcome, Submission
from sessile.model.errors import SessionEnded, SessionExpired, SessionNotFound
from sessile.model.health import Health, PoolStatus
from sessile.model.platform import Platform, PlatformEntry
from sessile.model.session import EndReason, Issued, Principal, Session, SessionContext
from sessile.model.values import encode
from sessile.model.wire import platform_to_wire
from sessile.ports import Cache, Clock, Random, Store, Transaction
from sessile.runtime.assemble import SystemClock, SystemRandom, make_engines, make_store
from sessile.runtime.background import Background
from sessile.runtime.bindings import Bindings
from sessile.runtime.blocking_background import BlockingBackground
from sessile.runtime.blocking_documents import Documents
from sessile.runtime.blocking_groups import Audit, Encryption, Handoffs, LegacySessions, MaintenanceMode
from sessile.runtime.blocking_presence import Presence
from sessile.runtime.blocking_serving import Serving
from sessile.runtime.caching import make_cache, make_reader, make_session_cache, opened
from sessile.runtime.configuration import Configuration
from sessile.runtime.delivery import carry_here, make_deliveries
from sessile.runtime.group_commit import Probe, no_probe
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.lane import drive
from sessile.runtime.measuring import Measuring
from sessile.runtime.operators import Operators
from sessile.runtime.oversight import OperatorAccess, Oversight
from sessile.runtime.personal_data import PersonalData
from sessile.runtime.settings import Settings
from sessile.runtime.touches import Touches
from sessile.runtime.watch import Watch, look_at, make_telemetry, pool_of
from sessile.telemetry.store import MeasuredStore

T = TypeVar("T")
_MANAGERS: Final[weakref.WeakSet[SessionManager]] = weakref.WeakSet()


class SessionManager:
    """Sessions without an event loop; safe to share between threads. See `AsyncSessionManager`, whose twin this is.

    Made before a fork it serves the child, too, with connections of its own: open it there (web frameworks do at the first request). A store that was
    given is used as it is.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        probe: Probe | None = None,
        kinds: Sequence[DocumentKind] = (),
        cache: Cache | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self._random = random or SystemRandom()
        self._probe = probe or no_probe
        self._kinds = kinds
        self._given = (store, cache)
        self._left: list[object] = []
        self._make()
        _MANAGERS.add(self)

    def _make(self) -> None:
        """Everything that has connections, locks or threads: once, and once more in a child process."""
        store, cache = self._given
        self._opening = threading.Lock()
        self._is_open = False
        self._store = store or make_store(self.settings, blocking=True)
        random = self._random
        self.telemetry = make_telemetry(self.settings, self.clock)
        """Metrics, health with its history, alerts and traces of this manager."""
        self._measuring = Measuring(self.telemetry)
        reader = make_reader(self._store, blocking=True, telemetry=self.telemetry)
        self._cache = cache or make_cache(self.settings, blocking=True)
        self._cached: SessionCache | None = None
        if self._cache is not None:
            period_s = self.settings.fence_period_s
            self._cached = make_session_cache(
                self._cache, self._store, random, period_s, blocking=True, telemetry=self.telemetry
            )
            reader = opened(self._store, self._cached)
        measured = MeasuredStore(self._store, self.telemetry.metrics)
        engines = make_engines(
            self.settings, measured, self.clock, random, self._kinds, reader, self._cache, self.telemetry
        )
        self._sessions = engines.sessions
        self._principals = engines.principals
        self._platforms = engines.platforms
        self._retention = engines.retention
        self._keys = engines.keys
        self._try_limit = engines.try_limit
        deliveries = make_deliveries(self.settings, self._store, self.clock, carry_here)
        watch = Watch(self.telemetry, self.settings, self._store, self.clock, self._cached, deliveries)
        background = BlockingBackground(
            Background(self._store, engines, self.settings, self.clock, Touches(self._sessions)),
            self.settings,
            deliveries,
            watch,
        )
        self.serving = Serving(self._store, self._sessions, background)
        reached = self._probe

        async def submit(submission: Submission) -> Outcome:
            reached("before_commit")
            outcome = (await engines.changes.submit([submission]))[0]
            reached("after_commit")
            return outcome

        self.handoffs = Handoffs(engines.handoffs)
        self.legacy = LegacySessions(engines.legacy)
        self.bindings = Bindings(engines.bindings)
        self.audit = Audit(engines.audit)
        self.maintenance = MaintenanceMode(engines.maintenance)
        self.configuration = Configuration(self.settings, engines.reloading)
        self.encryption = Encryption(self._store)
        self.presence = Presence(engines.presence)
        self.operators = Operators(engines.operators)
        self.operator_access = OperatorAccess(engines.operator_access)
        self.oversight = Oversight(engines.oversight)
        self.personal_data = PersonalData(engines.erasure, engines.export)
        self.documents = Documents(engines, self._measuring.submitting(submit), reached)

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._is_open

    def open(self) -> None:
        """Makes the store usable; again is no harm. Raises StoreUnavailable, ConfigurationError."""
        with self._opening:
            if not self._is_open:
                self.telemetry.connect()
                drive(self._store.open())
                self._is_open = True

    def close(self) -> None:
        """Lets go of the store."""
        self.serving.end()
        self._is_open = False
        drive(self._store.close())
        if self._cache is not None:
            drive(self._cache.close())

    def _leave_parent(self) -> None:
        """In a child process: connections, locks and threads are the parent's. They are kept, because closing them here would close them there."""
        self._left.append((self._store, self._cache))
        self._make()

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

    def refresh_session(self, session_id: str) -> tuple[Session, str | None]:
        """The session, with a new token unless it got one within `rotation_window_s`: every tab of a browser may ask at once. Raises like
        `get_session`."""
        return drive(self._sessions.refresh(session_id))

    def extend_session(self, session_id: str) -> Session:
        """Moves the idle deadline as activity does, at once; nothing moves the absolute one (`session.can_extend`). Raises like `get_session`."""
        return drive(self._sessions.extend(session_id))

    def set_idle_deadline(self, session_id: str, deadline: datetime) -> Session:
        """Puts the idle deadline there, sooner or later than it was, but not behind the absolute one. Activity moves it on as ever. Raises like
        `get_session`."""
        return drive(self._sessions.set_idle_deadline(session_id, deadline))

    def touch_session(self, session: Session) -> None:
        """Notes activity of the user, which moves the idle deadline; costs nothing when it is not due."""
        self.serving.touch(session)

    def change_session_data(
        self, session_id: str, operations: Sequence[DataOperation], *, user_id: str | None
    ) -> Session:
        """Applies a delta to what stands there now. Raises SessionUpdateError, and like `get_session`."""
        change = self._sessions.change_data(session_id, operations, user_id)
        return drive(self._measuring.commit(session_id, change))

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
        remember: bool = False,
        until: datetime | None = None,
        provider_session: str | None = None,
        fingerprint: str | None = None,
    ) -> Issued:
        """The user is authenticated now: always a new token (ASVS 7.2.4). Raises PlatformRefused, SessionCreationError, InvalidValue."""
        return drive(
            self._sessions.login(
                session_id,
                user_id,
                public=public,
                device=device,
                platform_id=platform_id,
                remember=remember,
                until=until,
                provider_session=provider_session,
                fingerprint=fingerprint,
            )
        )

    def credentials_changed(self, session_id: str) -> tuple[Issued, int]:
        """After another password or factor: ends the user's other sessions, withdraws hand-off codes, and this one gets a new token (ASVS 7.4.3); how many ended. Raises
        AuthenticationRequired for an anonymous session, and like `get_session`."""
        return drive(self._sessions.credentials_changed(session_id))

    def destroy_session(self, session_id: str, *, reason: EndReason = EndReason.LOGOUT) -> bool:
        """True when this call ended it."""
        return drive(self._sessions.end(session_id, reason))

    def count_login_try(self, name: str, address: str) -> None:
        """Before a password is looked at: counts the try over all processes, by name and address (`login_tries_max` within `login_window_s`), and by each of them
        alone (ten times as many). Raises TooManyTries, StoreUnavailable: while nobody can count, nobody tries."""
        drive(self._try_limit.spend(name, address))

    def end_provider_sessions(self, provider_session: str) -> int:
        """For a back-channel logout (OpenID Connect Back-Channel Logout 1.0), after the application has verified the provider's logout token: ends what was
        begun with `login(provider_session=...)`; how many. A token with a `sub` and no `sid` is `cleanup_user_sessions(user_id)`. Put the issuer before the
        `sid` where there are several providers. Raises InvalidValue."""
        return drive(self._sessions.end_of_provider(provider_session, EndReason.PROVIDER))

    def note_anomaly(self, session_id: str | None, anomaly: Anomaly, data: Mapping[str, Any]) -> None:
        """Audits something odd about a session in its stream, or (None) in `system`, and tells the listeners (`EventKind.ANOMALY`). By itself it refuses nobody."""
        drive(self._sessions.note(session_id, anomaly, data))

    def cleanup_user_sessions(
        self, user_id: str, *, keep: str | None = None, reason: EndReason = EndReason.REVOKED
    ) -> int:
        """Ends all sessions of a user but `keep`; how many."""
        return drive(self._sessions.end_of_user(user_id, keep, reason))

    def list_sessions(self, user_id: str, *, after: str | None = None, limit: int | None = None) -> list[Session]:
        """The user's live sessions, oldest first. In pages: at most `limit` of those behind the handle `after`, the last one of the page before. Raises
        InvalidValue."""
        return drive(self._sessions.of_user(user_id, after, limit))

    def get_principal(self, user_id: str) -> Principal | None:
        """What is known of a user; None for one who never had a session."""
        return drive(self._principals.get(user_id))

    def change_principal(
        self,
        user_id: str,
        *,
        public: Mapping[str, Any] | None = None,
        roles: Sequence[str] | None = None,
        end_others: bool = False,
        keep: str | None = None,
    ) -> Principal:
        """Sets what is given: what pages see of the user, in all live sessions at once, and the roles. Raises InvalidValue."""
        return drive(self._principals.change(user_id, public, roles, end_others=end_others, keep=keep))

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

    def sign(self, purpose: str, message: bytes) -> bytes:
        """An HMAC-SHA-256 with the first of `secret_keys` (or the installation's own key), in a key of its own for each purpose."""
        drive(self._keys.ready())
        return self._keys.sign(f"app/{purpose}", message)

    def verify_signature(self, purpose: str, message: bytes, signature: bytes) -> bool:
        """Whether one of `secret_keys` made it; constant time."""
        drive(self._keys.ready())
        return self._keys.verify(f"app/{purpose}", message, signature)

    def forget_old(self) -> int:
        """Removes a batch of what is too old (`ended_retention_d`, `audit_retention_d`, `checkpoint_retention_d`); how many rows. Call it now and then: there is no background work here."""
        retention = self._retention
        return drive(retention.forget_sessions()) + drive(retention.forget_audit()) + drive(retention.forget_passing())

    def transact(self, work: Callable[[Any], T]) -> T:
        """A unit of work on the same database, for an application's own rows: `work` gets a SQLAlchemy connection. Committed when it returns,
        rolled back when it raises. Raises ConfigurationError for a store without a database."""
        return drive(self._store.transact(work))

    def health(self) -> Health:
        """Asks the store for something, and says how long that took. Raises StoreUnavailable when it cannot be reached."""
        return drive(look_at(self._store, self._cached))

    def pool(self) -> PoolStatus | None:
        """Connections to the database just now; None for a store without any, and before it is open. Asks nothing, so it answers while nothing else does."""
        return pool_of(self._store)

    def ready(self) -> None:
        """Raises StoreUnavailable when the store cannot be reached."""
        drive(self._store.read(_look))


def _look(tx: Transaction) -> None:
    tx.instance("ready")


def _leave_parents() -> None:
    for manager in list(_MANAGERS):
        manager._leave_parent()


os.register_at_fork(after_in_child=_leave_parents)
