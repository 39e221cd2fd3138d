"""The socket's frames for clients that cannot have a socket."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from sessile.server.access import Access
from sessile.server.realtime.events import MEDIA_TYPE, EventStream, EventStreams, checked_hello
from sessile.server.realtime.hub import Hub
from sessile.server.realtime.places import OF_ADDRESS, OF_USER, address_of, owner_of, taken
from sessile.server.refusals import Draining, TooMany
from sessile.web.asgi import bearer_token

router = APIRouter(prefix="/api/v0/events", tags=["events"])

_HELLO = (
    "The frame `hello` of the protocol as JSON, percent-encoded, with the documents that are wanted; without a token"
)
_STREAM = (
    "The frames that a socket would get, each as one `data:` line; at the end an event `close` with `code` and `reason` as a socket's close frame "
    "has them. From 4500 on do not come back"
)


@router.get(
    "",
    summary="The socket's frames as Server-Sent Events; changes go over HTTP meanwhile",
    response_class=StreamingResponse,
    responses={200: {"description": _STREAM, "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def events(request: Request, hello: Annotated[str, Query(description=_HELLO, min_length=2)]) -> EventStream:
    hub: Hub = request.app.state.hub
    access: Access = request.app.state.access
    streams: EventStreams = request.app.state.streams
    if hub.draining:
        raise Draining
    has_token = bearer_token(request.scope["headers"]) is not None or not access.has_cookie(request.scope)
    access.origins.check_stream(request.scope, has_token=has_token)
    text = checked_hello(hello)
    hub.start()
    session = (await access.look(request.scope)).required()
    held = [taken(hub.by_address, address_of(request.scope), OF_ADDRESS)]
    try:
        held.append(taken(hub.by_user, owner_of(session), OF_USER))
    except TooMany:
        held.pop()()
        raise
    return streams.response(session, text, held)
