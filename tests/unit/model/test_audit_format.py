"""Audit events as lines: nothing that an event says breaks a line, moves a cursor or becomes a formula; and every type has a word."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sessile.model.audit import AuditEvent, chained, fault_of
from sessile.model.audit_format import audit_to_wire, csv_header, csv_line, csv_row, escaped_json, json_line
from sessile.model.audit_vocabulary import owasp_name
from sessile.model.shown import shown
from sessile.testing.shows import shows_security

NASTY = "a\r\nb\x1b]8;;http://evil\x07\x00\u2028\u202e\u0085\ud800x"
AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
PACKAGE = Path(__file__).parents[3] / "src" / "sessile"


def event(**values: object) -> AuditEvent:
    return AuditEvent(**{"stream": "user:ada", "type": "principal_changed", "at": AT, "user_id": "ada", **values})  # type: ignore[arg-type]


@shows_security("V-23", "V16.4.1")
def test_a_text_is_shown_in_one_line_without_controls() -> None:
    assert shown("Zoë's phone 👋") == "Zoë's phone 👋"
    assert shown(NASTY) == "a\\r\\nb\\x1b]8;;http://evil\\x07\\x00\\u2028\\u202e\\x85\\ud800x"
    assert shown("x" * 10, 5) == "xxxx…"
    assert shown("x" * 5, 5) == "xxxxx"


@shows_security("V16.4.1")
def test_a_json_line_is_one_line_and_says_the_same() -> None:
    said = chained(event(user_id="a\u2028b\u202ec\x85d🦊", data={"k\r\n": "\x1b[31m"}), 1, b"", b"s" * 16)
    line = json_line(said)
    assert len(line.splitlines()) == 1
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", line)
    assert json.loads(line) == audit_to_wire(said)
    assert escaped_json("🦊\U000e0001") == '"🦊\\udb40\\udc01"'


def test_a_line_has_all_that_checks_the_chain() -> None:
    first = chained(event(data={"n": 1}), 1, b"", b"1" * 16)
    second = chained(event(data={"n": 2}), 2, first.hash, b"2" * 16)
    back = []
    for line in map(json.loads, (json_line(first), json_line(second))):
        values = {
            key: line[key] for key in ("stream", "type", "user_id", "session_id", "document_id", "position", "data")
        }
        hashes: dict[str, Any] = {
            key: bytes.fromhex(line[key]) for key in ("salt", "personal_hash", "previous_hash", "hash")
        }
        back.append(AuditEvent(**values, **hashes, at=datetime.fromisoformat(line["at"])))
    assert fault_of(back[0], 1, b"") is None
    assert fault_of(back[1], 2, back[0].hash) is None


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "|", "%", " ="])
@shows_security("V-23")
def test_no_cell_is_a_formula(begins: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_line(event(user_id=f"{begins}cmd|' /C calc'!A0"))))
    assert len(row) == len(csv_header().split(","))
    assert all(cell == "" or cell[0] not in "=+-@\t\r|%" for cell in row)
    assert row[5].startswith("'")
    assert csv_row([-5, 'say "hi", now', "a\nb"]) == '-5,"say ""hi"", now",a\\nb'


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [
        ("session_created", {}, "session_created"),
        ("session_login", {}, "authn_login_success"),
        ("session_ended", {"reason": "logout"}, "session_logout"),
        ("session_ended", {"reason": "expired"}, "session_expired"),
        ("session_ended", {"reason": "limit"}, "excess_sessions_exceeded"),
        ("session_ended", {"reason": "theft"}, "authn_token_reuse"),
        ("session_ended", {"reason": "revoked"}, "session_expired"),
        ("principal_changed", {}, "user_updated"),
        ("principal_changed", {"roles": []}, "privilege_permissions_changed"),
        ("authn_token_reuse", {}, "authn_token_reuse"),
        ("app.printed", {}, "app.printed"),
    ],
)
@shows_security("C-14")
def test_the_words_of_the_vocabulary(kind: str, data: dict[str, object], name: str) -> None:
    assert owasp_name(event(type=kind, data=data)) == name
