"""The drill: what it plays in every run, and all of it in the long one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from scripts import drill
from sessile.testing.servers import PostgresServer, RedisServer
from tests.conftest import postgres_or_skip, redis_or_skip

pytestmark = pytest.mark.server
IN_EVERY_RUN = ("a table is missing", "maintenance was forgotten", "others can read secrets")
"""Each service costs a second or two to start; what a service is needed for, test_doctor asks of one."""


def played(title: str, world: drill.World, faults: list[drill.Fault]) -> str:
    console = Console(file=io.StringIO(), record=True, width=150)
    failed = drill.drill(console, title, world, faults)
    shown = console.export_text()
    assert failed == 0, shown
    return shown


def test_what_is_broken_is_named_and_mended() -> None:
    with drill.sqlite_world(with_service=False) as world:
        shown = played("SQLite", world, [fault for fault in drill.FAULTS if fault.name in IN_EVERY_RUN])
    assert "3 faults named and mended" in shown
    assert "sessile recover table --apply --yes" in shown


def test_a_fault_that_is_not_named_fails_the_drill(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drill.World, "findings", lambda *_: [])
        with pytest.raises(drill.DrillFailed, match="not named"):
            drill.play(
                drill.World(folder=tmp_path, database_url="memory://"), drill.Fault("nothing", lambda _: None, "x", "y")
            )


@pytest.mark.soak
def test_every_fault_on_a_file() -> None:
    with drill.sqlite_world() as world:
        played("SQLite", world, [fault for fault in drill.FAULTS if fault.fits(world)])


@pytest.mark.soak
def test_every_fault_on_postgresql_with_redis() -> None:
    servers: tuple[PostgresServer, RedisServer] = (postgres_or_skip(), redis_or_skip())
    with servers[0] as postgres, servers[1] as redis, drill.postgres_world(postgres, redis) as world:
        fitting = [fault for fault in drill.FAULTS if fault.fits(world)]
        assert len(fitting) > 10
        played("PostgreSQL and Redis", world, fitting)
