"""The devices that have opened a document: who is there now, and how far behind the others are."""

from __future__ import annotations

from fastapi import APIRouter, Request

from sessile.model.wire import standing_to_wire
from sessile.server.access import Current, actor_of
from sessile.server.answers import Json, ok
from sessile.server.routes.documents import DocumentId, documents_of
from sessile.web.device_label import UNKNOWN_LABEL

router = APIRouter(prefix="/api/v0/documents", tags=["devices"])


@router.get("/{document_id}/devices", summary="Every device that has opened the document, by number")
async def devices(request: Request, document_id: DocumentId, session: Current) -> Json:
    found = await documents_of(request).devices(actor_of(session, session.device_id), document_id)
    entries = [standing_to_wire(device) for device in found]
    return ok({"document_id": document_id, "devices": [{**e, "label": e["label"] or UNKNOWN_LABEL} for e in entries]})
