"""A document's past: what happened, how two points differ, a fork of one of them, and the whole of it as a file."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from sessile.engine.history import NOW, Point
from sessile.model.activity import Activity
from sessile.model.limits import NUMBER_MAX
from sessile.model.wire import activity_to_wire, change_of_point_to_wire, document_to_wire
from sessile.server.access import Current, actor_of
from sessile.server.answers import Json, etag, ok
from sessile.server.bodies import ActivityBody, ForkBody, ImportBody, body_of, described
from sessile.server.realtime.frames import UUID_PATTERN
from sessile.server.refusals import InvalidRequest
from sessile.server.routes.documents import DocumentId, documents_of, manager_of

router = APIRouter(prefix="/api/v0/documents", tags=["history"])
ACTIVITY_MAX: Final = 500
_VERSION: Final = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)
_CURSOR: Final = r"^[0-9]{1,16}[.][0-9]{1,16}[.]([0-9a-f-]{36}|~)$"
_CHECKPOINT: Final = re.compile(UUID_PATTERN)


@router.post(
    "/import",
    status_code=201,
    summary="Makes a document of what `export` gave",
    openapi_extra=described(ImportBody),
)
async def import_document(
    request: Request, session: Current, body: Annotated[ImportBody, Depends(body_of(ImportBody))]
) -> Json:
    document = await documents_of(request).import_document(actor_of(session), body.exported, name=body.name)
    await manager_of(request).touch_session(session)
    return ok(document_to_wire(document), status=201, headers={"etag": etag(document)})


@router.post(
    "/{document_id}/fork",
    status_code=201,
    summary="A new document with the state that this one has, or had",
    openapi_extra=described(ForkBody),
)
async def fork(
    request: Request,
    document_id: DocumentId,
    session: Current,
    body: Annotated[ForkBody, Depends(body_of(ForkBody))],
) -> Json:
    document = await documents_of(request).fork(
        actor_of(session), document_id, body.name, at_version=body.at_version, checkpoint_id=body.checkpoint_id
    )
    await manager_of(request).touch_session(session)
    return ok(document_to_wire(document), status=201, headers={"etag": etag(document)})


@router.get("/{document_id}/diff", summary="Where two points (a version, the id of a checkpoint, or `now`) differ")
async def diff(
    request: Request,
    document_id: DocumentId,
    session: Current,
    from_: Annotated[str, Query(alias="from", max_length=40)],
    to: Annotated[str, Query(max_length=40)] = NOW,
) -> Json:
    points = _point(from_, "from"), _point(to, "to")
    found = await documents_of(request).diff(actor_of(session), document_id, *points)
    return ok({"document_id": document_id, "differences": [change_of_point_to_wire(one) for one in found]})


@router.get("/{document_id}/export", summary="The document, its log, checkpoints and open conflicts")
async def export(request: Request, document_id: DocumentId, session: Current) -> Json:
    return ok(await documents_of(request).export_document(actor_of(session), document_id))


@router.get("/{document_id}/activity", summary="What happened, newest first; go on with `before`")
async def activity(
    request: Request,
    document_id: DocumentId,
    session: Current,
    before: Annotated[str | None, Query(pattern=_CURSOR)] = None,
    limit: Annotated[int, Query(ge=1, le=ACTIVITY_MAX)] = 100,
) -> Json:
    page = await documents_of(request).activity(actor_of(session), document_id, before=before, limit=limit)
    return ok(
        {
            "document_id": document_id,
            "entries": [activity_to_wire(entry) for entry in page.entries],
            "before": page.before,
        }
    )


@router.post(
    "/{document_id}/activity",
    status_code=201,
    summary="Adds an event of the application's own (`app.*`)",
    openapi_extra=described(ActivityBody),
)
async def log_activity(
    request: Request,
    document_id: DocumentId,
    session: Current,
    body: Annotated[ActivityBody, Depends(body_of(ActivityBody))],
) -> Json:
    event = await documents_of(request).log_activity(actor_of(session), document_id, body.type, body.data)
    await manager_of(request).touch_session(session)
    return ok(activity_to_wire(Activity(event.type, event.at, event=event)), status=201)


def _point(text: str, name: str) -> Point:
    if _VERSION.fullmatch(text) and int(text) <= NUMBER_MAX:
        return int(text)
    if text == NOW or _CHECKPOINT.fullmatch(text):
        return text
    raise InvalidRequest([{"place": f"query/{name}", "problem": "a point is a version, a checkpoint's id, or now"}])
