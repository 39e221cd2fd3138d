"""Nothing is found in the protocol, and every planted error is, as what it is. The soak explores the long rows."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from tests.model.check import explore
from tests.model.mutants import LONG_MUTANTS, MUTANTS
from tests.model.rows import LONG, RESIDUAL, SMALL
from tests.model.rules import Planted, Row

IS_SOAK = os.environ.get("SESSILE_SOAK") == "1"
LONG_MARKS = (pytest.mark.soak, pytest.mark.skipif(not IS_SOAK, reason="takes long: SESSILE_SOAK=1"))


@pytest.mark.parametrize(
    "row", [*SMALL, *(pytest.param(row, marks=LONG_MARKS) for row in LONG)], ids=lambda row: row.name
)
def test_no_order_of_steps_breaks_a_promise(row: Row) -> None:
    result = explore(row)
    print(result)
    assert result.found == "", str(result)
    assert result.is_exhausted
    assert result.states > 1_000


@pytest.mark.parametrize(
    ("row", "found_as"),
    [*MUTANTS, *(pytest.param(*mutant, marks=LONG_MARKS) for mutant in LONG_MUTANTS)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_planted_error_is_found(row: Row, found_as: str) -> None:
    result = explore(row)
    print(result)
    assert result.broken == found_as, str(result)
    assert result.trace


def test_what_is_exempted_can_happen() -> None:
    result = explore(RESIDUAL)
    print(result)
    assert result.broken == "P2b"


def test_each_error_that_can_be_planted_is() -> None:
    planted = {
        field.name
        for row, _ in [*MUTANTS, *LONG_MUTANTS]
        for field in fields(Planted)
        if getattr(row.planted, field.name)
    }
    assert planted == {field.name for field in fields(Planted)}
