"""The session of one request or socket, in whichever lane: who is here, what the verbs do, and what the response must say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from msgspec import UnsetType
from msgspec.structs import replace

from sessile.engine.binding import BindingSeen
from sessile.model.document import Actor
from sessile.model.errors import (
    AuthenticationRequired,
    BindingRequired,
    FreshnessRequired,
    InvalidValue,
    SessionClosed,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    SessionReadOnly,
    SessionUpdateError,
)
from sessile.model.session import EndReason, Issued, Session, SessionContext, Standing
from sessile.model.wire import platform_to_wire
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.asgi import Scope, header_values, scheme_of
from sessile.web.binding import offered
from sessile.web.cookies import CookiePolicy
from sessile.web.device_label import label_of
from sessile.web.fingerprint import fingerprint_of
from sessile.web.loading import NO_OVERRIDE, Loaded, Override, Source
from sessile.web.mapping import Phase, SessionMapping
from sessile.web.platforms import echo_value

logger = logging.getLogger("sessile.web")

_REQUEST_OVER: Final[Scope] = {"type": "http", "headers": ()}
_SOCKET_OVER: Final[Scope] = {"type": "websocket", "headers": ()}

_NO_SESSION_BY_SOCKET: Final = (
    "There is no session yet, and none can begin over a socket, which cannot set a cookie. Begin it in an HTTP request."
)
_NO_TOKEN_BY_SOCKET: Final = "A socket cannot give the browser a new token. Do this in an HTTP request."  # noqa: S105
_NO_TOKEN_BY_BEARER: Final = "This request came with a bearer token, and a new one would have nowhere to go. Use the manager, and hand its token to the client."  # noqa: S105
_GONE: Final = (SessionEnded, SessionExpired, SessionNotFound, SessionUpdateError)


class RequestSession(SessionMapping):
    """What `WebSession` and `BlockingSession` have in common. `manager` has the verbs of the asyncio facade; in the blocking lane each of them is
    finished when it is awaited."""

    # What nearly every request leaves as it is stands in the class: making this object is a good part of what a request with a session costs.
    _source = Source.NONE
    _override = NO_OVERRIDE
    _new_token: str | None = None
    forgetting: tuple[tuple[bytes, bytes], ...] = ()
    """Headers that go with a new token: another library's cookie is to be forgotten, a binding to the device is offered."""
    _cookie_ends = False
    _binding = BindingSeen.NONE
    _denied: Session | None = None
    _goes_on_over_damage = True
    operations_committed = 0
    """How many changes of data this request has saved so far."""
    passive = False
    """True: this request is no activity of the user (a poll, a heartbeat) and does not move the idle deadline."""

    def __init__(
        self, manager: AsyncSessionManager, cookies: CookiePolicy, scope: Scope, loaded: Loaded | None = None
    ) -> None:
        self._manager = manager
        self._cookies = cookies
        self._scope = scope
        if loaded is not None:
            self.take(loaded)

    def take(self, loaded: Loaded) -> None:
        """What became of the request's credential."""
        self._record, self._reason, self._failure = loaded.record, loaded.reason, loaded.failure
        self._source = loaded.source
        self._override = loaded.override or NO_OVERRIDE
        if loaded.binding is not BindingSeen.NONE:
            self._binding, self._denied = loaded.binding, loaded.denied
        if loaded.token is not None:
            self._new_token, self.forgetting = loaded.token, loaded.forgetting
            self._accessed = self._accessed or self._phase is Phase.OPEN

    # -- who is here ------------------------------------------------------------------------------------------------------------------

    @property
    def handle(self) -> str | None:
        """The session's public id, never a credential. None while nothing is kept of an anonymous visitor."""
        record = self._visible()
        return record.session_id if record is not None else None

    @property
    def user_id(self) -> str | None:
        record = self._visible()
        return record.user_id if record is not None else None

    @property
    def platform_id(self) -> str | None:
        """Where the user works: on the platform that this request names in the header `Sessile-Platform`, else on the session's. Raises
        PlatformRefused when the one that is named is not the user's or not active."""
        record = self._visible()
        if record is None:
            return None
        if self._override.failure is not None:
            raise self._override.failure
        platform = self._override.platform
        return platform.platform_id if platform is not None else record.platform_id

    @property
    def public(self) -> Mapping[str, Any]:
        """What pages may see of the user; set at login."""
        record = self._visible()
        return MappingProxyType(dict(record.public)) if record is not None else MappingProxyType({})

    @property
    def created_at(self) -> datetime | None:
        record = self._visible()
        return record.created_at if record is not None else None

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user last proved who they are."""
        record = self._visible()
        return record.authenticated_at if record is not None else None

    @property
    def is_authenticated(self) -> bool:
        return self.user_id is not None

    @property
    def reason(self) -> str | None:
        """Why nobody is logged in: `no_cookie`, `duplicate_cookie`, `unknown`, `expired:idle`, `expired:absolute`, `ended:<reason>`, `fingerprint`, `damaged` (what is kept of it cannot be read), `superseded` (the browser has a newer
        cookie by now), `anonymous`. None when somebody is."""
        record = self._readable()
        if record is None:
            return self._reason
        if record.is_read_only:
            return "superseded"
        return None if record.is_authenticated else "anonymous"

    def require_user(self) -> str:
        """The user's id. Raises AuthenticationRequired."""
        user_id = self.user_id
        if user_id is None:
            raise AuthenticationRequired(self.reason or "anonymous")
        return user_id

    def require_fresh(self, max_age_s: float | None = None) -> None:
        """Raises FreshnessRequired when the user proved who they are more than `max_age_s` seconds ago, by default `fresh_timeout_s` (ASVS 7.5.1),
        AuthenticationRequired."""
        self.require_user()
        max_age_s = self._manager.settings.fresh_timeout_s if max_age_s is None else max_age_s
        proved_at = self.authenticated_at
        if proved_at is None or self._manager.clock.now() - proved_at > timedelta(seconds=max_age_s):
            raise FreshnessRequired(max_age_s)

    @property
    def is_bound(self) -> bool:
        """Whether this request showed that it comes from the device that the session is bound to (`dbsc`)."""
        self._seen()
        return self._binding is BindingSeen.SHOWN

    def require_bound(self, *, always: bool = False) -> None:
        """Raises BindingRequired when the session is bound to a device and the request did not show that it comes from there; with `always` also when it
        is not bound, as in a browser that does not know how. Raises AuthenticationRequired."""
        self.require_user()
        if self._binding is BindingSeen.MISSING or (always and self._binding is not BindingSeen.SHOWN):
            raise BindingRequired

    async def _context(self) -> SessionContext | None:
        record = self._visible()
        if record is None:
            return None
        if self._override.failure is not None:
            raise self._override.failure
        platform = self._override.platform or await self._manager.get_session_platform(record)
        return SessionContext(record, record.public if record.is_authenticated else None, platform_to_wire(platform))

    async def _extend(self) -> None:
        self.require_user()
        record = self._open_for_change()
        assert record is not None, "somebody is logged in"
        extended = await self._manager.extend_session(record.session_id)
        self._record = replace(record, idle_expires_at=extended.idle_expires_at, version=extended.version)

    async def _end_others(self) -> int:
        user_id = self.require_user()
        return await self._manager.cleanup_user_sessions(user_id, keep=self.handle)

    async def _credentials_changed(self) -> int:
        self.require_user()
        record = self._open_for_change()
        assert record is not None, "somebody is logged in"
        self._check_token_can_be_given(record)
        issued, ended = await self._manager.credentials_changed(record.session_id)
        self._adopt(issued)
        return ended

    async def _login(
        self,
        user_id: str,
        public: Mapping[str, Any] | None,
        platform_id: str | None,
        remember: bool,
        until: datetime | None = None,
        provider_session: str | None = None,
    ) -> None:
        record = self._readable()  # a superseded view may log in: it begins a session of its own
        self._check_token_can_be_given(record or self._damaged)
        known = record if record is not None and not record.is_read_only else None
        before = known or self._damaged
        session_id = before.session_id if before is not None else None
        if known is not None and known.binding is not None and not self._binding.is_shown:
            # Who they are was just proved without the device: the session goes on without it, and is offered another binding.
            await self._manager.bindings.end(known.session_id)
        issued = await self._manager.login(
            session_id,
            user_id,
            public=public,
            device=None
            if known is not None and known.device
            else self._device_facts(),  # what the page told of it is better
            platform_id=platform_id,
            remember=remember,
            until=until,
            provider_session=provider_session,
            fingerprint=await fingerprint_of(self._manager, self._scope),
        )
        if record is not None and (known is None or issued.session.session_id != known.session_id):
            self._tracked = None  # another user's data, or an ended session's, does not come along
        elif known is not None and known.user_id is None and self._tracked is not None:
            for key in self._manager.settings.anonymous_keys_dropped:
                self._tracked.value.pop(key, None)
        self._adopt(issued)
        await self._end_damaged(but=session_id)
        if self._manager.settings.dbsc:
            if self._denied is not None and self._denied.user_id == user_id:
                # Else the browser would go on refreshing that one's cookie, which has the same name as the new one's.
                await self._manager.destroy_session(self._denied.session_id, reason=EndReason.SUPERSEDED)
            await self._offer_binding()
        self._override = await Override.look(self._manager, self._scope, self._record)

    async def _count_login_try(self, name: str) -> None:
        client = self._scope.get("client")
        await self._manager.count_login_try(name, str(client[0] if client else ""))

    async def _offer_binding(self) -> None:
        root, is_secure = self._scope.get("root_path", ""), scheme_of(self._scope) == "https"
        self.forgetting += await offered(self._manager, self._record, root, is_secure=is_secure)

    async def _logout(self) -> bool:
        record = self._seen() or self._damaged
        if not self._is_socket and self._phase is not Phase.OPEN:
            raise SessionClosed
        self._tracked = None
        if record is None or record.is_read_only:
            return False  # a late log-out with an old token must not take the newer log-in away
        ended = await self._manager.destroy_session(record.session_id)
        await self._end_damaged(but=record.session_id)
        self._record, self._reason, self._new_token = None, "ended:logout", None
        self._cookie_ends = self._source is not Source.BEARER
        return ended

    async def _end_damaged(self, *, but: str | None) -> None:
        """Ends what the browser came with and could not use, unless that was just done."""
        damaged, self._damaged = self._damaged, None
        if damaged is not None and damaged.session_id != but:
            await self._manager.destroy_session(damaged.session_id, reason=EndReason.SUPERSEDED)

    async def _rotate(self) -> None:
        record = self._open_for_change()
        self._check_token_can_be_given(record)
        if record is not None and record.standing is Standing.CURRENT:
            # A retired token gets no successor: the browser has a newer one already, and a thief shall not have another.
            self._adopt(await self._manager.rotate_session(record.session_id))

    async def _switch_platform(self, platform_id: str, expected: str | UnsetType | None) -> None:
        self.require_user()
        record = self._open_for_change()
        assert record is not None, "somebody is logged in"
        switched = await self._manager.switch_platform(record.session_id, platform_id, expected=expected)
        self._record = replace(record, platform_id=switched.platform_id, version=switched.version)

    async def _save(self) -> None:
        self._open_for_change()
        await self._commit()

    # -- for the middleware and for `documents` -----------------------------------------------------------------------------------------------

    def document_actor(self) -> Actor | None:
        """Who asks for documents. Raises SessionReadOnly for a superseded view."""
        record = self._readable()
        if self.is_read_only:
            raise SessionReadOnly
        return Actor(user_id=record.user_id, session_id=record.session_id) if record is not None else None

    async def document_owner(self) -> Actor:
        """The same for who is about to own one: the anonymous session is made if need be."""
        actor = self.document_actor()
        if actor is None:
            self._open_for_change()
            actor = self._actor_of(await self._begin())
        return actor

    @property
    def needs_commit(self) -> bool:
        """False when there is surely nothing to save."""
        return self._tracked is not None and not self._tracked.is_as_loaded

    async def commit_for_response(self) -> None:
        """Saves what the request changed. What was changed in a session that meanwhile ended or became another user's is dropped: nothing comes
        back to life. Raises StoreUnavailable, InvalidValue, DocumentTooLarge, ConfigurationError."""
        try:
            await self._commit()
        except _GONE as error:
            logger.info(
                "A request's changes to its session were dropped: %s",
                error.code,
                extra={"event_name": "delta_dropped"},
            )
            self._tracked = None

    def start(self) -> None:
        """The first byte is about to go out."""
        self._phase = Phase.STARTED

    def finish(self) -> None:
        """The last byte is out. What the application does now is its own business, but it cannot be saved any more."""
        self._phase = Phase.DONE

    def leave_request(self) -> None:
        """The request is over. Its scope holds this session; if this session went on holding the scope, nothing of the request would be freed before
        the collector of cycles runs, which then has so much to do that it takes a third of a server's time."""
        if self._scope["type"] == "websocket":
            self._scope = _SOCKET_OVER
        else:
            self._scope = _REQUEST_OVER
            self.finish()

    def discard(self) -> None:
        """The changes could not be saved, and the response says so."""
        self._tracked = None

    @property
    def has_levels(self) -> bool:
        """Whether its data has anything that can be changed in its place, without our being asked."""
        return self._tracked is not None and self._tracked.has_levels

    @property
    def scope(self) -> Scope:
        """The request, in the shape of ASGI."""
        return self._scope

    def tell_of_late_changes(self) -> None:
        """Changes below the top level cannot be refused after the response has started; at least the log names them."""
        if not self.has_levels:
            return
        try:
            is_late = self.modified
        except InvalidValue:
            is_late = True
        if is_late:
            logger.error(
                "The session was changed after the response had started. The change is lost; make it before the first byte is sent.",
                extra={"event_name": "session_changed_late"},
            )

    @property
    def known_record(self) -> Session | None:
        """The record as this request left it. Does not count as a read."""
        return self._record

    @property
    def trace_handle(self) -> str:
        """The handle, for the trace, which shortens it; empty without a record. Does not count as a read."""
        return self._record.session_id if self._record is not None else ""

    @property
    def adds_headers(self) -> bool:
        """Whether this response says more than that it depends on the session; see `of_session`."""
        return self._new_token is not None or self._cookie_ends or self._override is not NO_OVERRIDE

    @property
    def sets_cookie(self) -> bool:
        """Whether this response must carry a Set-Cookie."""
        return (self._new_token is not None and self._record is not None) or self._cookie_ends

    def cookie_header(self) -> bytes | None:
        """The Set-Cookie value that this response must carry, if the token changed in this request."""
        if self._new_token is not None and self._record is not None:
            return self._cookies.set_header(self._scope, self._new_token, self._cookie_age(self._record))
        return self._cookies.clear_header(self._scope) if self._cookie_ends else None

    def log_out_headers(self) -> list[tuple[bytes, bytes]]:
        """What a response that logs somebody out says beside the cookie. Nothing where the same response begins another session."""
        if not self._cookie_ends or self._new_token is not None:
            return []
        return self._cookies.forget_site(is_secure=scheme_of(self._scope) == "https")

    def _cookie_age(self, record: Session) -> timedelta | None:
        """How long the browser keeps the cookie; None: until it is closed."""
        if self._cookies.ends_with_browser and not record.is_remembered:
            return None
        if not self._manager.settings.cookie_persistent:
            return None
        return record.absolute_expires_at - self._manager.clock.now()

    def platform_header(self) -> bytes | None:
        """What this response says in `Sessile-Platform`: the platform that the request named, where it was taken."""
        platform = self._override.platform if self._record is not None else None
        return echo_value(platform).encode("ascii") if platform is not None else None

    async def touch(self) -> None:
        """Counts this request as activity of the user, where it is: it used a live session with the token that it came with."""
        passive = self.passive or self._scope.get("sessile.passive", False)
        if self._accessed and self._record is not None and self._new_token is None and not passive:
            await self._manager.touch_session(self._record)

    # -- inside -----------------------------------------------------------------------------------------------------------------------------

    @property
    def _is_socket(self) -> bool:
        return bool(self._scope["type"] == "websocket")

    def _visible(self) -> Session | None:
        """The record as far as the application may know it: a superseded token stands for nobody."""
        record = self._readable()
        return None if self.is_read_only else record

    def _open_for_change(self) -> Session | None:
        super()._open_for_change()
        record = self._readable()
        if record is None and self._is_socket:
            raise SessionReadOnly(_NO_SESSION_BY_SOCKET)
        return record

    def _check_token_can_be_given(self, record: Session | None) -> None:
        if self._is_socket:
            raise SessionUpdateError(_NO_TOKEN_BY_SOCKET)
        if self._phase is not Phase.OPEN:
            raise SessionClosed
        if self._source is Source.BEARER and record is not None:
            raise SessionUpdateError(_NO_TOKEN_BY_BEARER)
        self._cookies.require_settable(self._scope)

    def _device_facts(self) -> Mapping[str, Any] | None:
        """What the request says of the device that somebody logs in with; None: nothing."""
        user_agents = header_values(self._scope["headers"], b"user-agent")
        return {"label": label_of(user_agents[0])} if user_agents else None

    def _adopt(self, issued: Issued) -> None:
        self._record, self._new_token = issued.session, issued.token
        self._reason = None

    async def _begin(self) -> Session:
        """Makes the anonymous session, with what is in the dict already."""
        self._cookies.require_settable(self._scope)
        data = self._tracked.value if self._tracked is not None else None
        issued = await self._manager.create_session(data=data, device=self._device_facts())
        self._adopt(issued)
        if self._tracked is not None:
            self._tracked.rebase()
        return issued.session

    async def _commit(self) -> None:
        operations = self._delta()
        if self._tracked is None or not operations:
            return
        record = self._record
        if record is None:
            await self._begin()
            self.operations_committed += len(operations)
            return
        changed = await self._manager.change_session_data(record.session_id, operations, user_id=record.user_id)
        self._record = replace(changed, standing=record.standing, authenticated_at=record.authenticated_at)
        self._tracked.rebase()
        self.operations_committed += len(operations)

    @staticmethod
    def _actor_of(session: Session) -> Actor:
        return Actor(user_id=session.user_id, session_id=session.session_id)
