"""The caller's platforms, and the switch of the session from one to another."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from sessile.model.wire import platform_to_wire, session_to_wire
from sessile.server.access import Current
from sessile.server.answers import Json, ok
from sessile.server.bodies import PlatformBody, body_of, described
from sessile.server.routes.documents import manager_of

router = APIRouter(prefix="/api/v0", tags=["platforms"])


@router.get("/session/platforms", summary="The caller's active platforms, oldest first")
async def own_platforms(request: Request, session: Current) -> Json:
    platforms = await manager_of(request).list_platforms(session.user_id) if session.user_id is not None else []
    return ok({"platforms": [platform_to_wire(platform) for platform in platforms]})


@router.post(
    "/session/platform",
    summary="Puts the session on another platform, if it still is on the expected one",
    openapi_extra=described(PlatformBody),
)
async def switch_platform(
    request: Request, session: Current, body: Annotated[PlatformBody, Depends(body_of(PlatformBody))]
) -> Json:
    manager = manager_of(request)
    switched = await manager.switch_platform(session.session_id, body.platform_id, expected=body.expected_platform_id)
    await manager.touch_session(session)
    # What stands now, whatever the tab shows: the header Sessile-Platform has no say here.
    return ok({"session": session_to_wire(switched, await manager.get_session_platform(switched))})
