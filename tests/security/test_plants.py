"""Each planted weakness is caught by the test that says so, and that test passes without it."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from sessile.model.errors import SessileError
from sessile.testing.lab import Lab
from sessile.testing.lanes import LANES
from tests.contract import test_memory
from tests.contract.mutation import plant
from tests.security.plants import CONTRACT, PLANTS, Plant

CAUGHT = (AssertionError, pytest.fail.Exception, SessileError)
"""What a test ends with that finds a fault. Anything else would be a mistake of these files."""
BY_CONTRACT = [one for one in PLANTS if one.caught_by.startswith(CONTRACT)]
BY_TEST = [one for one in PLANTS if not one.caught_by.startswith(CONTRACT)]


def by_name(plants: list[Plant]) -> Any:
    return pytest.mark.parametrize("planted", plants, ids=[one.name.replace(" ", "-") for one in plants])


@by_name(BY_CONTRACT)
def test_a_weakness_in_the_rules_is_caught(planted: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(place: str) -> None:
        (tmp_path / place).mkdir()
        contract = test_memory.TestMemory()
        lab = Lab(LANES["blocking"], contract.make_store, tmp_path / place)
        getattr(contract, planted.caught_by.removeprefix(CONTRACT))(lab, **planted.arguments)

    run("sound")
    plant(monkeypatch, planted.where, planted.old, planted.new)
    with pytest.raises(CAUGHT):
        run("planted")


@by_name(BY_TEST)
async def test_a_weakness_elsewhere_is_caught(planted: Plant) -> None:
    module, _, name = planted.caught_by.partition(":")
    test = getattr(importlib.import_module(module), name)

    async def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            given = {"monkeypatch": patch} if "monkeypatch" in inspect.signature(test).parameters else {}
            outcome = test(**given, **planted.arguments)
            if inspect.isawaitable(outcome):
                await outcome

    await run()
    with pytest.MonkeyPatch.context() as patch:
        plant(patch, planted.where, planted.old, planted.new)
        with pytest.raises(CAUGHT):
            await run()


def test_the_list_has_no_weakness_twice() -> None:
    assert len({one.name for one in PLANTS}) == len(PLANTS)
    assert len({(one.where, one.old, one.new) for one in PLANTS}) == len(PLANTS)
