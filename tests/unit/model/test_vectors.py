"""The reducer and canonical JSON follow protocol/vectors, as the browser client does (clients/browser/test/vectors.test.ts)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sessile.model.canonical import canonical, state_hash
from sessile.model.change_format import parse_operations
from sessile.model.operations import OperationFault, apply

VECTORS = Path(__file__).resolve().parents[3] / "protocol" / "vectors"
OPERATIONS = json.loads((VECTORS / "operations.json").read_text(encoding="utf-8"))["cases"]
CANONICAL = json.loads((VECTORS / "canonical.json").read_text(encoding="utf-8"))["cases"]


def test_there_are_enough_vectors() -> None:
    assert len(OPERATIONS) > 80
    assert len(CANONICAL) > 25
    names = [case["name"] for case in OPERATIONS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", OPERATIONS, ids=lambda case: case["name"])
def test_the_reducer_follows_the_vectors(case: dict[str, Any]) -> None:
    operations = parse_operations(case["operations"])
    state, before = case["state"], copy.deepcopy(case["state"])
    if "fault" in case:
        with pytest.raises(OperationFault) as fault:
            apply(state, operations)
        assert fault.value.code == case["fault"]
    else:
        applied = apply(state, operations)
        assert canonical(applied.state) == canonical(case["expected"])
        assert applied.notices == case.get("notices", [])
        if canonical(case["expected"]) == canonical(state):
            assert applied.state is state
    assert canonical(state) == canonical(before), "the state that was given must stay as it was"


@pytest.mark.parametrize("case", CANONICAL, ids=lambda case: case["canonical"][:60])
def test_canonical_json_follows_the_vectors(case: dict[str, Any]) -> None:
    assert canonical(case["value"]).decode() == case["canonical"]
    assert state_hash(case["value"]) == case["hash"]
