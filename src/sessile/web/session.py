"""The session in asynchronous frameworks: a dict, who is here, and verbs to be awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any

from msgspec import UNSET, UnsetType

from sessile.model.session import SessionContext
from sessile.web.csrf import check_csrf_token, csrf_token
from sessile.web.detached import DetachedSession
from sessile.web.documents import SessionDocuments
from sessile.web.lanes import in_lane
from sessile.web.request_session import RequestSession


class WebSession(RequestSession):
    """Verbs are awaited in `async def` handlers; in `def` handlers, which run in a worker thread, they return their result directly."""

    def context(self) -> Awaitable[SessionContext | None]:
        """All of it at once: the session with its times, what pages see of the user, the platform. None when there is no live session. Raises
        like `platform_id`."""
        return in_lane(self._context)

    # -- verbs --------------------------------------------------------------------------------------------------------------------------

    @property
    def documents(self) -> SessionDocuments:
        """The documents of this user, or of this anonymous visitor."""
        return SessionDocuments(self._manager.documents, self)

    def count_login_try(self, name: str) -> Awaitable[None]:
        """Before a password is looked at: counts the try by that name and by the address it comes from, over all processes. Raises TooManyTries (429 with
        `Retry-After`; `login_tries_max`), StoreUnavailable."""
        return in_lane(lambda: self._count_login_try(name))

    def login(
        self,
        user_id: str,
        *,
        public: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
        remember: bool = False,
        until: datetime | None = None,
        provider_session: str | None = None,
    ) -> Awaitable[None]:
        """The application has made sure who this is. The browser gets a new token (ASVS 7.2.4); an anonymous session's data and documents come
        along, another user's session ends. `public` is what pages may see of the user; None leaves it. Durable when this returns.
        It begins on the platform that is named, else on the user's default. `remember` gives it the longer clock ("keep me logged in"); what needs a
        recent login goes on needing one. `until` ends it earlier, where an identity provider says so, and `provider_session` is how that one names its
        own (`end_provider_sessions`). Raises StoreUnavailable, SessionCreationError for a disabled user, MaintenanceUnderway, PlatformRefused,
        InvalidValue, ConfigurationError where no cookie can be set."""
        return in_lane(lambda: self._login(user_id, public, platform_id, remember, until, provider_session))

    def extend(self) -> Awaitable[None]:
        """Moves the idle deadline as activity does, at once. Nothing moves the absolute one. Raises AuthenticationRequired, and SessionEnded or
        SessionExpired when it is over by now."""
        return in_lane(self._extend)

    def end_others(self) -> Awaitable[int]:
        """Ends the user's other sessions, on all devices; how many. Raises AuthenticationRequired."""
        return in_lane(self._end_others)

    def credentials_changed(self) -> Awaitable[int]:
        """The user has another password or factor now: ends the other sessions, and gives this browser a new token (ASVS 7.4.3); how many ended.
        Raises AuthenticationRequired."""
        return in_lane(self._credentials_changed)

    def logout(self) -> Awaitable[bool]:
        """Ends the session everywhere, and what this request changed in it is gone. True when there was one to end. Raises StoreUnavailable:
        then nobody was logged out."""
        return in_lane(self._logout)

    def rotate(self) -> Awaitable[None]:
        """A new token for the same user: after a change of rights, say. Without a session there is nothing to do."""
        return in_lane(self._rotate)

    def csrf_token(self) -> Awaitable[str]:
        """A token for a hidden field `csrf_token` of a form in this page; see `require_csrf`. Raises AuthenticationRequired without a session."""
        return in_lane(lambda: csrf_token(self._manager, self.handle, self.user_id))

    def check_csrf_token(self, token: str | None) -> Awaitable[None]:
        """Raises CsrfFailed unless the token was made for a page of this session."""
        return in_lane(lambda: check_csrf_token(self._manager, self.handle, self.user_id, token))

    def switch_platform(self, platform_id: str, *, expected: str | UnsetType | None = UNSET) -> Awaitable[None]:
        """Puts the session, in all tabs that name no platform of their own, on another one; with `expected` only if it still is on that one. Raises
        VersionConflict with the present `platform_id`, PlatformRefused, AuthenticationRequired, SessionReadOnly."""
        return in_lane(lambda: self._switch_platform(platform_id, expected))

    def detached(self) -> DetachedSession:
        """The same session apart from this request, for a `BackgroundTask` or a task of your own: `async with session.detached() as later:`. It may be made
        in the handler or afterwards, and looks at the session when it is entered."""
        return DetachedSession(self._manager, self)

    def save(self) -> Awaitable[None]:
        """Commits what was changed so far, without waiting for the response. Raises SessionEnded, SessionExpired, SessionUpdateError when the
        session is over or another user's by now, InvalidValue, StoreUnavailable."""
        return in_lane(self._save)
