"""The asyncio facade: sessions, and `documents` beside them. One object for a process, made once and opened with the application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import UNSET, UnsetType

from sessile.engine.caching import SessionCache
from sessile.engine.sessions import DataChange
from sessile.model.anomaly import Anomaly
from sessile.model.delta import DataOperation
from sessile.model.errors import SessionEnded, SessionExpired, SessionNotFound
from sessile.model.events import Event
from sessile.model.health import Health, PoolStatus
from sessile.model.platform import Platform, PlatformEntry
from sessile.model.session import EndReason, Issued, Principal, Session, SessionContext
from sessile.model.values import encode
from sessile.model.wire import platform_to_wire
from sessile.ports import Cache, Clock, Listener, Random, Store, Transaction
from sessile.runtime.assemble import SystemClock, SystemRandom, make_engines, make_store
from sessile.runtime.background import Background
from sessile.runtime.bindings import AsyncBindings
from sessile.runtime.caching import make_cache, make_news, make_reader, make_session_cache, opened
from sessile.runtime.configuration import AsyncConfiguration
from sessile.runtime.delivery import carry_aside, make_deliveries
from sessile.runtime.documents import AsyncDocuments
from sessile.runtime.group_commit import GroupCommit, Probe, no_probe
from sessile.runtime.groups import AsyncAudit, AsyncEncryption, AsyncHandoffs, AsyncLegacySessions, AsyncMaintenanceMode
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.measuring import Measuring
from sessile.runtime.operators import AsyncOperators
from sessile.runtime.oversight import AsyncOperatorAccess, AsyncOversight
from sessile.runtime.personal_data import AsyncPersonalData
from sessile.runtime.presence import AsyncPresence
from sessile.runtime.session_commits import SessionCommits
from sessile.runtime.settings import Settings
from sessile.runtime.touches import Touches
from sessile.runtime.watch import Watch, look_at, make_telemetry, pool_of
from sessile.telemetry.store import MeasuredStore

logger = logging.getLogger("sessile.manager")

T = TypeVar("T")


class AsyncSessionManager:
    """Sessions on an event loop. Every verb can raise StoreUnavailable: that is an outage and never means that nobody is logged in."""

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
        self._store = store or make_store(self.settings, blocking=False)
        random = random or SystemRandom()
        self.telemetry = make_telemetry(self.settings, self.clock)
        """Metrics, health with its history, alerts and traces of this manager."""
        self._measuring = Measuring(self.telemetry)
        reader = make_reader(self._store, blocking=False, telemetry=self.telemetry)
        self._cache = cache or make_cache(self.settings, blocking=False)
        self._cached: SessionCache | None = None
        if self._cache is not None:
            period_s = self.settings.fence_period_s
            self._cached = make_session_cache(
                self._cache, self._store, random, period_s, blocking=False, telemetry=self.telemetry
            )
            reader = opened(self._store, self._cached)
        measured = MeasuredStore(self._store, self.telemetry.metrics)
        engines = make_engines(self.settings, measured, self.clock, random, kinds, reader, self._cache, self.telemetry)
        self._sessions = engines.sessions
        self._principals = engines.principals
        self._platforms = engines.platforms
        self._retention = engines.retention
        self._keys = engines.keys
        self._try_limit = engines.try_limit
        probe = probe or no_probe
        self._news = make_news(self.settings, self._store)
        self._data_commits = SessionCommits(self._sessions)
        writers = self.settings.commit_writers if self._store.writes_at_once else 1
        self._commits = GroupCommit(engines.changes, self.settings.commit_batch_max, probe, writers)
        self._touches = Touches(self._sessions)
        deliveries = make_deliveries(self.settings, self._store, self.clock, carry_aside)
        watch = Watch(self.telemetry, self.settings, self._store, self.clock, self._cached, deliveries)
        self._background = Background(
            self._store, engines, self.settings, self.clock, self._touches, self._cached, deliveries, watch
        )
        self.handoffs = AsyncHandoffs(engines.handoffs)
        self.legacy = AsyncLegacySessions(engines.legacy)
        self.bindings = AsyncBindings(engines.bindings)
        self.audit = AsyncAudit(engines.audit)
        self.maintenance = AsyncMaintenanceMode(engines.maintenance)
        self.configuration = AsyncConfiguration(self.settings, engines.reloading)
        self.encryption = AsyncEncryption(self._store)
        self.presence = AsyncPresence(engines.presence)
        self.operators = AsyncOperators(engines.operators)
        self.operator_access = AsyncOperatorAccess(engines.operator_access)
        self.oversight = AsyncOversight(engines.oversight)
        self.personal_data = AsyncPersonalData(engines.erasure, engines.export)
        self.documents = AsyncDocuments(engines, self._measuring.submitting(self._commits.submit), probe)
        self._opening = asyncio.Lock()
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._is_open

    async def open(self) -> None:
        """Makes the store usable (an embedded database migrates itself) and starts the background work. Again is no harm.
        Raises StoreUnavailable, ConfigurationError."""
        if not self._is_open:  # every request comes by here, so the lock is only for the first
            await self._open_once()

    async def _open_once(self) -> None:
        async with self._opening:
            if self._is_open:
                return
            self.telemetry.connect()
            await self._store.open()
            try:
                if self._news is not None:
                    await self._news.open()
            except BaseException:
                await self._store.close()
                raise
            self._background.start()
            self._is_open = True

    async def close(self) -> None:
        """Waits for the commits under way, writes what activity was seen, and lets go of the store. Again is no harm."""
        async with self._opening:
            if not self._is_open:
                return
            self._is_open = False
            await self._commits.drained()
            await self._data_commits.drained()
            await self._background.stop()
            if self._news is not None:
                await self._news.close()
            await self._store.close()
            if self._cache is not None:
                await self._cache.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def create_session(
        self,
        user_id: str | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        public: Mapping[str, Any] | None = None,
        device: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
    ) -> Issued:
        """A new session and its token, on the platform that is named, else on the user's default. Raises InvalidValue for data that cannot be
        kept, SessionCreationError for a disabled user, PlatformRefused."""
        return await self._sessions.create(
            user_id, data=encode(dict(data or {})), public=public, device=device, platform_id=platform_id
        )

    async def authenticate(self, token: str) -> Session:
        """The session that a token stands for. Raises SessionNotFound, SessionExpired, SessionEnded."""
        return await self._sessions.authenticate(token)

    async def get_session(self, session_id: str) -> Session:
        """The session with this handle. Raises SessionNotFound, SessionExpired, SessionEnded."""
        return await self._sessions.get(session_id)

    async def get_session_context(self, session_id: str) -> SessionContext | None:
        """What a page may know of a live session; None when there is no such session (any more)."""
        try:
            session = await self._sessions.get(session_id)
        except (SessionNotFound, SessionExpired, SessionEnded):
            return None
        platform = platform_to_wire(await self.get_session_platform(session))
        return SessionContext(session, session.public if session.is_authenticated else None, platform)

    async def validate_session(self, session_id: str) -> bool:
        """True when the session is live."""
        return await self.get_session_context(session_id) is not None

    async def refresh_session(self, session_id: str) -> tuple[Session, str | None]:
        """The session, with a new token unless it got one within `rotation_window_s`: every tab of a browser may ask at once. Raises like
        `get_session`."""
        return await self._sessions.refresh(session_id)

    async def extend_session(self, session_id: str) -> Session:
        """Moves the idle deadline as activity does, at once; nothing moves the absolute one (`session.can_extend`). Raises like `get_session`."""
        return await self._sessions.extend(session_id)

    async def set_idle_deadline(self, session_id: str, deadline: datetime) -> Session:
        """Puts the idle deadline there, sooner or later than it was, but not behind the absolute one. Activity moves it on as ever. Raises like
        `get_session`."""
        return await self._sessions.set_idle_deadline(session_id, deadline)

    async def touch_session(self, session: Session) -> None:
        """Notes activity of the user, which moves the idle deadline. Written with others a moment later; costs nothing when it is not due."""
        self._touches.add(session)

    async def change_session_data(
        self, session_id: str, operations: Sequence[DataOperation], *, user_id: str | None
    ) -> Session:
        """Applies a delta to what stands there now. Raises SessionUpdateError when the session is another user's by now, and like `get_session`."""
        change = DataChange(session_id, operations, user_id)
        return await self._measuring.commit(session_id, self._data_commits.submit(change))

    async def rotate_session(self, session_id: str) -> Issued:
        """A new token for the same principal. Raises like `get_session`."""
        return await self._sessions.rotate(session_id)

    async def login(
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
        """The user is authenticated now: always a new token (ASVS 7.2.4), data of an anonymous session is kept, another user's session ends.
        It begins on the platform that is named, else on the user's default. Raises PlatformRefused, SessionCreationError, InvalidValue."""
        return await self._sessions.login(
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

    async def credentials_changed(self, session_id: str) -> tuple[Issued, int]:
        """After another password or factor: ends the user's other sessions, withdraws hand-off codes, and this one gets a new token (ASVS 7.4.3); how many ended. Raises
        AuthenticationRequired for an anonymous session, and like `get_session`."""
        return await self._sessions.credentials_changed(session_id)

    async def destroy_session(self, session_id: str, *, reason: EndReason = EndReason.LOGOUT) -> bool:
        """True when this call ended it. After it has returned no token of it is accepted anywhere."""
        return await self._sessions.end(session_id, reason)

    async def count_login_try(self, name: str, address: str) -> None:
        """Before a password is looked at: counts the try over all processes, by name and address (`login_tries_max` within `login_window_s`), and by each of them
        alone (ten times as many). Raises TooManyTries, StoreUnavailable: while nobody can count, nobody tries."""
        await self._try_limit.spend(name, address)

    async def end_provider_sessions(self, provider_session: str) -> int:
        """For a back-channel logout (OpenID Connect Back-Channel Logout 1.0), after the application has verified the provider's logout token: ends what was
        begun with `login(provider_session=...)`; how many. A token with a `sub` and no `sid` is `cleanup_user_sessions(user_id)`. Put the issuer before the
        `sid` where there are several providers. Raises InvalidValue."""
        return await self._sessions.end_of_provider(provider_session, EndReason.PROVIDER)

    async def note_anomaly(self, session_id: str | None, anomaly: Anomaly, data: Mapping[str, Any]) -> None:
        """Audits something odd about a session in its stream, or (None) in `system`, and tells the listeners (`EventKind.ANOMALY`). By itself it refuses nobody."""
        await self._sessions.note(session_id, anomaly, data)

    async def cleanup_user_sessions(
        self, user_id: str, *, keep: str | None = None, reason: EndReason = EndReason.REVOKED
    ) -> int:
        """Ends all sessions of a user but `keep`; how many."""
        return await self._sessions.end_of_user(user_id, keep, reason)

    async def list_sessions(self, user_id: str, *, after: str | None = None, limit: int | None = None) -> list[Session]:
        """The user's live sessions, oldest first. In pages: at most `limit` of those behind the handle `after`, the last one of the page before. Raises
        InvalidValue."""
        return await self._sessions.of_user(user_id, after, limit)

    async def get_principal(self, user_id: str) -> Principal | None:
        """What is known of a user; None for one who never had a session."""
        return await self._principals.get(user_id)

    async def change_principal(
        self,
        user_id: str,
        *,
        public: Mapping[str, Any] | None = None,
        roles: Sequence[str] | None = None,
        end_others: bool = False,
        keep: str | None = None,
    ) -> Principal:
        """Sets what is given: what pages see of the user, in all live sessions at once, and the roles. Raises InvalidValue. After a change of rights
        end the others (`cleanup_user_sessions(keep=)`) and rotate the session at hand (ASVS 7.4.3)."""
        return await self._principals.change(user_id, public, roles, end_others=end_others, keep=keep)

    async def limit_sessions(self, user_id: str, sessions_max: int | None) -> int:
        """A user's own limit: None is the common one, 0 any number. Sessions beyond it end, the oldest first; how many did."""
        return await self._principals.limit(user_id, sessions_max)

    async def disable_user(self, user_id: str) -> int:
        """Ends all sessions of the user and lets no login through any more (ASVS 7.4.2); how many ended."""
        return await self._principals.disable(user_id)

    async def enable_user(self, user_id: str) -> None:
        """The user may log in again."""
        await self._principals.enable(user_id)

    async def sync_platforms(self, user_id: str, entries: Sequence[PlatformEntry]) -> list[Platform]:
        """Mirrors the application's accounts of a user; returns the active ones. What is missing becomes inactive, and sessions on it go to the
        default. Raises InvalidValue, and PlatformRefused for an id that is active with another user."""
        return await self._platforms.sync(user_id, entries)

    async def list_platforms(self, user_id: str, *, with_inactive: bool = False) -> list[Platform]:
        """The user's platforms, oldest first."""
        return await self._platforms.list(user_id, with_inactive=with_inactive)

    async def ensure_default_platform(self, user_id: str) -> Platform | None:
        """Where new sessions of the user begin, chosen now if there was none; None when the user has no active platform."""
        return await self._platforms.ensure_default(user_id)

    async def set_default_platform(self, user_id: str, platform_id: str) -> Platform:
        """New sessions of the user begin there from now on. Raises PlatformRefused."""
        return await self._platforms.set_default(user_id, platform_id)

    async def check_platform(self, user_id: str | None, platform_id: str) -> Platform:
        """The platform, if the user may be on it. Raises PlatformRefused, whose `reason` is the true one: `missing`, `other_owner`, `inactive`."""
        return await self._platforms.check(user_id, platform_id)

    async def get_session_platform(self, session: Session) -> Platform | None:
        """The platform that the session is on."""
        return await self._platforms.of_session(session)

    async def switch_platform(
        self, session_id: str, platform_id: str, *, expected: str | UnsetType | None = UNSET
    ) -> Session:
        """The session, on that platform. With `expected` only if it is on that one (None: on none) until then; else raises VersionConflict with
        the present one. Raises PlatformRefused, and like `get_session`."""
        return await self._platforms.switch(session_id, platform_id, expected)

    async def cleanup_expired_sessions(self) -> int:
        """Ends a batch (`sweep_batch`) of sessions past a deadline; how many. The background work does it anyway."""
        return await self._sessions.sweep(self.settings.sweep_batch)

    async def sign(self, purpose: str, message: bytes) -> bytes:
        """An HMAC-SHA-256 with the first of `secret_keys` (or the installation's own key), in a key of its own for each purpose."""
        await self._keys.ready()
        return self._keys.sign(f"app/{purpose}", message)

    async def verify_signature(self, purpose: str, message: bytes, signature: bytes) -> bool:
        """Whether one of `secret_keys` made it; constant time."""
        await self._keys.ready()
        return self._keys.verify(f"app/{purpose}", message, signature)

    async def forget_old(self) -> int:
        """Removes a batch of what is too old (`ended_retention_d`, `audit_retention_d`, `checkpoint_retention_d`); how many rows The background work does it anyway."""
        retention = self._retention
        return await retention.forget_sessions() + await retention.forget_audit() + await retention.forget_passing()

    async def transact(self, work: Callable[[Any], T]) -> T:
        """A unit of work on the same database, for an application's own rows: `work` gets a SQLAlchemy connection. Committed when it returns,
        rolled back when it raises. Raises ConfigurationError for a store without a database."""
        return await self._store.transact(work)

    async def health(self) -> Health:
        """Asks the store for something, and says how long that took. Raises StoreUnavailable when it cannot be reached."""
        return await look_at(self._store, self._cached)

    def pool(self) -> PoolStatus | None:
        """Connections to the database just now; None for a store without any, and before it is open. Asks nothing, so it answers while nothing else does."""
        return pool_of(self._store)

    async def ready(self) -> None:
        """Raises StoreUnavailable when the store cannot be reached."""
        await self._store.read(_look)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener` is called on the loop with the events of each commit, and with hints of what other processes committed
        (then without `changes`). It must not raise or block. Returns the way to stop."""

        def guarded(events: Sequence[Event]) -> None:
            try:
                listener(events)
            except Exception:  # a listener's fault must not undo what is committed, nor starve the other listeners
                logger.exception("A listener for events failed", extra={"event_name": "listener_failed"})

        return self._store.subscribe(guarded)


def _look(tx: Transaction) -> None:
    tx.instance("ready")
