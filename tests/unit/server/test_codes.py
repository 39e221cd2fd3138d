"""The constants and protocol/codes.json are one list in two places."""

from __future__ import annotations

import json
from pathlib import Path

from sessile.server.realtime.codes import ERROR_CODES, CloseCode, NackReason

CODES = json.loads((Path(__file__).parents[3] / "protocol" / "codes.json").read_text(encoding="utf-8"))


def test_close_codes_agree() -> None:
    assert {code.name.lower(): int(code) for code in CloseCode} == {
        entry["name"]: entry["code"] for entry in CODES["close"]
    }


def test_a_close_code_says_whether_to_come_back() -> None:
    for entry in CODES["close"]:
        assert entry["reconnect"] is (entry["code"] < 4500), entry


def test_error_codes_agree() -> None:
    assert {entry["code"] for entry in CODES["errors"]} == ERROR_CODES


def test_nack_reasons_agree() -> None:
    assert [str(reason) for reason in NackReason] == CODES["nack_reasons"]
