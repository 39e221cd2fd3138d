"""Documents as resources: list, open by name, read, merge, archive. Foreign and unknown ones answer alike."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from sessile.model.change_format import check_value, parse_operations
from sessile.model.document import Document
from sessile.model.errors import ChangeRejected
from sessile.model.limits import NAME_LENGTH_MAX
from sessile.model.wire import conflict_to_wire, document_to_wire, logged_to_wire
from sessile.runtime.documents import AsyncDocuments
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.access import Current, actor_of
from sessile.server.answers import Json, etag, ok
from sessile.server.bodies import OpenBody, RenameBody, body_of, described, described_patch, patch_body
from sessile.server.realtime.frames import UUID_PATTERN
from sessile.server.realtime.messages import opened_entry
from sessile.server.refusals import PreconditionFailed, PreconditionRequired

router = APIRouter(prefix="/api/v0/documents", tags=["documents"])

DocumentId = Annotated[str, Path(pattern=UUID_PATTERN)]
_ETAG: Final = re.compile(r'"([0-9A-Za-z_-]{1,64})\.(\d{1,16})"')


@router.post("/claim", summary="What this session made before somebody logged in becomes the user's")
async def claim(request: Request, session: Current) -> Json:
    claimed = await documents_of(request).claim(actor_of(session))
    await manager_of(request).touch_session(session)
    return ok({"claimed": [_without_state(document) for document in claimed]})


@router.get("", summary="The caller's documents, or the archived ones, latest activity first, without their states")
async def own_documents(request: Request, session: Current, archived: bool = False) -> Json:
    documents = await documents_of(request).list(actor_of(session), archived=archived)
    return ok({"documents": [_without_state(document) for document in documents]})


@router.put(
    "/by-name/{name:path}",
    summary="Opens the caller's document of that name, or makes it with `default`",
    openapi_extra=described(OpenBody, may_be_empty=True),
    responses={201: {"description": "Made"}},
)
async def open_document(
    request: Request,
    name: Annotated[str, Path(min_length=1, max_length=NAME_LENGTH_MAX)],
    session: Current,
    body: Annotated[OpenBody, Depends(body_of(OpenBody, may_be_empty=True))],
) -> Json:
    default = check_value(body.default, "/default") if body.default is not None else None
    opened = await documents_of(request).open(actor_of(session, body.device_id), name, default=default)
    entry = {**document_to_wire(opened.document), **opened_entry(opened)}
    return ok(entry, status=201 if opened.created else 200, headers={"etag": etag(opened.document)})


@router.get("/{document_id}", summary="The document with its state", responses={304: {"description": "Unchanged"}})
async def read_document(
    request: Request, document_id: DocumentId, session: Current, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    document = await documents_of(request).get(actor_of(session), document_id)
    headers = {"etag": etag(document)}
    if if_none_match is not None and _names(if_none_match, document):
        return Response(status_code=304, headers=headers)
    return ok(document_to_wire(document), headers=headers)


@router.patch(
    "/{document_id}",
    summary="Merges a patch into the state (RFC 7396), if it is still at the version of If-Match",
    openapi_extra=described_patch(),
)
async def patch_document(
    request: Request,
    document_id: DocumentId,
    session: Current,
    patch: Annotated[dict[str, Any], Depends(patch_body)],
    if_match: Annotated[str | None, Header()] = None,
) -> Json:
    if if_match is None:
        raise PreconditionRequired
    documents, actor = documents_of(request), actor_of(session)
    document = await documents.get(actor, document_id)
    operations: list[dict[str, Any]] = [{"op": "merge", "path": "", "value": patch}]
    if if_match.strip() != "*":
        if not _names(if_match, document):
            raise PreconditionFailed(etag(document))
        # Once more inside the transaction: between the read and the write somebody may be faster.
        operations.insert(0, {"op": "test", "version_at_most": document.version})
    try:
        logged = await documents.change(
            actor, document_id, parse_operations(operations, ""), base_version=document.version
        )
    except ChangeRejected as error:
        if error.detail.get("code") == "test_failed":
            raise PreconditionFailed(etag(await documents.get(actor, document_id))) from None
        raise
    await manager_of(request).touch_session(session)
    changed = await documents.get(actor, document_id)
    return ok({**document_to_wire(changed), "change": logged_to_wire(logged)}, headers={"etag": etag(changed)})


@router.delete(
    "/{document_id}", status_code=204, summary="Archives the document: its name is free again, nothing is deleted"
)
async def archive_document(request: Request, document_id: DocumentId, session: Current) -> Response:
    await documents_of(request).archive(actor_of(session), document_id)
    await manager_of(request).touch_session(session)
    return Response(status_code=204)


@router.post("/{document_id}/rename", summary="Another name, if it is free", openapi_extra=described(RenameBody))
async def rename_document(
    request: Request,
    document_id: DocumentId,
    session: Current,
    body: Annotated[RenameBody, Depends(body_of(RenameBody))],
) -> Json:
    renamed = await documents_of(request).rename(actor_of(session), document_id, body.name)
    await manager_of(request).touch_session(session)
    return ok(_without_state(renamed))


@router.post("/{document_id}/unarchive", summary="Puts an archived document back into the list, if its name is free")
async def unarchive_document(request: Request, document_id: DocumentId, session: Current) -> Json:
    active = await documents_of(request).unarchive(actor_of(session), document_id)
    await manager_of(request).touch_session(session)
    return ok(_without_state(active))


@router.get("/{document_id}/conflicts", summary="The open conflicts")
async def open_conflicts(request: Request, document_id: DocumentId, session: Current) -> Json:
    conflicts = await documents_of(request).conflicts(actor_of(session), document_id)
    return ok({"document_id": document_id, "conflicts": [conflict_to_wire(conflict) for conflict in conflicts]})


def documents_of(request: Request) -> AsyncDocuments:
    return manager_of(request).documents


def manager_of(request: Request) -> AsyncSessionManager:
    manager: AsyncSessionManager = request.app.state.manager
    return manager


def _names(header: str, document: Document) -> bool:
    """Does an If-Match or If-None-Match header name the document's present version? Weak validators never match (RFC 9110 13.1.1)."""
    if header.strip() == "*":
        return True
    position = (document.epoch, document.version)
    return any((epoch, int(version)) == position for epoch, version in _ETAG.findall(header.replace('W/"', "")))


def _without_state(document: Document) -> dict[str, Any]:
    wire = document_to_wire(document)
    del wire["state"]
    return wire
