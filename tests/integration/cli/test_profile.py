"""`sessile doctor --profile` says what verbs cost, and what is over a budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessile.cli import profiling
from sessile.cli.profiling import Budget
from tests.integration.cli.conftest import Place


@pytest.fixture(autouse=True)
def _with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no fault here."""
    for name in ("CREATE", "FIND", "CHANGE", "EXTEND", "END"):
        monkeypatch.setattr(profiling, name, replace(getattr(profiling, name), time_max_s=600))


def findings(place: Place, status: int) -> list[dict[str, str]]:
    ran = place.run("doctor", "--profile", "--json")
    assert ran.status == status, ran.out
    return [one for one in ran.json["findings"] if one["check"] == "profile"]


def test_verbs_are_measured_and_nothing_is_left(place: Place) -> None:
    if place.name == "sqlite":
        place.ok("db", "upgrade")
    found = findings(place, 0)
    assert [one["what"].partition(":")[0] for one in found] == [
        "To begin a session",
        "To find a session by its token",
        "To change a session's data",
        "To extend a session",
        "To end a session",
    ]
    assert {one["severity"] for one in found} == {"ok"}, found
    assert place.values("sessions", "list") == []


def test_what_is_over_its_budget_is_named(sqlite: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.ok("db", "upgrade")
    monkeypatch.setattr(profiling, "FIND", Budget("find a session by its token", 0, 0.1))
    monkeypatch.setattr(profiling, "CHANGE", Budget("change a session's data", 99, 0.0))
    warned = [one for one in findings(sqlite, 1) if one["severity"] == "warning"]
    assert [one["what"].partition(":")[0] for one in warned] == [
        "To find a session by its token",
        "To change a session's data",
    ]
    assert "SELECT sessions" in warned[0]["why"]
