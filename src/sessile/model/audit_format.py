"""Audit events as text, for files and other programs: one line for each, which nothing that an event says can break in two or turn into a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from sessile.model.audit import AuditEvent
from sessile.model.audit_vocabulary import owasp_name
from sessile.model.shown import escaped, shown

_COLUMNS: Final = ("at", "event", "type", "stream", "position", "user_id", "session_id", "document_id", "data", "hash")
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


class AuditFormat(StrEnum):
    JSON_LINES = "jsonl"
    CSV = "csv"


def audit_to_wire(event: AuditEvent) -> dict[str, Any]:
    """Everything of an event. With `salt`, `personal_hash` and `previous_hash` whoever has a whole chain can check it without us."""
    return {
        "at": event.at.isoformat(),
        "event": owasp_name(event),
        "type": event.type,
        "stream": event.stream,
        "position": event.position,
        "user_id": event.user_id,
        "session_id": event.session_id,
        "document_id": event.document_id,
        "data": dict(event.data),
        "hash": event.hash.hex(),
        "previous_hash": event.previous_hash.hex(),
        "personal_hash": event.personal_hash.hex(),
        "salt": None if event.salt is None else event.salt.hex(),
    }


def json_line(event: AuditEvent) -> str:
    """One line without its end; control characters and what ends a line elsewhere (U+2028) are escaped."""
    return escaped_json(audit_to_wire(event))


def escaped_json(value: Any) -> str:
    """JSON whose text has no character that a terminal or a log would act on."""
    return escaped(msgspec.json.encode(value).decode())


def csv_header() -> str:
    return ",".join(_COLUMNS)


def csv_line(event: AuditEvent) -> str:
    """RFC 4180, without its end. A cell that a spreadsheet would calculate gets an apostrophe before it (OWASP, CSV Injection)."""
    values: Mapping[str, Any] = audit_to_wire(event)
    data = escaped_json(values["data"])
    return csv_row("" if values[name] is None else data if name == "data" else values[name] for name in _COLUMNS)


def csv_row(cells: Iterable[object]) -> str:
    """The cells, quoted where they have to be, and none of them a formula. A number is left as it is."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cell if isinstance(cell, int) else _cell(str(cell)) for cell in cells)
    return out.getvalue()


def _cell(text: str) -> str:
    kept = shown(text)
    return f"'{kept}" if text.startswith(_FORMULAS) or kept.lstrip().startswith(_FORMULAS) else kept
