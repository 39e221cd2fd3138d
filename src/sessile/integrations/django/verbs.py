"""What `request.session` can do beside Django's own methods: the same words as in the other frameworks, and each with `a` for `async def` code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET, UnsetType

from sessile.integrations.django.process import refuse_on_loop
from sessile.model.session import SessionContext
from sessile.web.blocking_documents import BlockingSessionDocuments

if TYPE_CHECKING:
    from sessile.integrations.django.core import Core

T = TypeVar("T")


class AwaitableDocuments:
    """`documents` for `async def` code: every verb of BlockingSessionDocuments, to be awaited."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not hasattr(BlockingSessionDocuments, name):
            raise AttributeError(name)

        async def verb(*args: Any, **named: Any) -> Any:
            verbs = self._verbs
            return await verbs._core.process.in_thread(lambda: getattr(verbs.documents, name)(*args, **named))

        return verb


class Verbs:
    """What is read is in step with `auth.login()` and `auth.logout()` of the same request."""

    _core: Core

    def _settle_if_due(self) -> None:
        raise NotImplementedError

    def _settled(self) -> Core:
        self._settle_if_due()
        return self._core

    def _free(self) -> Core:
        """For what has to wait for the store."""
        refuse_on_loop()
        return self._settled()

    # -- who is here ------------------------------------------------------------------------------------------------------------------------

    @property
    def handle(self) -> str | None:
        """The session's public id, never a credential: the one to store. None while nothing is kept of an anonymous visitor."""
        return self._settled().handle

    @property
    def user_id(self) -> str | None:
        """The user's primary key as text, after `auth.login()`; or what `login()` was told."""
        return self._settled().user_id

    @property
    def is_authenticated(self) -> bool:
        return self.user_id is not None

    @property
    def platform_id(self) -> str | None:
        """Where the user works. Raises PlatformRefused when the request names another one that it may not."""
        return self._settled().platform_id

    @property
    def public(self) -> Mapping[str, Any]:
        """What pages may see of the user."""
        return self._settled().public

    @property
    def created_at(self) -> datetime | None:
        return self._settled().created_at

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user last proved who they are."""
        return self._settled().authenticated_at

    @property
    def reason(self) -> str | None:
        """Why nobody is logged in: `no_cookie`, `duplicate_cookie`, `unknown`, `expired:idle`, `expired:absolute`, `ended:<reason>`, `damaged`, `superseded`,
        `anonymous`. None when somebody is."""
        return self._settled().reason

    @property
    def is_read_only(self) -> bool:
        """Whether the browser has a newer cookie by now."""
        return self._settled().is_read_only

    @property
    def passive(self) -> bool:
        """True: this request is no activity of the user (a poll) and does not move the idle deadline."""
        return self._core.passive

    @passive.setter
    def passive(self, value: bool) -> None:
        self._core.passive = value

    @property
    def documents(self) -> BlockingSessionDocuments:
        """The documents of this user, or of this anonymous visitor."""
        return self._free().documents

    @property
    def adocuments(self) -> AwaitableDocuments:
        """The same for `async def` code: `await request.session.adocuments.open(...)`."""
        return AwaitableDocuments(self)

    def require_user(self) -> str:
        """The user's id. Raises AuthenticationRequired."""
        return self._settled().require_user()

    def require_fresh(self, max_age_s: float | None = None) -> None:
        """Raises FreshnessRequired when the last log-in is older, AuthenticationRequired."""
        self._settled().require_fresh(max_age_s)

    @property
    def is_bound(self) -> bool:
        """Whether this request showed that it comes from the device that the session is bound to (`dbsc`)."""
        return self._settled().is_bound

    def require_bound(self, *, always: bool = False) -> None:
        """Raises BindingRequired, AuthenticationRequired. As in the other frameworks."""
        self._settled().require_bound(always=always)

    # -- verbs ------------------------------------------------------------------------------------------------------------------------------

    def context(self) -> SessionContext | None:
        """Session, user and platform at once; None when there is no live session."""
        return self._free().context()

    def count_login_try(self, name: str) -> None:
        """Before a password is looked at: counts the try by that name and by the address it comes from, over all processes. Raises TooManyTries (429 with
        `Retry-After`; `login_tries_max`), StoreUnavailable."""
        refuse_on_loop()
        self._core.count_login_try(name)

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
        """For projects without `django.contrib.auth`, which uses its own `auth.login()`. As `BlockingSession.login`."""
        self._free().login(
            user_id,
            public=public,
            platform_id=platform_id,
            remember=remember,
            until=until,
            provider_session=provider_session,
        )

    def logout(self) -> bool:
        """Ends the session everywhere. True when there was one to end. `request.user` does not know of it: with `django.contrib.auth` call `auth.logout()`."""
        refuse_on_loop()
        self._core.look()
        return self._core.logout()

    def rotate(self) -> None:
        """A new token for the same user, at once."""
        self._free().rotate()

    def extend(self) -> None:
        """Moves the idle deadline as activity does, at once. Raises AuthenticationRequired, SessionEnded, SessionExpired."""
        self._free().extend()

    def end_others(self) -> int:
        """Ends the user's other sessions, on all devices; how many. Raises AuthenticationRequired."""
        return self._free().end_others()

    def credentials_changed(self) -> int:
        """The user has another password or factor now: ends the other sessions, gives this browser a new token; how many ended. A change of a Django
        user's password does that by itself."""
        return self._free().credentials_changed()

    def switch_platform(self, platform_id: str, *, expected: str | UnsetType | None = UNSET) -> None:
        """Puts the session on another platform. Raises VersionConflict, PlatformRefused, AuthenticationRequired, SessionReadOnly."""
        self._free().switch_platform(platform_id, expected=expected)

    def csrf_token(self) -> str:
        """A token for a form of the service's own API; Django's `{% csrf_token %}` is another thing. Raises AuthenticationRequired."""
        return self._free().csrf_token()

    def check_csrf_token(self, token: str | None) -> None:
        """Raises CsrfFailed unless the token was made for a page of this session."""
        self._free().check_csrf_token(token)

    # -- the same, awaited --------------------------------------------------------------------------------------------------------------------

    async def _away(self, verb: Callable[..., T], *args: Any, **named: Any) -> T:
        return await self._core.process.in_thread(lambda: verb(*args, **named))

    async def acontext(self) -> SessionContext | None:
        return await self._away(self.context)

    async def acount_login_try(self, name: str) -> None:
        await self._away(self.count_login_try, name)

    async def alogin(
        self,
        user_id: str,
        *,
        public: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
        remember: bool = False,
        until: datetime | None = None,
        provider_session: str | None = None,
    ) -> None:
        named = {"platform_id": platform_id, "remember": remember, "until": until, "provider_session": provider_session}
        await self._away(self.login, user_id, public=public, **named)

    async def alogout(self) -> bool:
        return await self._away(self.logout)

    async def arotate(self) -> None:
        await self._away(self.rotate)

    async def aextend(self) -> None:
        await self._away(self.extend)

    async def aend_others(self) -> int:
        return await self._away(self.end_others)

    async def acredentials_changed(self) -> int:
        return await self._away(self.credentials_changed)

    async def aswitch_platform(self, platform_id: str, *, expected: str | UnsetType | None = UNSET) -> None:
        await self._away(self.switch_platform, platform_id, expected=expected)

    async def acsrf_token(self) -> str:
        return await self._away(self.csrf_token)

    async def acheck_csrf_token(self, token: str | None) -> None:
        await self._away(self.check_csrf_token, token)
