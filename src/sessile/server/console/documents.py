"""Documents: whose they are and where they stand; what is in them and what it was for whoever may know; restoring and copying."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from starlette.responses import Response

from sessile.engine.history import NOW, Point
from sessile.model.activity import Activity
from sessile.model.document import Actor, Document, Owner
from sessile.model.errors import DocumentNotFound, InvalidValue
from sessile.model.limits import NAME_LENGTH_MAX
from sessile.model.operator_access import Right
from sessile.model.wire import activity_to_wire, change_of_point_to_wire, checkpoint_to_wire, iso
from sessile.server.answers import ok
from sessile.server.console import wire
from sessile.server.console.table import Call, Route, is_handle

_SYSTEM: Final = Actor.system()
_VERSION: Final = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)
_CHECKPOINTS_SHOWN: Final = 50


class RestoreBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    checkpoint_id: str
    paths: list[str] | None = None
    dry_run: bool
    expected_version: int | None = None
    reason: str = ""


class ForkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    at: str | int = NOW
    reason: str


async def _document(call: Call) -> Document:
    document_id = call.path("document_id")
    if not is_handle(document_id):
        raise DocumentNotFound
    return await call.console.manager.operators.document(document_id)


def _point(value: str | int | None, name: str, default: str = NOW) -> Point:
    text = str(value if value is not None else default)
    if text == NOW or is_handle(text):
        return text
    if _VERSION.fullmatch(text):
        return int(text)
    raise InvalidValue(f"/{name}", 'is "now", a version, or the id of a checkpoint')


async def listed(call: Call) -> Response:
    user_id, session_id = call.text("user"), call.text("session")
    if (user_id is None) == (session_id is None):
        raise InvalidValue("/user", "give user or session, one of them")
    found = await call.console.manager.operators.documents(Owner(user_id=user_id, session_id=session_id))
    return ok({"documents": [wire.document(one) for one in found]})


async def shown(call: Call) -> Response:
    document = await _document(call)
    documents = call.console.manager.documents
    conflicts = await documents.conflicts(_SYSTEM, document.document_id)
    devices = await documents.devices(_SYSTEM, document.document_id)
    checkpoints = await documents.checkpoints(_SYSTEM, document.document_id)
    return ok(
        {
            "document": wire.document(document),
            "open_conflicts": [
                {"conflict_id": one.conflict_id, "path": one.path, "opened_at": iso(one.opened_at)} for one in conflicts
            ],
            "devices": [
                {
                    "device_no": one.device_no,
                    "label": one.label,
                    "is_connected": one.is_connected,
                    "is_primary": one.is_primary,
                    "behind": one.behind,
                    "tabs": one.tabs,
                    "last_active_at": iso(one.last_active_at),
                }
                for one in devices
            ],
            "checkpoints": [checkpoint_to_wire(one) for one in checkpoints[:_CHECKPOINTS_SHOWN]],
        }
    )


async def state(call: Call) -> Response:
    """What is in it. Somebody's private work: that it was looked at is noted."""
    document = await _document(call)
    point = _point(call.text("at"), "at")
    await _note_look(call, document, "show_state", at=str(point))
    if point == NOW:
        return ok(_state(document, NOW, document.version, document.state))
    kept = await call.console.manager.oversight.document_at(document.document_id, point)
    return ok(_state(document, str(point), None, kept))


def _state(document: Document, at: str, version: int | None, kept: Any) -> dict[str, Any]:
    return {"document_id": document.document_id, "at": at, "version": version, "state": kept}


async def _note_look(call: Call, document: Document, action: str, **data: Any) -> None:
    reason = call.text("reason") or "looked at in the console"
    await call.console.manager.operators.note(call.act(f"document:{document.document_id}", action, reason), data)


async def history(call: Call) -> Response:
    document = await _document(call)
    limit = call.number("limit", 50, 1, 500)
    page = await call.console.manager.documents.activity(
        _SYSTEM, document.document_id, before=call.text("before"), limit=limit
    )
    may_see = call.operator.may(Right.DOCUMENT_STATE)
    return ok({"entries": [_entry(one, may_see=may_see) for one in page.entries], "before": page.before})


def _entry(entry: Activity, *, may_see: bool) -> dict[str, Any]:
    told = activity_to_wire(entry)
    if entry.change is not None and not may_see:
        change = {name: told["change"][name] for name in ("version", "generation", "device_no", "seq", "verdict", "at")}
        paths = [operation.get("path", "") for operation in msgspec.to_builtins(entry.change.operations)]
        told["change"] = {**change, "paths": paths[:100]}
    return told


async def checkpoints(call: Call) -> Response:
    document = await _document(call)
    found = await call.console.manager.documents.checkpoints(_SYSTEM, document.document_id)
    return ok({"checkpoints": [checkpoint_to_wire(one) for one in found]})


async def diff(call: Call) -> Response:
    document = await _document(call)
    a, b = _point(call.text("from"), "from"), _point(call.text("to"), "to")
    await _note_look(call, document, "diff", **{"from": str(a), "to": str(b)})
    found = await call.console.manager.documents.diff(_SYSTEM, document.document_id, a, b)
    return ok({"from": str(a), "to": str(b), "differences": [change_of_point_to_wire(one) for one in found]})


async def restored(call: Call) -> Response:
    document, body = await _document(call), await call.body(RestoreBody)
    documents, document_id = call.console.manager.documents, document.document_id
    if body.dry_run:
        await _note_look(call, document, "restore_preview", checkpoint_id=body.checkpoint_id)
        preview = await documents.restore(_SYSTEM, document_id, body.checkpoint_id, paths=body.paths, dry_run=True)
        differences = [change_of_point_to_wire(one) for one in preview.differences]
        return ok({"dry_run": True, "version": preview.document.version, "differences": differences})
    act = call.act(f"document:{document_id}", "restore", body.reason)
    if body.expected_version is None:
        raise InvalidValue("/expected_version", "is the version that a dry run told")
    result: dict[str, Any] = {}

    async def restore() -> None:
        done = await documents.restore(
            _SYSTEM, document_id, body.checkpoint_id, paths=body.paths, expected_version=body.expected_version
        )
        result.update(
            dry_run=False,
            version=done.document.version,
            before=None if done.before is None else done.before.checkpoint_id,
            differences=[change_of_point_to_wire(one) for one in done.differences],
        )

    before = {"version": body.expected_version}
    after = {"checkpoint_id": body.checkpoint_id, "paths": body.paths}
    await call.console.done(act, restore, before=before, after=after)
    return ok(result)


async def forked(call: Call) -> Response:
    document, body = await _document(call), await call.body(ForkBody)
    if not 1 <= len(body.name) <= NAME_LENGTH_MAX:
        raise InvalidValue("/name", f"has 1 to {NAME_LENGTH_MAX} characters")
    point = _point(body.at, "at")
    act = call.act(f"document:{document.document_id}", "fork", body.reason)
    made: list[Document] = []

    async def fork() -> None:
        made.append(
            await call.console.manager.documents.fork(
                _SYSTEM,
                document.document_id,
                body.name,
                at_version=point if isinstance(point, int) else None,
                checkpoint_id=point if isinstance(point, str) and point != NOW else None,
            )
        )

    await call.console.done(
        act, fork, before={"version": document.version}, after={"name": body.name, "at": str(point)}
    )
    return ok({"document": wire.document(made[0])}, status=201)


ROUTES: Final = (
    Route("GET", "/documents", Right.READ, listed),
    Route("GET", "/documents/{document_id}", Right.READ, shown),
    Route("GET", "/documents/{document_id}/state", Right.DOCUMENT_STATE, state),
    Route("GET", "/documents/{document_id}/history", Right.READ, history),
    Route("GET", "/documents/{document_id}/checkpoints", Right.READ, checkpoints),
    Route("GET", "/documents/{document_id}/diff", Right.DOCUMENT_STATE, diff),
    Route("POST", "/documents/{document_id}/restore", Right.DOCUMENT_RESTORE, restored),
    Route("POST", "/documents/{document_id}/fork", Right.DOCUMENT_FORK, forked),
)
