"""Continuing on another device: one shows a code, the other one types or scans it, the first one agrees."""

from __future__ import annotations

from typing import Annotated, Any

import segno
from fastapi import APIRouter, Depends, Path, Request
from msgspec import structs

from sessile.model.wire import handoff_to_wire, iso, session_to_wire
from sessile.server.access import Current, CurrentSeen
from sessile.server.answers import Json, ok
from sessile.server.bodies import CompleteBody, ConfirmBody, OfferBody, RedeemBody, body_of, described
from sessile.server.realtime.frames import UUID_PATTERN, DeviceFacts
from sessile.server.realtime.presence import device_label
from sessile.server.routes.documents import manager_of
from sessile.server.routes.session import answer_with_token
from sessile.web.asgi import host_of, scheme_of
from sessile.web.binding import offered
from sessile.web.fingerprint import fingerprint_of

router = APIRouter(prefix="/api/v0/handoff", tags=["hand-off"])
HandoffId = Annotated[str, Path(pattern=UUID_PATTERN)]


@router.post(
    "",
    status_code=201,
    summary="A code for another device, good once and for two minutes",
    openapi_extra=described(OfferBody, may_be_empty=True),
)
async def offer(
    request: Request, session: Current, body: Annotated[OfferBody, Depends(body_of(OfferBody, may_be_empty=True))]
) -> Json:
    manager = manager_of(request)
    offered = await manager.handoffs.offer(session.session_id, path=body.path)
    await manager.touch_session(session)
    # Behind the #, so that it is in no request and no log: the page that is opened takes it from there.
    page = f"{scheme_of(request.scope)}://{host_of(request.scope)}{manager.settings.handoff_path}"
    url = f"{page}#{offered.secret}"
    return ok(
        {
            "handoff_id": offered.handoff.handoff_id,
            "code": offered.code,
            "url": url,
            "qr_svg": qr_svg(url),
            "expires_at": iso(offered.handoff.expires_at),
        },
        status=201,
    )


@router.get("/{handoff_id}", summary="What became of a code, for the session that offers it")
async def status(request: Request, handoff_id: HandoffId, session: Current) -> Json:
    return ok(handoff_to_wire(await manager_of(request).handoffs.status(session.session_id, handoff_id)))


@router.post(
    "/redeem",
    summary="The other device shows the code; it learns whose account it is, and the first device is asked",
    openapi_extra=described(RedeemBody),
)
async def redeem(
    request: Request, _seen: CurrentSeen, body: Annotated[RedeemBody, Depends(body_of(RedeemBody))]
) -> Json:
    client = request.scope.get("client")
    redeemed = await manager_of(request).handoffs.redeem(
        body.code, device=_device(request, body.device), address=client[0] if client else ""
    )
    return ok(
        {
            "handoff_id": redeemed.handoff.handoff_id,
            "claim": redeemed.claim,
            "user": dict(redeemed.public),
            "expires_at": iso(redeemed.handoff.expires_at),
        }
    )


@router.post(
    "/confirm", summary="The first device lets the other one in, or does not", openapi_extra=described(ConfirmBody)
)
async def confirm(
    request: Request, session: Current, body: Annotated[ConfirmBody, Depends(body_of(ConfirmBody))]
) -> Json:
    manager = manager_of(request)
    handoff = await manager.handoffs.confirm(session.session_id, body.handoff_id, accept=body.accept)
    await manager.touch_session(session)
    return ok(handoff_to_wire(handoff))


@router.post(
    "/complete",
    summary="The other device comes for its session, as often as it likes",
    openapi_extra=described(CompleteBody),
    responses={202: {"description": "The first device has not answered yet"}},
)
async def complete(
    request: Request, seen: CurrentSeen, body: Annotated[CompleteBody, Depends(body_of(CompleteBody))]
) -> Json:
    manager = manager_of(request)
    own = seen.session.session_id if seen.session is not None and not body.bearer else None
    browser = await fingerprint_of(manager, request.scope)
    handoff, issued = await manager.handoffs.complete(body.handoff_id, body.claim, session_id=own, fingerprint=browser)
    if issued is None:
        return ok({"status": str(handoff.status)}, status=202)
    platform = await manager.get_session_platform(issued.session)
    answer: dict[str, Any] = {
        "status": str(handoff.status),
        "session": session_to_wire(issued.session, platform),
        "path": handoff.path,
    }
    response = answer_with_token(request, answer, issued.token, issued.session, is_bearer=body.bearer)
    if not body.bearer:  # it is a log-in: this device may be bound as the one that logged in by itself
        root, is_secure = str(request.scope.get("root_path", "")), scheme_of(request.scope) == "https"
        response.raw_headers += await offered(manager, issued.session, root, is_secure=is_secure)
    return response


def qr_svg(text: str) -> str:
    """The picture of a text as an SVG element: dark modules in one path, nothing that a page's policy would refuse."""
    svg: str = segno.make(text, error="m", micro=False).svg_inline(
        scale=1, border=2, omitsize=True, svgclass=None, lineclass=None, title="QR code", dark="#000", light="#fff"
    )
    return svg


def _device(request: Request, facts: DeviceFacts | None) -> dict[str, Any]:
    """What the first device is shown of the one that asks."""
    given = {name: value for name, value in structs.asdict(facts).items() if value} if facts is not None else {}
    return {**given, "label": device_label(given.get("label"), request.headers.get("user-agent", ""))}
