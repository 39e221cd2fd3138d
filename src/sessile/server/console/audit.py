"""The audit log: what happened, whether the record is whole, and a copy of it as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from sessile.engine.oversight import AuditFilter
from sessile.model.audit_format import AuditFormat
from sessile.model.operator_access import Right
from sessile.model.wire import iso
from sessile.server.answers import ok
from sessile.server.console import wire
from sessile.server.console.table import Call, Route

_FORMATS: Final = frozenset({"csv", "jsonl"})
_MEDIA: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
_KEPT_S: Final = 60
_LINES_AT_ONCE: Final = 200
_FAULTS_SHOWN: Final = 100


def _meant(call: Call) -> AuditFilter:
    return AuditFilter(
        stream=call.text("stream"),
        type=call.text("type"),
        user_id=call.text("user"),
        session_id=call.text("session"),
        document_id=call.text("document"),
        by=call.text("by"),
        since=call.moment("since"),
        until=call.moment("until"),
    )


async def listed(call: Call) -> Response:
    limit = call.number("limit", 50, 1, 500)
    found = await call.console.oversight.audit(_meant(call), before=call.text("before"), limit=limit)
    return ok(
        {
            "events": [wire.event(one) for one in found.events],
            "before": found.before,
            "scanned_all": found.before is None,
        }
    )


async def verified(call: Call) -> Response:
    """A chain, or all of them. All of them are looked at once a minute, however many ask."""
    stream, console = call.text("stream"), call.console
    now = console.manager.clock.now()
    kept = console.verified
    if stream is None and call.text("fresh") is None and kept is not None and (now - kept[0]).total_seconds() < _KEPT_S:
        return ok(kept[1])
    report = await console.manager.audit.verify(stream)
    faults = [
        {"stream": one.stream, "position": one.position, "problem": one.problem}
        for one in report.faults[:_FAULTS_SHOWN]
    ]
    told: dict[str, Any] = {
        "ok": not report.faults,
        "streams": report.streams,
        "events": report.events,
        "faults": faults,
        "checked_at": iso(now),
    }
    if stream is None:
        console.verified = (now, told)
    return ok(told)


async def exported(call: Call) -> Response:
    form = call.one_of("format", "jsonl", _FORMATS)
    meant = _meant(call)
    named = {name: call.text(name) for name in ("stream", "since", "until")}
    reason = call.text("reason") or "exported in the console"
    await call.console.manager.operators.note(call.act("system", "audit_export", reason), {**named, "format": form})
    lines = call.console.manager.audit.export(
        stream=meant.stream, since=meant.since, until=meant.until, form=AuditFormat(form)
    )
    stamp = call.console.manager.clock.now().strftime("%Y%m%dT%H%M%SZ")
    return StreamingResponse(
        _batches(lines),
        media_type=_MEDIA[form],
        headers={
            "content-disposition": f'attachment; filename="sessile-audit-{stamp}.{form}"',
            "cache-control": "private, no-store",
        },
    )


async def _batches(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    batch: list[str] = []
    async for line in lines:
        batch.append(line)
        if len(batch) == _LINES_AT_ONCE:
            yield ("\n".join(batch) + "\n").encode()
            batch = []
    if batch:
        yield ("\n".join(batch) + "\n").encode()


ROUTES: Final = (
    Route("GET", "/audit", Right.READ, listed),
    Route("GET", "/audit/verify", Right.READ, verified),
    Route("GET", "/audit/export", Right.AUDIT_EXPORT, exported),
)
