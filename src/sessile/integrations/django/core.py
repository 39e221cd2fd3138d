"""The session behind Django's `SessionStore`: that of the other blocking frameworks, and what Django's contract adds to it."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sessile.integrations.django.cookies import USER_AGENT_KEY
from sessile.integrations.django.process import Process, refuse_on_loop
from sessile.model.delta import Tracked, is_readable
from sessile.model.errors import (
    SessileError,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    StoreUnavailable,
)
from sessile.model.session import Session, Standing
from sessile.runtime.lane import drive
from sessile.web import trace
from sessile.web.asgi import Scope
from sessile.web.binding import REASON as UNBOUND
from sessile.web.binding import RawHeaders, offered, seen_from
from sessile.web.blocking_session import BlockingSession
from sessile.web.cookies import CookiePolicy
from sessile.web.device_label import label_of
from sessile.web.fingerprint import REASON, is_same_browser
from sessile.web.guessing import note_unknown
from sessile.web.loading import Loaded, Source, load, without_record

USER_KEY: Final = "_auth_user_id"
"""Where `django.contrib.auth` writes who is logged in."""
EXPIRY_KEY: Final = "_session_expiry"
"""Where `set_expiry` writes, as Django does: seconds, or a date as text."""
_EXPIRY_RAW: Final = b'"_session_expiry"'
LAST_LOADED: Final[ContextVar[weakref.ref[Core] | None]] = ContextVar("sessile.django.last_loaded", default=None)
"""Where no middleware of ours says which request is under way: the session that was looked up last here."""

logger = logging.getLogger("sessile.web")


class Core(BlockingSession):
    """`counts_reads`: a read is activity by itself, because no middleware of ours will count it."""

    def __init__(self, process: Process, cookies: CookiePolicy, scope: Scope, *, counts_reads: bool) -> None:
        super().__init__(process.finished, cookies, scope)
        self.process = process
        self._counts_reads = counts_reads
        self.user_key: str | None = None
        """What stood under `_auth_user_id` when that was last in step with the session's user."""

    _offers_binding = False

    # -- what is known without asking anybody -------------------------------------------------------------------------------------------------

    @property
    def is_loaded(self) -> bool:
        return self._is_loaded

    @property
    def has_failed(self) -> bool:
        """Whether nobody could look."""
        return self._failure is not None

    @property
    def record(self) -> Session | None:
        """As far as it was loaded; not a read."""
        return self._record

    @property
    def new_token(self) -> str | None:
        return self._new_token if self._record is not None else None

    @property
    def holds_data(self) -> bool:
        """Whether there is anything in the dict, as far as it was loaded."""
        if self._tracked is not None:
            return bool(self._tracked.value)
        return self._record is not None and self._record.data != b"{}"

    @property
    def is_damaged(self) -> bool:
        """Whether what is kept of the session that the browser came with cannot be read."""
        return self._damaged is not None

    @property
    def is_current(self) -> bool:
        """Whether the browser's cookie is the session's present token."""
        return (
            self._record is not None and self._record.standing is Standing.CURRENT and self._source is not Source.BEARER
        )

    @property
    def expiry(self) -> float | datetime | None:
        """What `set_expiry` was told, for this session: seconds of inactivity, a date, or None."""
        if self._tracked is None:
            if self._record is None or _EXPIRY_RAW not in self._record.data:
                return None
            if not is_readable(self._record.data):
                return None  # who uses the data is told
            value = self._data().get(EXPIRY_KEY)
        else:
            value = self._tracked.value.get(EXPIRY_KEY)
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return value or None

    def deadline(self, now: datetime) -> datetime | None:
        """Where activity now puts the idle deadline, if `set_expiry` says anything about that."""
        expiry = self.expiry
        if expiry is None:
            return None
        return _aware(expiry) if isinstance(expiry, datetime) else now + timedelta(seconds=expiry)

    @property
    def touch_is_due(self) -> bool:
        """Whether `count_activity` would write."""
        record = self._record
        if record is None or not self._accessed or self._new_token is not None or self.passive:
            return False
        now = self.process.manager.clock.now()
        expiry = self.expiry
        if expiry is None:
            return record.standing is Standing.CURRENT and self.process.expiry.touch_is_due(record, now)
        if isinstance(expiry, datetime) or record.standing is not Standing.CURRENT:
            return False
        return now + timedelta(seconds=expiry) - record.idle_expires_at > timedelta(seconds=expiry / 20)

    # -- loading ------------------------------------------------------------------------------------------------------------------------------

    def look(self) -> Session | None:
        """The record, for whoever depends on it. Raises StoreUnavailable, and SynchronousOnlyOperation where it would hold up an event loop."""
        return self._seen()

    def _seen(self) -> Session | None:
        if self._accessed and self._is_loaded and self._failure is None:
            return self._record  # every read comes by here
        if not self._is_loaded:
            refuse_on_loop()
            record = super()._seen()
            if record is not None and self._counts_reads:
                LAST_LOADED.set(weakref.ref(self))
                self.note_activity()
            return record
        return super()._seen()

    def _load(self) -> None:
        if not self._counts_reads:  # else it may as well be a script
            self.process.begin_serving()
        self._take_once(self._looked_up())

    async def look_on_loop(self) -> None:
        """Loads it without holding up the event loop: there, where the service runs on it, else in a thread. Raises like `look`."""
        manager = None if self._counts_reads else self.process.on_loop.get(asyncio.get_running_loop())
        if manager is None:
            await self.process.in_thread(self.look)
        else:
            self._take_once(await load(manager, self._cookies, self._scope))

    def _take_once(self, loaded: Loaded) -> None:
        """Not known to be loaded before it is: others may be asking at the same time."""
        if not self._is_loaded:
            self._is_loaded = True
            self.take(loaded)

    def _looked_up(self) -> Loaded:
        """As `load` does it. The usual request, with a cookie and neither bearer token nor platform, goes by a short way."""
        manager = self.process.manager
        if not manager.is_open or len(self._scope["headers"]) != 1:
            return drive(load(self._manager, self._cookies, self._scope))
        found = self._cookies.read(self._scope)
        if found.token is None:
            return Loaded(Source.NONE, reason=found.reason)
        try:
            record = manager.authenticate(found.token)
            if record.fingerprint is not None and not drive(is_same_browser(self._manager, self._scope, record)):
                return Loaded(Source.COOKIE, reason=REASON)
            if record.binding is not None:
                usable, seen = drive(seen_from(self._manager, self._scope, record))
                if usable is None:
                    return Loaded(Source.COOKIE, reason=UNBOUND, binding=seen, denied=record)
                return Loaded(Source.COOKIE, usable, binding=seen)
            return Loaded(Source.COOKIE, record)
        except SessileError as error:
            if type(error) is SessionNotFound:
                drive(note_unknown(self._manager, self._scope))
            return without_record(Source.COOKIE, error)

    def take(self, loaded: Loaded) -> None:
        super().take(loaded)
        if loaded.source is not Source.NONE:
            trace.loaded(self._scope, loaded)
        record = loaded.record
        if record is not None and _EXPIRY_RAW in record.data and self._is_over(record):
            self._tracked, self._record, self._reason = None, None, "expired:idle"

    def _is_over(self, record: Session) -> bool:
        """Other activity than requests of Django can have moved the row's own deadline on: what `set_expiry` said holds all the same."""
        expiry = self.expiry
        if expiry is None:
            return False
        at = _aware(expiry) if isinstance(expiry, datetime) else record.last_seen_at + timedelta(seconds=expiry)
        return self.process.manager.clock.now() >= at

    def _data(self) -> dict[str, Any]:
        if self._tracked is not None:
            self._seen()
            return self._tracked.value
        data = super()._data()
        self.user_key = data.get(USER_KEY)
        return data

    def data(self) -> dict[str, Any]:
        """The dict itself. Raises like `look`."""
        return self._data()

    def writable(self) -> dict[str, Any]:
        """The dict, for whoever writes. Raises SessionReadOnly, SessionClosed, and like `look`."""
        return self._writable()

    # -- verbs that Django's contract needs ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A session of its own for what is in the dict."""
        drive(self._begin())

    def begin_anew(self) -> None:
        """Lets go of the session without ending it; what is in the dict stays, for another one."""
        kept = self._tracked.value if self._tracked is not None else {}
        self._record, self._new_token, self._cookie_ends = None, None, False
        self._tracked = Tracked()
        self._tracked.value.update(kept)
        self.user_key = None

    def become(self, user_id: str, public: Mapping[str, Any] | None) -> None:
        """Somebody else is logged in, as the application says in the dict, which stays as the application wants it."""
        kept = dict(self.data())
        self.login(user_id, public=public)
        if self._tracked is None:
            self._data().update(kept)

    async def _offer_binding(self) -> None:
        """The middleware knows whether the request came over https, and asks for it then."""
        self._offers_binding = True

    def binding_offer(self, root: str | None, *, is_secure: bool) -> RawHeaders:
        """Headers that go with the new cookie of a log-in. `root` is where the API's URLs are mounted; None: nowhere."""
        if not self._offers_binding or root is None:
            return ()
        return drive(offered(self._manager, self._record, root, is_secure=is_secure))

    def leave(self) -> None:
        """Nobody is logged in any more; what is left in the dict begins a session of its own."""
        kept = dict(self.data())
        self.logout()
        self._data().update(kept)

    def check_alive(self) -> None:
        """Raises SessionEnded, SessionExpired, SessionNotFound, StoreUnavailable."""
        if self._record is None:
            raise SessionNotFound
        self.process.opened().get_session(self._record.session_id)

    def set_deadline(self) -> None:
        """Writes what `set_expiry` said into the row. Raises like `check_alive`."""
        record = self._record
        if record is None:
            return
        now = self.process.manager.clock.now()
        deadline = self.deadline(now) or self.process.expiry.idle_deadline_of(record, now)
        moved = self.process.opened().set_idle_deadline(record.session_id, deadline)
        self._record = _with_deadline(record, moved)

    def note_activity(self) -> None:
        """Counts this request as activity, where that is due. That it could not be written is no reason to refuse an answer."""
        if not self.touch_is_due:
            return
        try:
            if self.expiry is None:
                self.count_activity()
            else:
                self.set_deadline()
        except (StoreUnavailable, SessionEnded, SessionExpired, SessionNotFound) as error:
            logger.info(
                "A request was not counted as activity of its session: %s",
                error.code,
                extra={"event_name": "touch_unwritten"},
            )

    def _device_facts(self) -> Mapping[str, Any] | None:
        user_agent = self._scope.get(USER_AGENT_KEY)
        return {"label": label_of(user_agent)} if user_agent else None

    def end_current(self) -> None:
        """Ends it, but goes on knowing it: a later save must be able to tell."""
        record = self.look() or self._damaged
        if record is not None and not record.is_read_only:
            self.process.opened().destroy_session(record.session_id)


def _with_deadline(record: Session, moved: Session) -> Session:
    return replace(
        record, idle_expires_at=moved.idle_expires_at, last_seen_at=moved.last_seen_at, version=moved.version
    )


def _aware(moment: datetime) -> datetime:
    """Django may run without time zones (`USE_TZ`); a naive time is this machine's."""
    return moment if moment.tzinfo is not None else moment.astimezone()
