"""A drill: a running system is broken in many ways, `sessile doctor` has to name each cause, and the command that it prints has to mend it.

`python -m scripts.drill` plays all of it on SQLite, then on PostgreSQL with Redis, on servers of its own. What belongs to the machine (`systemctl start`, `redis-cli`, a
variable that is exported, a clock that is set) is played on these servers; commands of `sessile` and of PostgreSQL are run as they are printed. A full disk needs a small file
system (root on Linux), wrong clocks of servers need `libfaketime`; what cannot be played is said. Status 1 when something was not named or not mended.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from scripts.drill_faults import FAULTS
from scripts.drill_machine import FakedPostgres, faketime, small_disk
from scripts.drill_world import MENDED_WITHIN_S, NEEDED, DrillFailed, Fault, Finding, World
from scripts.tls_front import TlsFront
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer

LOOKS: Final = 3
"""What is under load is not so at every moment."""


@dataclass(frozen=True)
class Played:
    fault: Fault
    finding: Finding
    seconds: float


def play(world: World, fault: Fault) -> Played:
    """Breaks it, has it named, does what is printed, and looks again. Raises DrillFailed."""
    began = time.monotonic()
    options = fault.options(world)
    _nothing_is_wrong(world, [] if fault.behind_tls else options, "before")
    try:
        fault.break_it(world)
        named = _named(world, fault, options)
        world.follow(named["cure"])
        _nothing_is_wrong(world, options, f"after {named['cure']}")
    finally:
        fault.tidy(world)
    return Played(fault, named, time.monotonic() - began)


def _named(world: World, fault: Fault, options: Sequence[str]) -> Finding:
    found: list[Finding] = []
    for _ in range(LOOKS):
        found = world.findings(*options)
        for one in found:
            if one["check"] == fault.check and fault.told in one["what"]:
                return one
    raise DrillFailed(f"{fault.name}: not named, but {found}")


def _nothing_is_wrong(world: World, options: Sequence[str], when: str) -> None:
    deadline = time.monotonic() + MENDED_WITHIN_S
    while found := world.findings(*options):
        if time.monotonic() > deadline:
            raise DrillFailed(f"{when}: {found}")
        time.sleep(0.2)


@contextmanager
def sqlite_world(*, with_service: bool = True) -> Iterator[World]:
    with small_disk(48) as disk, tempfile.TemporaryDirectory(prefix="sessile-drill-", dir=disk) as name:
        yield from _prepared(World(Path(name), f"sqlite:///{name}/drill.db", disk=disk), with_service=with_service)


@contextmanager
def postgres_world() -> Iterator[World]:
    """With servers of its own; their clocks can be set where libfaketime is installed, and PostgreSQL has a small disk where one can be mounted."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk())
        with _made_on(disk):
            postgres = stack.enter_context(FakedPostgres() if faketime() is not None else PostgresServer())
        redis = stack.enter_context(RedisServer())
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="sessile-drill-"))
        url = postgres.create_database("drill")
        upgrade(url)
        yield from _prepared(World(Path(name), url, postgres, redis, disk=disk))


@contextmanager
def _made_on(disk: Path | None) -> Iterator[None]:
    """What makes itself a folder meanwhile makes it there."""
    before, tempfile.tempdir = tempfile.tempdir, str(disk) if disk else tempfile.tempdir
    try:
        yield
    finally:
        tempfile.tempdir = before


def _prepared(world: World, *, with_service: bool = True) -> Iterator[World]:
    """In use, with a service and a front that ends TLS and says nothing of it."""
    before = Path.cwd()
    os.chdir(world.folder)
    try:
        with TlsFront(world.folder, world.port) as world.front, world.manager() as manager:
            manager.create_session("carl")
            world.environment["SSL_CERT_FILE"] = str(world.front.certificate)
            if with_service:
                world.serve()
            yield world
    finally:
        world.kill()
        os.chdir(before)


def show(console: Console, title: str, played: Sequence[Played]) -> None:
    table = Table(title=title, title_justify="left", show_lines=True, expand=True)
    for column, ratio in (("broken", 3), ("doctor says", 6), ("and it is mended by", 5)):
        table.add_column(column, ratio=ratio, overflow="fold")
    for one in played:
        table.add_row(
            one.fault.name,
            f"[bold]{one.finding['check']}[/]  {_plain(one.finding['what'])}",
            _plain(one.finding["cure"]),
        )
    console.print(table)


def _plain(told: str) -> str:
    return told.replace("[", r"\[")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--capture", type=Path, help="write what the terminal shows into this SVG file")
    given = parser.parse_args(arguments)
    console = Console(record=True, width=150)
    failures = 0
    if given.store in ("sqlite", "both"):
        with sqlite_world() as world:
            failures += drill(console, "SQLite", world)
    if given.store in ("postgres", "both"):
        with postgres_world() as world:
            failures += drill(console, "PostgreSQL and Redis", world)
    if given.capture is not None:
        console.save_svg(str(given.capture), title="python -m scripts.drill")
    return 1 if failures else 0


def drill(console: Console, title: str, world: World, faults: Sequence[Fault] = FAULTS) -> int:
    """Plays what fits; how many failed."""
    played, failed = list[Played](), list[str]()
    for fault in faults:
        if fault.fits(world):
            try:
                played.append(play(world, fault))
            except DrillFailed as error:
                failed.append(str(error))
                break  # what is not mended would be named for the next one, too
    show(console, f"{title}: {len(played)} faults named and mended", played)
    for fault in faults:
        lacking = set(fault.needs.split()) - world.has
        if lacking and lacking <= NEEDED.keys():
            console.print(
                f"not played: {fault.name}, for want of {' and '.join(NEEDED[one] for one in sorted(lacking))}"
            )
    for one in failed:
        console.print(f"[bold red]failed[/] {_plain(one)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
