"""The outbox over HTTP, and what happened since: the same bodies as the frames of the socket."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from sessile.model.change_format import parse_changes
from sessile.model.document import Submission
from sessile.server.access import Current, actor_of
from sessile.server.answers import Json, ok
from sessile.server.bodies import ChangesBody, body_of, described
from sessile.server.realtime import messages
from sessile.server.realtime.frames import UUID_PATTERN
from sessile.server.realtime.submissions import refusal_body
from sessile.server.refusals import InvalidRequest
from sessile.server.routes.documents import DocumentId, documents_of, manager_of

router = APIRouter(prefix="/api/v0/documents/{document_id}/changes", tags=["changes"])
_POSITION: Final = re.compile(r"([0-9A-Za-z_-]{1,64})\.(0|[1-9]\d{0,15})", re.ASCII)


@router.post(
    "",
    summary="Submits changes of a device; the answer is the body of the frame `ack`, or with status 409 that of `nack`",
    openapi_extra=described(ChangesBody),
    responses={409: {"description": "nack: go on from `expected_seq`"}},
)
async def submit_changes(
    request: Request,
    document_id: DocumentId,
    session: Current,
    body: Annotated[ChangesBody, Depends(body_of(ChangesBody))],
) -> Json:
    changes = parse_changes(body.changes, device_id=body.device_id)
    actor = actor_of(session, body.device_id)
    outcome = await documents_of(request).submit(Submission(document_id, changes, actor))
    await manager_of(request).touch_session(session)
    refused = refusal_body(outcome, (changes[0].seq or 1) + len(outcome.logged))
    if refused is not None:
        return ok(refused, status=409)
    return ok(messages.ack_body(outcome))


@router.get(
    "",
    summary="What happened since a position (`epoch.version`): the body of the frame `state_update` or `initial_state`",
)
async def changes_since(
    request: Request,
    document_id: DocumentId,
    session: Current,
    since: Annotated[str | None, Query(max_length=100)] = None,
    device_id: Annotated[str | None, Query(pattern=UUID_PATTERN)] = None,
) -> Json:
    epoch, version = _position(since)
    documents, actor = documents_of(request), actor_of(session, device_id)
    delta = await documents.since(actor, document_id, epoch=epoch, version=version)
    if delta.snapshot:
        # Read in one go with `last_seq`, so that a client can tell which of its changes the state contains.
        opened = await documents.open_by_id(actor, document_id)
        return ok(messages.initial_state_body(opened, request.app.state.hub.state_hash(opened.document)))
    if not delta.changes:
        return ok(messages.unchanged_body(delta.document))
    document = delta.document
    return ok(
        messages.state_update_body(document_id, document.epoch, document.generation, delta.from_version, delta.changes)
    )


def _position(since: str | None) -> tuple[str | None, int | None]:
    if since is None:
        return None, None
    match = _POSITION.fullmatch(since)
    if match is None:
        raise InvalidRequest([{"place": "query/since", "problem": "a position is `epoch.version`"}])
    return match[1], int(match[2])
