"""Checkpoints of a document: list, make, go back to one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from sessile.model.document import CheckpointKind
from sessile.model.wire import checkpoint_to_wire
from sessile.server.access import Current, actor_of
from sessile.server.answers import Json, ok
from sessile.server.bodies import CheckpointBody, RestoreBody, body_of, described
from sessile.server.realtime import messages
from sessile.server.routes.documents import DocumentId, documents_of, manager_of

router = APIRouter(prefix="/api/v0/documents/{document_id}", tags=["checkpoints"])


@router.get("/checkpoints", summary="Newest first, without their states")
async def checkpoints(request: Request, document_id: DocumentId, session: Current) -> Json:
    found = await documents_of(request).checkpoints(actor_of(session), document_id)
    return ok({"document_id": document_id, "checkpoints": [checkpoint_to_wire(checkpoint) for checkpoint in found]})


@router.post(
    "/checkpoints",
    status_code=201,
    summary="Makes one; the same `request_id` gives the same",
    openapi_extra=described(CheckpointBody, may_be_empty=True),
)
async def make_checkpoint(
    request: Request,
    document_id: DocumentId,
    session: Current,
    body: Annotated[CheckpointBody, Depends(body_of(CheckpointBody, may_be_empty=True))],
) -> Json:
    checkpoint = await documents_of(request).checkpoint(
        actor_of(session, body.device_id),
        document_id,
        label=body.label,
        kind=CheckpointKind(body.kind),
        step=body.step,
        request_id=body.request_id,
    )
    await manager_of(request).touch_session(session)
    return ok(checkpoint_to_wire(checkpoint), status=201)


@router.post(
    "/restore",
    summary="Back to a checkpoint as a new version, or with `dry_run` what that would change",
    openapi_extra=described(RestoreBody),
)
async def restore(
    request: Request,
    document_id: DocumentId,
    session: Current,
    body: Annotated[RestoreBody, Depends(body_of(RestoreBody))],
) -> Json:
    restored = await documents_of(request).restore(
        actor_of(session, body.device_id),
        document_id,
        body.checkpoint_id,
        paths=body.paths,
        dry_run=body.dry_run,
        expected_version=body.version,
    )
    if body.dry_run:
        return ok(messages.restore_preview_body(restored))
    await manager_of(request).touch_session(session)
    return ok(messages.session_restored_body(restored))
