"""The drill: what it plays in every run, and all of it in the long one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from scripts import drill
from scripts.drill_faults import FAULTS
from scripts.drill_world import DrillFailed, Fault, World
from tests.conftest import postgres_or_skip, redis_or_skip

pytestmark = pytest.mark.server
IN_EVERY_RUN = (
    "a table is missing",
    "maintenance was forgotten",
    "others can read secrets",
    "this machine's clock went back",
    "the disk is full",
)
"""Each service costs a second or two to start; what a service is needed for, test_doctor asks of one."""


def played(title: str, world: World, faults: list[Fault]) -> str:
    console = Console(file=io.StringIO(), record=True, width=150)
    failed = drill.drill(console, title, world, faults)
    shown = console.export_text()
    assert failed == 0, shown
    return shown


def test_what_is_broken_is_named_and_mended() -> None:
    with drill.sqlite_world(with_service=False) as world:
        faults = [fault for fault in FAULTS if fault.name in IN_EVERY_RUN]
        shown = played("SQLite", world, faults)
        number = sum(fault.fits(world) for fault in faults)
    assert f"{number} faults named and mended" in shown
    assert (number, "not played: the disk is full" in shown) in ((5, False), (4, True)), "a small disk takes root"
    assert "sessile recover table --apply --yes" in shown


def test_a_fault_that_is_not_named_fails_the_drill(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "findings", lambda *_: [])
        with pytest.raises(DrillFailed, match="not named"):
            drill.play(World(folder=tmp_path, database_url="memory://"), Fault("nothing", lambda _: None, "x", "y"))


@pytest.mark.soak
def test_every_fault_on_a_file() -> None:
    with drill.sqlite_world() as world:
        played("SQLite", world, [fault for fault in FAULTS if fault.fits(world)])


@pytest.mark.soak
def test_every_fault_on_postgresql_with_redis() -> None:
    for server in (postgres_or_skip(), redis_or_skip()):
        server.close()  # only whether they are there: the drill makes its own
    with drill.postgres_world() as world:
        fitting = [fault for fault in FAULTS if fault.fits(world)]
        assert len(fitting) >= 18
        played("PostgreSQL and Redis", world, fitting)
