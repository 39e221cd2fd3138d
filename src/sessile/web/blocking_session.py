"""The session in blocking frameworks: a dict, who is here, and verbs that are done when they return."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, cast

from msgspec import UNSET, UnsetType

from sessile.model.errors import StoreUnavailable
from sessile.model.session import Session, SessionContext
from sessile.runtime.blocking import SessionManager
from sessile.runtime.lane import drive
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.blocking_documents import BlockingSessionDocuments
from sessile.web.csrf import check_csrf_token, csrf_token
from sessile.web.loading import Loaded, load
from sessile.web.request_session import RequestSession

logger = logging.getLogger("sessile.web")


def finished(manager: SessionManager) -> AsyncSessionManager:
    """The blocking facade with the verbs of the asyncio facade: each is finished when it is awaited, so that what is written once for both lanes can
    be driven without an event loop."""
    return cast("AsyncSessionManager", _Finished(manager))


class _Finished:
    def __init__(self, facade: Any) -> None:
        self.facade = facade

    @property
    def is_open(self) -> bool:
        is_open: bool = self.facade.is_open
        return is_open

    @property
    def authenticate(self) -> Callable[[str], Coroutine[Any, Any, Session]]:
        """Each request comes by here, so without the facade's own turn, and without one of ours."""
        verb: Callable[[str], Coroutine[Any, Any, Session]] = self.facade.serving.authenticate
        return verb

    @property
    def legacy(self) -> _Finished:
        """A group of verbs, finished in the same way."""
        return _Finished(self.facade.legacy)

    @property
    def bindings(self) -> _Finished:
        """The same."""
        return _Finished(self.facade.bindings)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.facade, name)
        if not callable(value):
            return value

        async def verb(*args: Any, **named: Any) -> Any:
            return value(*args, **named)

        setattr(self, name, verb)  # the next look does not come here
        return verb


class BlockingSession(RequestSession):
    """Looked up at its first use, so a request that does not use it asks the store for nothing.

    `manager` is what `finished` gives. Every verb can raise StoreUnavailable: an outage is nobody's log-out.
    """

    _is_loaded = False

    def _seen(self) -> Session | None:
        if not self._is_loaded:
            self._load()
        return super()._seen()

    def _load(self) -> None:
        self._is_loaded = True
        self.take(self._looked_up())

    def _looked_up(self) -> Loaded:
        return drive(load(self._manager, self._cookies, self._scope))

    @property
    def is_read_only(self) -> bool:
        """Whether the browser has a newer cookie by now (`reason` is `superseded`)."""
        self._seen()
        return super().is_read_only

    @property
    def documents(self) -> BlockingSessionDocuments:
        """The documents of this user, or of this anonymous visitor."""
        return BlockingSessionDocuments(cast("SessionManager", self._manager).documents, self)

    def context(self) -> SessionContext | None:
        """All of it at once: the session with its times, what pages see of the user, the platform. None when there is no live session. Raises
        like `platform_id`."""
        return drive(self._context())

    def count_login_try(self, name: str) -> None:
        """Before a password is looked at: counts the try by that name and by the address it comes from, over all processes. Raises TooManyTries (429 with
        `Retry-After`; `login_tries_max`), StoreUnavailable."""
        drive(self._count_login_try(name))

    def login(
        self,
        user_id: str,
        *,
        public: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
        remember: bool = False,
        until: datetime | None = None,
        provider_session: str | None = None,
    ) -> None:
        """The application has made sure who this is. The browser gets a new token (ASVS 7.2.4); an anonymous session's data and documents come
        along, another user's session ends. `public` is what pages may see of the user; None leaves it. Durable when this returns.
        It begins on the platform that is named, else on the user's default. `remember` gives it the longer clock ("keep me logged in"); what needs a
        recent login goes on needing one. `until` ends it earlier, where an identity provider says so, and `provider_session` is how that one names its
        own (`end_provider_sessions`). Raises StoreUnavailable, SessionCreationError for a disabled user, MaintenanceUnderway, PlatformRefused,
        InvalidValue, ConfigurationError where no cookie can be set."""
        drive(self._login(user_id, public, platform_id, remember, until, provider_session))

    def extend(self) -> None:
        """Moves the idle deadline as activity does, at once. Nothing moves the absolute one. Raises AuthenticationRequired, and SessionEnded or
        SessionExpired when it is over by now."""
        drive(self._extend())

    def end_others(self) -> int:
        """Ends the user's other sessions, on all devices; how many. Raises AuthenticationRequired."""
        return drive(self._end_others())

    def credentials_changed(self) -> int:
        """The user has another password or factor now: ends the other sessions, and gives this browser a new token (ASVS 7.4.3); how many ended.
        Raises AuthenticationRequired."""
        return drive(self._credentials_changed())

    def logout(self) -> bool:
        """Ends the session everywhere, and what this request changed in it is gone. True when there was one to end. Raises StoreUnavailable:
        then nobody was logged out."""
        return drive(self._logout())

    def rotate(self) -> None:
        """A new token for the same user: after a change of rights, say. Without a session there is nothing to do."""
        drive(self._rotate())

    def csrf_token(self) -> str:
        """A token for a hidden field `csrf_token` of a form in this page. Raises AuthenticationRequired without a session."""
        return drive(csrf_token(self._manager, self.handle, self.user_id))

    def check_csrf_token(self, token: str | None) -> None:
        """Raises CsrfFailed unless the token was made for a page of this session."""
        drive(check_csrf_token(self._manager, self.handle, self.user_id, token))

    def switch_platform(self, platform_id: str, *, expected: str | UnsetType | None = UNSET) -> None:
        """Puts the session, in all tabs that name no platform of their own, on another one; with `expected` only if it still is on that one. Raises
        VersionConflict with the present `platform_id`, PlatformRefused, AuthenticationRequired, SessionReadOnly."""
        drive(self._switch_platform(platform_id, expected))

    def save(self) -> None:
        """Commits what was changed so far, without waiting for the response. Raises SessionEnded, SessionExpired, SessionUpdateError when the
        session is over or another user's by now, InvalidValue, StoreUnavailable."""
        drive(self._save())

    # -- for the integration ------------------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """What goes before the first byte of the response. Raises like `commit_for_response`."""
        if self._tracked is not None and not self._tracked.is_as_loaded:
            drive(self.commit_for_response())

    def count_activity(self) -> None:
        """See `touch`. An outage is no reason to refuse what was answered without the store: it is noted, and the next request counts instead."""
        record = self._record
        if record is None or self._new_token is not None or self.passive or not self._accessed:
            return
        try:
            cast("_Finished", self._manager).facade.serving.touch(record)
        except StoreUnavailable:
            logger.warning(
                "The store is away: the last activity of a session was not written",
                extra={"event_name": "touch_unwritten"},
            )
