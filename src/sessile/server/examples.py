"""The examples of the HTTP description: recorded from real requests by `scripts/record_examples.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

FILE: Final = Path(__file__).parent / "examples.json"


def add_examples(description: dict[str, Any]) -> None:
    """Puts into each operation of an OpenAPI document what a request and its answer look like."""
    recorded: Mapping[str, Mapping[str, Any]] = msgspec.json.decode(FILE.read_bytes()) if FILE.exists() else {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            example = recorded.get(f"{method.upper()} {path}")
            if example is not None:
                _add(operation, example)


def _add(operation: dict[str, Any], example: Mapping[str, Any]) -> None:
    if "request" in example:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            content["example"] = example["request"]
    if "response" in example:
        answer = operation["responses"].setdefault(str(example["status"]), {"description": "Done"})
        answer.setdefault("content", {}).setdefault("application/json", {})["example"] = example["response"]
