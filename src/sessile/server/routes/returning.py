"""After a long absence: what a browser kept comes back, the outbox as what it is, a backup as ordinary changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from sessile.model.backup import Backup
from sessile.model.change_format import check_value, parse_changes
from sessile.model.document import Actor, Opened, Submission, Verdict
from sessile.model.errors import ChangeRejected
from sessile.model.wire import logged_to_wire
from sessile.server.access import Current, actor_of
from sessile.server.answers import Json, ok
from sessile.server.bodies import BackupBody, ReturnBody, body_of, described
from sessile.server.realtime import messages
from sessile.server.realtime.submissions import refusal_body
from sessile.server.refusals import ForeignSession
from sessile.server.routes.documents import documents_of, manager_of
from sessile.server.routes.sessions import Handle

router = APIRouter(prefix="/api/v0/session", tags=["session"])


@router.post(
    "/{handle}/restore",
    summary="After a long absence: the outbox and a backup of one document in, verdicts and the merged state out",
    openapi_extra=described(ReturnBody),
)
async def come_back(
    request: Request, handle: Handle, session: Current, body: Annotated[ReturnBody, Depends(body_of(ReturnBody))]
) -> Json:
    if handle != session.session_id:
        raise ForeignSession
    actor = actor_of(session, body.device_id)
    documents = documents_of(request)
    opened = await _opened(request, body, actor)
    document_id = opened.document.document_id
    answer: dict[str, Any] = {"ack": None, "nack": None, "backup": None}
    if body.backup is not None:  # first: what is in the outbox is newer
        answer["backup"] = await _restored(request, actor, document_id, body.backup)
    if body.changes:
        changes = parse_changes(body.changes, device_id=body.device_id)
        outcome = await documents.submit(Submission(document_id, changes, actor))
        answer["ack"] = messages.ack_body(outcome) if outcome.logged else None
        answer["nack"] = refusal_body(outcome, (changes[0].seq or 1) + len(outcome.logged))
    await manager_of(request).touch_session(session)
    after = await documents.open_by_id(actor, document_id)
    answer["state"] = messages.initial_state_body(after, request.app.state.hub.state_hash(after.document))
    return ok(answer)


async def _opened(request: Request, body: ReturnBody, actor: Actor) -> Opened:
    documents = documents_of(request)
    if body.document.document_id is not None:
        return await documents.open_by_id(actor, body.document.document_id)
    return await documents.open(actor, body.document.name or "")


async def _restored(request: Request, actor: Actor, document_id: str, kept: BackupBody) -> dict[str, Any]:
    """The line that the backup became, or the verdict that kept it out."""
    values = {path: check_value(value, f"/backup/values{path}") for path, value in kept.values.items()}
    backup = Backup(actor.device_id or "", kept.epoch, kept.version, values)
    try:
        logged = await documents_of(request).restore_backup(actor, document_id, backup)
    except ChangeRejected as error:
        return {"verdict": error.verdict, "detail": error.detail}
    return logged_to_wire(logged) if logged is not None else {"verdict": str(Verdict.NOOP)}
