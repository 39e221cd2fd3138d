"""The fixtures of tests/conftest.py, tried in a pytest run of their own: they decide whether other tests mean anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

TESTS = """
import asyncio

import pytest

async def test_awaits():
    await asyncio.wait_for(asyncio.Event().wait(), 0.01)

@pytest.mark.virtual_time
async def test_sleeps_a_day_in_no_time():
    before = asyncio.get_running_loop().time()
    await asyncio.sleep(86_400)
    assert asyncio.get_running_loop().time() - before == 86_400

@pytest.mark.virtual_time
async def test_waits_for_nothing():
    await asyncio.Event().wait()

async def test_passes(rng):
    assert rng.random() != rng.random()

def test_needs(require):
    require("no-such-binary")

def test_has(require):
    assert require("python3")

def test_draws(rng, record_property):
    record_property("drawn", rng.random())
"""

_WITHOUT = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:xdist")


def run(folder: Path, **environment: str) -> dict[str, tuple[str, str]]:
    """Outcome and text of each test, by name."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "conftest.py")
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", *_WITHOUT, "--junitxml=out.xml", "test_it.py"]
    inherited = {name: value for name, value in os.environ.items() if name not in {"CI", "SESSILE_TEST_SEED"}}
    inherited["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run(command, cwd=folder, env=inherited | environment, capture_output=True, check=False)
    outcomes = {}
    for case in ET.parse(folder / "out.xml").iter("testcase"):
        outcome = next((child for child in case if child.tag != "properties"), None)
        drawn = "".join(entry.get("value", "") for entry in case.iter("property"))
        told = drawn if outcome is None else outcome.get("message", "")
        outcomes[case.get("name", "")] = ("passed" if outcome is None else outcome.tag, told)
    return outcomes


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, tuple[str, str]]]:
    """`run`, once for each environment."""
    known: dict[str, dict[str, tuple[str, str]]] = {}

    def once(**environment: str) -> dict[str, tuple[str, str]]:
        key = repr(environment)
        if key not in known:
            known[key] = run(tmp_path_factory.mktemp("run"), **environment)
        return known[key]

    return once


def test_on_a_laptop(ran: Callable[..., dict[str, tuple[str, str]]]) -> None:
    found = ran()
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "test_awaits": "failure",
        "test_sleeps_a_day_in_no_time": "passed",
        "test_waits_for_nothing": "failure",
        "test_passes": "passed",
        "test_needs": "skipped",
        "test_has": "passed",
        "test_draws": "passed",
    }
    assert found["test_needs"][1] == "not run: no-such-binary is not installed here"


def test_a_missing_binary_is_an_error_in_ci(ran: Callable[..., dict[str, tuple[str, str]]]) -> None:
    assert ran(CI="true")["test_needs"][0] == "failure"


def test_randomness_is_the_seeds(ran: Callable[..., dict[str, tuple[str, str]]]) -> None:
    first, again, other = ran(), ran(CI="true"), ran(SESSILE_TEST_SEED="2")
    assert first["test_draws"] == again["test_draws"] != other["test_draws"]
