"""The caller's sessions on all devices, and sessions made by a trusted service in another language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from sessile.model.change_format import check_value
from sessile.model.errors import AuthenticationRequired
from sessile.model.platform import Platform
from sessile.model.presence import SessionPresence
from sessile.model.session import EndReason, Session
from sessile.model.wire import iso_or_none, session_to_wire
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.access import CurrentSeen, is_service
from sessile.server.answers import Json, ok
from sessile.server.bodies import NewSessionBody, body_of, described
from sessile.server.realtime.frames import UUID_PATTERN
from sessile.server.refusals import ForeignSession, NoSuchPage
from sessile.server.routes.session import check_may_end_others, clear_cookie
from sessile.web.device_label import UNKNOWN_LABEL

router = APIRouter(prefix="/api/v0/sessions", tags=["sessions"])
Handle = Annotated[str, Path(pattern=UUID_PATTERN)]


@router.get("", summary="The caller's live sessions")
async def own_sessions(request: Request, seen: CurrentSeen) -> Json:
    current = seen.required()
    user_id, manager = current.user_id, _manager(request)
    platforms = await manager.list_platforms(user_id) if user_id is not None else []
    by_id = {platform.platform_id: platform for platform in platforms}
    own = await _own(request, current)
    present = await manager.presence.of_sessions([session.session_id for session in own])
    return ok({"sessions": [_described(one, current, by_id, present[one.session_id]) for one in own]})


@router.delete("/{handle}", status_code=204, summary="Ends one of the caller's sessions")
async def end_session(request: Request, handle: Handle, seen: CurrentSeen) -> Response:
    current = seen.required()
    if handle not in {session.session_id for session in await _own(request, current)}:
        raise ForeignSession
    is_current = handle == current.session_id
    if not is_current:
        check_may_end_others(request, current)
    await _manager(request).destroy_session(handle, reason=EndReason.LOGOUT if is_current else EndReason.REVOKED)
    response = Response(status_code=204)
    if is_current and not seen.is_bearer:
        clear_cookie(request, response)
    return response


@router.post(
    "",
    status_code=201,
    summary="A session for a user that a trusted service has authenticated (bearer: the service key)",
    openapi_extra=described(NewSessionBody),
)
async def make_session(request: Request, body: Annotated[NewSessionBody, Depends(body_of(NewSessionBody))]) -> Json:
    manager = _manager(request)
    key = manager.settings.service_key
    if key is None:
        raise NoSuchPage
    if not is_service(request, key.get_secret_value()):
        raise AuthenticationRequired("service_key")
    public = check_value(body.public, "/public") if body.public is not None else None
    issued = await manager.create_session(body.user_id, public=public, platform_id=body.platform_id)
    return ok({"session_id": issued.session.session_id, "token": issued.token}, status=201)


async def _own(request: Request, current: Session) -> list[Session]:
    """An anonymous session knows of itself only."""
    if current.user_id is None:
        return [current]
    return await _manager(request).list_sessions(current.user_id)


def _described(
    session: Session, current: Session, platforms: Mapping[str, Platform], present: SessionPresence
) -> dict[str, Any]:
    platform = platforms.get(session.platform_id) if session.platform_id is not None else None
    return {
        **session_to_wire(session, platform),
        "device": {**session.device, "label": session.device.get("label") or UNKNOWN_LABEL},
        "is_current": session.session_id == current.session_id,
        "is_connected": present.is_connected,
        "disconnected_at": iso_or_none(session.disconnected_at),
        "reconnected_at": iso_or_none(session.reconnected_at),
    }


def _manager(request: Request) -> AsyncSessionManager:
    manager: AsyncSessionManager = request.app.state.manager
    return manager
