"""The caller's own session: what it is, signs of life, a new token, logging out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from sessile import __version__
from sessile.model.errors import AuthenticationRequired, FreshnessRequired, PlatformRefused, StoreUnavailable
from sessile.model.platform import Platform
from sessile.model.session import EndReason, Session, Standing
from sessile.model.wire import iso, maintenance_to_wire, session_to_wire
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.access import Access, Current, CurrentSeen
from sessile.server.answers import Json, ok
from sessile.server.bodies import HeartbeatBody, body_of, described
from sessile.server.realtime.attendance import report_of
from sessile.server.realtime.hub import Hub
from sessile.web.csrf import csrf_token
from sessile.web.platforms import HEADER, echo_value, platform_of_request

router = APIRouter(tags=["session"])


@router.get("/api/session_state", summary="User, platform, session and time, or why there is no session")
async def session_state(request: Request) -> Json:
    access: Access = request.app.state.access
    try:
        session = (await access.look(request.scope)).required()
        shown = await _shown(request, session)
    except AuthenticationRequired as error:
        return _failing(error.message, error.reason, 401)
    except PlatformRefused as error:
        return _failing(error.message, error.code, error.http_status)
    except StoreUnavailable as error:
        return _failing(error.message, error.code, 503, {"retry-after": str(error.retry_after_s)})
    wire = session_to_wire(session, shown.platform)
    return ok(
        {
            "success": True,
            "user": wire["user"],
            "platform": wire["platform"],
            "session": {name: wire[name] for name in ("session_id", "created_at", "last_activity")},
            "timestamp": _now(request),
        },
        headers=shown.headers,
    )


@router.get("/api/v0/session", summary="The caller's session; null when there is none")
async def session_of_caller(request: Request, seen: CurrentSeen) -> Json:
    session, manager = seen.session, _manager(request)
    around = {
        "expiry_warning_s": manager.settings.warning_s,
        "maintenance": maintenance_to_wire(await manager.maintenance.announced()),
    }
    if session is None:
        return ok({"authenticated": False, "reason": seen.reason, "session": None, **around})
    if not session.is_authenticated:
        return ok({"authenticated": False, "reason": "anonymous", "session": session_to_wire(session, None), **around})
    shown = await _shown(request, session)
    wire = session_to_wire(session, shown.platform)
    return ok({"authenticated": True, "session": wire, **around}, headers=shown.headers)


@router.post(
    "/api/v0/session/heartbeat",
    summary="A sign of life of the caller's devices; not activity",
    openapi_extra=described(HeartbeatBody, may_be_empty=True),
)
async def heartbeat(
    request: Request,
    session: Current,
    body: Annotated[HeartbeatBody, Depends(body_of(HeartbeatBody, may_be_empty=True))],
) -> Json:
    hub: Hub = request.app.state.hub
    user_agent = request.headers.get("user-agent", "")
    hub.heartbeat(session, report_of(session, body.device_id or session.device_id, body.device, user_agent))
    shown = await _shown(request, session)
    answer = {"session": session_to_wire(session, shown.platform), "server_time": _now(request)}
    return ok(answer, headers=shown.headers)


@router.get("/api/v0/session/check-connection", summary="The server answers; nothing is looked up")
async def check_connection(request: Request) -> Json:
    return ok({"ok": True, "server_time": _now(request), "version": __version__})


@router.post(
    "/api/v0/session/refresh", summary="A new token for the same session; nothing new when it got one a moment ago"
)
async def refresh(request: Request, seen: CurrentSeen) -> Json:
    session = seen.required()
    shown = await _shown(
        request, session
    )  # before the rotation: what is refused afterwards would cost the caller its token
    if session.standing is not Standing.CURRENT:
        # The newer token is on its way to this caller already; another one would only retire it.
        return ok({"session": session_to_wire(session, shown.platform)}, headers=shown.headers)
    renewed, token = await _manager(request).refresh_session(session.session_id)
    body: dict[str, Any] = {"session": session_to_wire(renewed, shown.platform)}
    if token is None:
        return ok(body, headers=shown.headers)
    return answer_with_token(request, body, token, renewed, is_bearer=seen.is_bearer, headers=shown.headers)


@router.post(
    "/api/v0/session/extend", summary="Moves the idle deadline, as activity does; nothing moves the absolute one"
)
async def extend(request: Request, session: Current) -> Json:
    shown = await _shown(request, session)
    extended = await _manager(request).extend_session(session.session_id)
    return ok({"session": session_to_wire(extended, shown.platform)}, headers=shown.headers)


@router.get("/api/v0/session/csrf", summary="A token for the forms of this session's pages")
async def csrf(request: Request, session: Current) -> Json:
    return ok({"csrf_token": await csrf_token(_manager(request), session.session_id, session.user_id)})


@router.post("/api/v0/session/logout", status_code=204, summary="Ends the caller's session")
async def logout(request: Request, seen: CurrentSeen) -> Response:
    response = Response(status_code=204)
    if seen.session is None:
        # A late log-out must not take away the cookie of a log-in that came after it; what is left of an old one opens nothing.
        return response
    await _manager(request).destroy_session(seen.session.session_id, reason=EndReason.LOGOUT)
    if not seen.is_bearer:
        clear_cookie(request, response)
    return response


@router.post("/api/v0/session/logout-others", summary="Ends the caller's other sessions")
async def logout_others(request: Request, session: Current) -> Json:
    if session.user_id is None:
        raise AuthenticationRequired("anonymous")
    check_may_end_others(request, session)
    ended = await _manager(request).cleanup_user_sessions(session.user_id, keep=session.session_id)
    return ok({"ended": ended})


def check_may_end_others(request: Request, session: Session) -> None:
    """Raises FreshnessRequired where the settings ask for a recent login (ASVS 7.5.2)."""
    manager = _manager(request)
    proved_at, max_age_s = session.authenticated_at, manager.settings.fresh_timeout_s
    if not manager.settings.end_others_needs_fresh:
        return
    if proved_at is None or manager.clock.now() - proved_at > timedelta(seconds=max_age_s):
        raise FreshnessRequired(max_age_s)


@dataclass(frozen=True, slots=True)
class _Shown:
    """The platform that an answer shows, and the header that says so when it is the request's own."""

    platform: Platform | None
    headers: dict[str, str]


async def _shown(request: Request, session: Session) -> _Shown:
    """Raises PlatformRefused when the request names a platform that the user may not be on."""
    manager = _manager(request)
    own = await platform_of_request(manager, request.headers.raw, session)
    if own is not None:
        return _Shown(own, {HEADER: echo_value(own)})
    return _Shown(await manager.get_session_platform(session), {})


def clear_cookie(request: Request, response: Response) -> None:
    """Tells the browser to forget the token, if it sent one, and what it kept of the site."""
    access: Access = request.app.state.access
    if access.has_cookie(request.scope):
        response.raw_headers += access.log_out_headers(request.scope)


def answer_with_token(
    request: Request,
    body: dict[str, Any],
    token: str,
    session: Session,
    *,
    is_bearer: bool,
    headers: dict[str, str] | None = None,
) -> Json:
    """A response that gives the caller a token: in the body to who sends it as a bearer token, else in the cookie."""
    if is_bearer:
        return ok({**body, "token": token}, headers=headers)
    response = ok(body, headers=headers)
    _set_cookie(request, response, token, session)
    return response


def _set_cookie(request: Request, response: Response, token: str, session: Session) -> None:
    access: Access = request.app.state.access
    manager = _manager(request)
    left = session.absolute_expires_at - manager.clock.now() if manager.settings.cookie_persistent else None
    response.raw_headers.append((b"set-cookie", access.set_cookie(request.scope, token, left)))


def _failing(error: str, reason: str, status: int, headers: dict[str, str] | None = None) -> Json:
    return ok({"success": False, "error": error, "reason": reason}, status=status, headers=headers)


def _manager(request: Request) -> AsyncSessionManager:
    manager: AsyncSessionManager = request.app.state.manager
    return manager


def _now(request: Request) -> str:
    return iso(_manager(request).clock.now())
