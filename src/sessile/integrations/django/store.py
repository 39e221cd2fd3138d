"""`SessionStore`: Django's contract for a session engine (`SessionBase`), kept by Sessile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, Self, cast

from django.conf import settings as django_settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.utils.module_loading import import_string

from sessile.integrations.django.cookies import KeyCookie, is_ours, scope_without_request
from sessile.integrations.django.core import EXPIRY_KEY, USER_KEY, Core
from sessile.integrations.django.process import Process, here, refuse_on_loop
from sessile.integrations.django.verbs import Verbs
from sessile.model.errors import (
    InvalidValue,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    SessionReadOnly,
    SessionUpdateError,
    StoreUnavailable,
)
from sessile.model.session import Standing
from sessile.web.asgi import Scope
from sessile.web.cookies import CookiePolicy

logger = logging.getLogger("sessile.web")
_GONE: Final = (SessionEnded, SessionExpired, SessionNotFound, SessionUpdateError, SessionReadOnly)
_MISSING: Final = object()


class SessionStore(Verbs, SessionBase):
    """Looked up at its first use. `session_key` is the token, a credential; what an application stores is `handle`. Beside Django's methods it has the
    verbs of the other frameworks.

    Every use can raise StoreUnavailable: an outage is nobody's log-out. In `async def` code the methods with `a` do not hold up the event loop; the
    others raise SynchronousOnlyOperation there as long as they would have to wait.
    """

    def __init__(self, session_key: str | None = None) -> None:
        token = session_key if is_ours(session_key) else None
        self._attach(here(), KeyCookie(token), scope_without_request(), token, counts_reads=True)

    @classmethod
    def of_request(cls, process: Process, scope: Scope, token: str | None) -> Self:
        """For our own middleware, which knows the request and counts activity at its end."""
        made = cls.__new__(cls)
        made._attach(process, process.cookies, scope, token, counts_reads=False)
        return made

    def _attach(
        self, process: Process, cookies: CookiePolicy, scope: Scope, token: str | None, *, counts_reads: bool
    ) -> None:
        self._core = Core(process, cookies, scope, counts_reads=counts_reads)
        self._given = token
        self._is_flagged = False
        self._rotation_due = self._login_due = False
        self._expiry_changed = self._age_changed = False
        self._public_due: Mapping[str, Any] | None = None
        self._loading: asyncio.Event | None = None

    def __repr__(self) -> str:
        """Neither token nor data: a repr ends up in logs."""
        return f"<{type(self).__name__}{' accessed' if self.accessed else ''}>"

    def __bool__(self) -> bool:
        return not self.is_empty()

    @cached_property
    def serializer(self) -> Any:
        """For `encode` and `decode`, which Sessile itself does not use: `sessile.model.values` is its codec."""
        return import_string(django_settings.SESSION_SERIALIZER)

    # -- what is here -------------------------------------------------------------------------------------------------------------------------

    @property
    def accessed(self) -> bool:
        return self._core.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        if value:
            self._core.look()

    @property
    def modified(self) -> bool:
        """Whether there is anything to save or to tell the browser. Nested changes count without anybody saying so."""
        core = self._core
        return self._is_flagged or self._has_work or core.modified or core.new_token is not None

    @modified.setter
    def modified(self, value: bool) -> None:
        self._is_flagged = value

    @property
    def _has_work(self) -> bool:
        return self._rotation_due or self._expiry_changed

    @property
    def session_key(self) -> str | None:
        """The token: a credential, for the cookie and for nothing else. None where there is no session."""
        if self._rotation_due:
            refuse_on_loop()
            self._settle()
        return self._known_key()

    def _known_key(self) -> str | None:
        core = self._core
        if core.new_token is not None:
            return core.new_token
        if core.is_loaded and core.record is None and not core.has_failed:
            return None
        return self._given

    @property
    def _session_key(self) -> str | None:
        return self.session_key

    @_session_key.setter
    def _session_key(self, value: str | None) -> None:
        kept = self._core.data() if self._core.holds_data else {}
        self._attach(self._core.process, KeyCookie(value), scope_without_request(), value, counts_reads=True)
        self.update(kept)

    def is_empty(self) -> bool:
        """True when there is no session and nothing in it. After an outage nobody knows, so it is not; nor where what is kept cannot be read: Django's own
        middleware would take the cookie away."""
        core = self._core
        if self._rotation_due or core.has_failed or core.is_damaged or core.holds_data:
            return False
        return self._known_key() is None

    # -- the dict -----------------------------------------------------------------------------------------------------------------------------

    def _get_session(self, no_load: bool = False) -> dict[str, Any]:
        return self._core.data()

    async def _aget_session(self, no_load: bool = False) -> dict[str, Any]:
        await self._alook()
        return self._core.data()

    async def _alook(self) -> None:
        core = self._core
        while not core.is_loaded:
            if self._loading is not None:  # somebody else in this request is at it
                await self._loading.wait()
                continue
            self._loading = loading = asyncio.Event()
            try:
                await core.look_on_loop()
            finally:
                self._loading = None
                loading.set()

    _session = property(_get_session)

    def __getitem__(self, key: str) -> Any:
        return self._core.data()[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self._core.data().get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self._core.writable()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._core.writable()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._core.data()

    def has_key(self, key: str) -> bool:
        return key in self

    def __iter__(self) -> Any:
        return iter(self._core.data())

    def __len__(self) -> int:
        return len(self._core.data())

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        data = self._core.data()
        if key in data:
            data = self._core.writable()
        return data.pop(key) if default is _MISSING else data.pop(key, default)

    def update(self, dict_: Any) -> None:
        self._core.writable().update(dict_)

    def clear(self) -> None:
        """Empties it. Whoever was logged in by `django.contrib.auth` is not any more, when this is saved."""
        self._core.writable().clear()

    async def aget(self, key: str, default: Any = None) -> Any:
        await self._alook()
        return self.get(key, default)

    async def ahas_key(self, key: str) -> bool:
        await self._alook()
        return key in self

    async def aset(self, key: str, value: Any) -> None:
        await self._aget_session()
        self[key] = value

    async def apop(self, key: str, default: Any = _MISSING) -> Any:
        await self._aget_session()
        return self.pop(key, default)

    async def aupdate(self, dict_: Any) -> None:
        await self._aget_session()
        self.update(dict_)

    async def adelete_test_cookie(self) -> None:
        await self._aget_session()
        self.delete_test_cookie()

    # -- the store ----------------------------------------------------------------------------------------------------------------------------

    def load(self) -> dict[str, Any]:
        return self._core.data()

    def exists(self, session_key: str | None) -> bool:
        """Whether this token stands for a live session. A retired one does not."""
        refuse_on_loop()
        if session_key is None or not is_ours(session_key):
            return False
        try:
            found = self._core.process.opened().authenticate(session_key)
        except (SessionNotFound, SessionEnded, SessionExpired):
            return False
        return found.standing is Standing.CURRENT

    def create(self) -> None:
        """A session of its own, at once and kept, with what is in the dict."""
        refuse_on_loop()
        self._core.look()
        self._core.begin_anew()
        self._rotation_due = False
        self._core.begin()
        self._is_flagged = True

    def save(self, must_create: bool = False) -> None:
        """Writes what was changed: the changed values, not the whole dict. Raises UpdateError when the session has ended, expired or become another
        user's meanwhile; StoreUnavailable, InvalidValue, DocumentTooLarge."""
        refuse_on_loop()
        core = self._core
        core.look()
        before = core.operations_committed
        try:
            self._settle()
            if must_create and core.new_token is None:
                core.begin_anew()
            if core.record is None:
                core.begin()
            else:
                core.save()
                if core.operations_committed == before and core.new_token is None:
                    core.check_alive()
            self._settle_expiry()
        except _GONE as error:
            raise UpdateError(error.message) from error
        core.note_activity()
        self._is_flagged = True

    def delete(self, session_key: str | None = None) -> None:
        """Ends the session that this token stands for, by default its own; an unknown one is no error."""
        refuse_on_loop()
        if session_key is None or session_key == self._known_key():
            self._core.end_current()
            return
        if not is_ours(session_key):
            return
        manager = self._core.process.opened()
        try:
            found = manager.authenticate(session_key)
        except (SessionNotFound, SessionEnded, SessionExpired):
            return
        if found.standing is not Standing.SUPERSEDED:
            manager.destroy_session(found.session_id)

    def flush(self) -> None:
        """Ends the session everywhere; what is written from now on begins another one. Raises StoreUnavailable: then nobody was logged out."""
        refuse_on_loop()
        self._core.logout()
        self._core.user_key = None
        self._rotation_due = self._expiry_changed = False
        if not self._core.is_read_only:
            self._given = None
        self._is_flagged = True

    def cycle_key(self) -> None:
        """A new token for the same session and data, when it is saved or when the token is asked for. `auth.login()` calls this."""
        core = self._core
        if core.is_read_only:
            # The cookie was replaced while this request was under way. Who logs in here begins a session of their own.
            core.begin_anew()
            self._given = None
        self._rotation_due = True

    @classmethod
    def clear_expired(cls) -> None:
        """Marks sessions past a deadline as ended, and removes what is older than the retention settings say, in batches."""
        refuse_on_loop()
        manager = here().opened()
        while manager.cleanup_expired_sessions():
            pass
        while manager.forget_old():
            pass

    async def aload(self) -> dict[str, Any]:
        return await self._aget_session()

    async def aexists(self, session_key: str | None) -> bool:
        return await self._core.process.in_thread(self.exists, session_key)

    async def acreate(self) -> None:
        await self._core.process.in_thread(self.create)

    async def asave(self, must_create: bool = False) -> None:
        await self._core.process.in_thread(self.save, must_create)

    async def adelete(self, session_key: str | None = None) -> None:
        await self._core.process.in_thread(self.delete, session_key)

    async def aflush(self) -> None:
        await self._core.process.in_thread(self.flush)

    async def acycle_key(self) -> None:
        await self._alook()
        await self._core.process.in_thread(self._cycle_key_at_once)

    def _cycle_key_at_once(self) -> None:
        self.cycle_key()
        self._settle()

    @classmethod
    async def aclear_expired(cls) -> None:
        await here().in_thread(cls.clear_expired)

    # -- how long -----------------------------------------------------------------------------------------------------------------------------

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Seconds, never more than what is left until the absolute deadline."""
        return self._capped(super().get_expiry_age(**kwargs), is_plain=not kwargs)

    async def aget_expiry_age(self, **kwargs: Any) -> int:
        return self._capped(await super().aget_expiry_age(**kwargs), is_plain=not kwargs)

    def set_expiry(self, value: int | datetime | timedelta | None) -> None:
        """As Django has it: seconds of inactivity, a date, 0 for the end of the browser's session, None for the project's own. Moves the idle deadline
        and the cookie's age, when it is saved; nothing moves the absolute deadline."""
        super().set_expiry(value)
        self._expiry_changed = True

    async def aset_expiry(self, value: int | datetime | timedelta | None) -> None:
        await self._aget_session()
        self.set_expiry(value)

    @property
    def absolute_left_s(self) -> int | None:
        """Seconds until the absolute deadline, or None while there is no session."""
        record = self._core.record
        if record is None:
            return None
        left = record.absolute_expires_at - self._core.process.manager.clock.now()
        return max(0, int(left.total_seconds()))

    def _capped(self, age_s: float, *, is_plain: bool) -> int:
        left_s = self.absolute_left_s
        return int(age_s if not is_plain or left_s is None else min(age_s, left_s))

    # -- what Django's own calls asked for --------------------------------------------------------------------------------------------------

    def attend_login(self, public: Mapping[str, Any] | None) -> None:
        """What pages may see of the user who is just being logged in."""
        self._public_due = public
        if self._core.data().get(USER_KEY) == self._core.user_key:  # here already: `auth.login()` asks for no new token
            self._login_due = self._rotation_due = True

    def _settle(self) -> None:
        """Brings the session's user and token in step with what `django.contrib.auth` wrote and called."""
        core = self._core
        data = core.data()
        now = cast("str | None", data.get(USER_KEY))
        if now != core.user_key:
            if now is None:
                core.leave()
            else:
                core.become(str(now), self._public_due)
            core.user_key, self._public_due = now, None
        elif self._rotation_due:
            if core.record is None:
                core.begin()
            elif (
                self._login_due and now is not None
            ):  # the same user once more: fresh again, and perhaps on another device
                core.become(str(now), self._public_due)
                self._public_due = None
            else:
                core.rotate()
        self._rotation_due = self._login_due = False

    def _settle_expiry(self) -> None:
        if self._expiry_changed:
            self._core.set_deadline()
            self._expiry_changed, self._age_changed = False, True

    def _settle_if_due(self) -> None:
        """The same, where there may be nothing to do."""
        core = self._core
        core.look()
        if self._rotation_due or (core.holds_data and core.data().get(USER_KEY) != core.user_key):
            refuse_on_loop()
            self._settle()

    # -- for our middleware -----------------------------------------------------------------------------------------------------------------

    def wants_work(self, *, saves_always: bool) -> bool:
        """Whether `commit` would ask the store for anything."""
        core = self._core
        if not core.is_loaded:
            return self._has_work or saves_always
        if core.has_failed or not core.accessed:
            return False
        try:
            return self._has_work or core.modified or core.touch_is_due
        except InvalidValue:
            return True  # so that it is told where errors are

    def commit(self, *, saves_always: bool) -> None:
        """What goes before the first byte of the response. What was changed in a session that has ended meanwhile is dropped: nothing comes back to
        life. Raises StoreUnavailable, InvalidValue, DocumentTooLarge, and what a log-in can."""
        core = self._core
        if saves_always and not core.is_loaded:
            with suppress(StoreUnavailable):
                core.look()
        if core.has_failed or not (core.accessed or self._has_work):
            return
        if not (self._has_work or core.modified):  # usual
            core.note_activity()
            return
        try:
            self._settle_if_due()
            core.commit()
            self._settle_expiry()
        except (SessionEnded, SessionExpired, SessionNotFound, SessionUpdateError) as error:
            logger.info("A request's changes were dropped: %s", error.code, extra={"event_name": "delta_dropped"})
            core.discard()
            self._rotation_due = self._expiry_changed = False
        core.note_activity()

    def cookie_to_tell(self, *, saves_always: bool) -> tuple[str, int | None] | None:
        """The token and age in seconds that the response gives the browser; an empty token takes the cookie away; None leaves it as it is."""
        core = self._core
        if core.new_token is not None:
            return core.new_token, self._cookie_age_s()
        if core.sets_cookie:
            return "", 0
        if (self._age_changed or saves_always) and core.is_current and self._given is not None:
            return self._given, self._cookie_age_s()
        return None

    def close_for_response(self, *, is_streaming: bool) -> None:
        """From now on nothing can be saved. A stream that has not read the session may not begin to: its headers did not say so."""
        if is_streaming:
            self._core.start()
        else:
            self._core.finish()

    def _cookie_age_s(self) -> int | None:
        """As long as the session can live at most, so that it need not be set again; or what `set_expiry` said."""
        if self.get_expire_at_browser_close() or not self._core.process.settings.cookie_persistent:
            return None
        return self.get_expiry_age() if self._core.expiry is not None else self.absolute_left_s


__all__ = ["EXPIRY_KEY", "SessionStore"]
