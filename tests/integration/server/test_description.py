"""The HTTP description: each operation says what it is for, and its examples are what the service really takes and answers."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from scripts.record_examples import written
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.app import create_app
from sessile.server.examples import FILE
from tests.integration.server.running import settings

DESCRIPTION: dict[str, Any] = create_app(AsyncSessionManager(settings()), standalone=True).api.openapi()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
]
STREAMS = {"/api/v0/events", "/sessile.js"}
"""Their answers are no JSON."""


def names(operation: tuple[str, str, dict[str, Any]]) -> str:
    return f"{operation[0]} {operation[1]}"


def test_the_examples_are_what_the_service_answers() -> None:
    # Recorded again: keys, order and values. A difference that is wanted: python -m scripts.record_examples
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(written())


@pytest.mark.parametrize("operation", OPERATIONS, ids=names)
def test_an_operation_says_what_it_is_for_and_shows_it(operation: tuple[str, str, dict[str, Any]]) -> None:
    _method, path, described = operation
    assert described["summary"]
    assert described["tags"]
    assert {"4XX", "503"} <= described["responses"].keys(), "what is refused, and the outage"
    for kind, content in described.get("requestBody", {}).get("content", {}).items():
        assert "example" in content, kind
        jsonschema.validate(content["example"], {**content["schema"], "components": DESCRIPTION["components"]})
    done = {status: answer for status, answer in described["responses"].items() if status.startswith("20")}
    if path not in STREAMS and set(done) != {"204"}:
        shown = [c for answer in done.values() for c in answer.get("content", {}).values() if "example" in c]
        assert shown, "an answer"
