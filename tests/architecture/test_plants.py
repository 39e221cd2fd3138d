"""Planted bugs name places in the product's source: whoever changes such a place learns of it here, in seconds, and not from the contract's long run."""

from __future__ import annotations

import importlib

import pytest

from tests.architecture.tree import ROOT
from tests.contract.mutation import Mutant, plant
from tests.security.plants import PLANTS

MODULES = [
    f"tests.contract.{path.stem}"
    for path in sorted((ROOT / "tests" / "contract").glob("*.py"))
    if "Mutant(" in path.read_text()
]
MUTANTS: dict[str, Mutant] = {
    f"{name}: {mutant.name}": mutant
    for name in MODULES
    for values in vars(importlib.import_module(name)).values()
    if isinstance(values, list)
    for mutant in values
    if isinstance(mutant, Mutant)
}
MUTANTS |= {
    f"tests.security.plants: {one.name}": Mutant(one.name, one.where, one.old, one.new, one.caught_by) for one in PLANTS
}


def test_there_are_planted_bugs() -> None:
    assert len(MUTANTS) > 200


def test_every_planted_bug_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = []
    for name, mutant in MUTANTS.items():
        with monkeypatch.context() as planted:
            try:
                plant(planted, mutant.target, mutant.old, mutant.new)
            except (AssertionError, AttributeError, ImportError, SyntaxError) as error:
                gone.append(f"{name}: {error}")
    assert gone == []
