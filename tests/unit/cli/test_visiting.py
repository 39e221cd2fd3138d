"""What doctor says of a service's readiness: which of the reasons for a 503 it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessile.cli import visiting

FULL = {"size": 2, "in_use": 2, "size_max": 2, "waiting": 5}


def ready(monkeypatch: pytest.MonkeyPatch, status: int, told: Any) -> list[tuple[str, str]]:
    monkeypatch.setattr(visiting, "_get", lambda _url: (status, [], json.dumps(told).encode()))
    found = list(visiting._readiness("http://127.0.0.1:1"))
    assert all(one.why and one.cure for one in found)
    return [(one.check, one.severity) for one in found]


@pytest.mark.parametrize(
    ("status", "told", "found"),
    [
        (200, {"status": "ok", "store": {"pool": {**FULL, "in_use": 1, "waiting": 0}}}, []),
        (200, {"status": "ok", "store": {"pool": {**FULL, "waiting": 0}}}, []),
        (200, {"status": "ok", "store": {"pool": FULL}}, [("pool", "warning")]),
        (503, {"status": "unavailable", "store": {"pool": FULL}}, [("pool", "error")]),
        (503, {"status": "unavailable", "store": {"pool": None}}, [("ready", "error")]),
        (503, {"status": "draining"}, [("ready", "error")]),
        (
            200,
            {"status": "ok", "store": {"pool": None}, "cache": {"link": {"state": "down"}}},
            [("breaker", "warning")],
        ),
        (404, {}, []),
        (200, ["ready"], []),
        (200, {"status": "ok", "store": "ok", "cache": "redis"}, []),
        (200, {"status": "ok", "store": {"pool": {"in_use": 9, "size_max": 9}}}, []),
        (503, "not now", [("ready", "error")]),
    ],
)
def test_readiness(status: int, told: Any, found: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert ready(monkeypatch, status, told) == found


def test_a_pool_that_is_exhausted_is_told_with_its_figures_and_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"status": "unavailable", "store": {"pool": FULL}}
    monkeypatch.setattr(visiting, "_get", lambda _url: (503, [], json.dumps(told).encode()))
    (found,) = visiting._readiness("http://127.0.0.1:1")
    assert "2 of 2 connections to the database in use (2 open), 5 callers wait" in found.what
    assert found.cure.startswith("export SESSILE_POOL_SIZE=4 ")
