"""protocol/vectors/frames.json against the parser and against protocol/schema/client.json: three descriptions of one thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from sessile.model.change_format import parse_changes
from sessile.model.errors import SessileError
from sessile.server.realtime import frames
from sessile.server.realtime.commands import check_pointers
from sessile.server.refusals import MalformedFrame, UnknownFrameType

PROTOCOL = Path(__file__).parents[3] / "protocol"
VECTORS = json.loads((PROTOCOL / "vectors" / "frames.json").read_text(encoding="utf-8"))
SCHEMA = json.loads((PROTOCOL / "schema" / "client.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def parse(frame: Any) -> frames.ClientFrame:
    """Everything that is looked at before any state is."""
    parsed = frames.parse_frame(json.dumps(frame))
    if isinstance(parsed, frames.Change):
        parse_changes(parsed.changes, device_id="device")
    if isinstance(parsed, frames.Restore):
        check_pointers(parsed.paths)
    return parsed


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {entry["$ref"].removeprefix("#/$defs/") for entry in SCHEMA["oneOf"]} == {
        kind.__struct_config__.tag for kind in frames.ClientFrame.__args__
    }


@pytest.mark.parametrize("frame", VECTORS["accept"], ids=lambda frame: json.dumps(frame)[:60])
def test_accepted(frame: Any) -> None:
    assert parse(frame).__struct_config__.tag == frame["type"]
    VALIDATOR.validate(frame)


@pytest.mark.parametrize("case", VECTORS["refuse"], ids=lambda case: json.dumps(case["frame"])[:60])
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(SessileError) as refusal:
        parse(case["frame"])
    assert refusal.value.code == case["code"]
    assert not VALIDATOR.is_valid(case["frame"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "nul",
        '{"type":"pong","at":NaN}',
        '{"type":"pong","at":"a"} x',
        '{"type":"pong","at":"\ud800"}',
        "[" * 200_000,
        '{"type":"change","document_id":' + "[" * 5000,
        '{"a":' * 50_000,
    ],
    ids=range(10),
)
def test_what_is_no_json_is_malformed(text: str) -> None:
    with pytest.raises(MalformedFrame):
        frames.parse_frame(text)


def test_a_refusal_names_what_it_is_about() -> None:
    with pytest.raises(MalformedFrame) as malformed:
        frames.parse_frame('{"type":"checkpoint","request_id":"r7","document_id":5}')
    assert malformed.value.ref == "r7"
    with pytest.raises(UnknownFrameType) as unknown:
        frames.parse_frame('{"type":"nonsense","document_id":"d9"}')
    assert unknown.value.ref == "d9"


def test_the_first_frame_is_hello() -> None:
    with pytest.raises(MalformedFrame, match="first frame"):
        frames.parse_hello('{"type":"pong","at":"x"}')
    with pytest.raises(MalformedFrame, match="text"):
        frames.parse_hello(None)


def test_a_hello_does_not_show_its_token() -> None:
    frame = frames.parse_hello(json.dumps({**VECTORS["accept"][0], "token": "very-secret"}))
    assert "very-secret" not in repr(frame)
    assert "very-secret" not in f"{frame}"


def test_an_absent_user_id_is_not_null() -> None:
    hello = VECTORS["accept"][0]
    assert frames.parse_hello(json.dumps(hello)).user_id is msgspec.UNSET
    assert frames.parse_hello(json.dumps({**hello, "user_id": None})).user_id is None
