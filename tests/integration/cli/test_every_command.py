"""Every command of the command line is run here, on a file and on PostgreSQL with Redis: one that is added and not named below is a failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sessile.cli.lazy import COMMANDS
from sessile.model.document import Actor
from sessile.model.platform import PlatformEntry
from tests.integration.cli.conftest import Place

pytestmark = pytest.mark.server
ADA = Actor(user_id="ada")

RUNS: Mapping[str, tuple[str, ...]] = {
    "db upgrade": ("",),
    "db check": ("",),
    "doctor": ("", "--audit", "--explain {session}"),
    "sessions list": ("", "--user ada --limit 1"),
    "sessions show": ("{session}",),
    "sessions extend": ("{session} --yes",),
    "sessions top": ("--rounds 1",),
    "sessions end": ("{ended} --yes --reason test", "--user bea --yes"),
    "documents list": ("--user ada",),
    "documents show": ("{document}", "{document} --state"),
    "documents checkpoints": ("{document}",),
    "documents diff": ("{document} {checkpoint}",),
    "documents restore": ("{document} {checkpoint} --dry-run", "{document} {checkpoint} --yes"),
    "platforms list": ("ada",),
    "platforms fix-default": ("ada --yes", "ada --to mail --yes"),
    "platforms explain": ("ada", "ada shop"),
    "cache inspect": ("", "{session}"),
    "cache flush": ("--yes",),
    "cache fence": ("--hold 1 --yes",),
    "sweep": ("",),
    "config show": ("",),
    "config validate": ("",),
    "config template": ("",),
    "config reload": ("--wait 0",),
    "users show": ("ada",),
    "users end": ("bea --yes",),
    "users disable": ("bea --yes",),
    "users enable": ("bea --yes",),
    "users export": ("ada --write {folder}/ada.json",),
    "audit tail": ("--limit 5",),
    "audit verify": ("",),
    "audit export": ("",),
    "maintenance begin": ("--message Soon --in 5 --drain --yes", "--for 1 --spare admin --yes"),
    "maintenance show": ("",),
    "maintenance end": ("--yes",),
    "operators token": ("--name ada",),
    "operators list": ("",),
    "operators end": ("{token}",),
    "console": ("--yes",),
    "import": ("--runs",),
    "recover table": ("",),
    "recover user": ("ada --apply --yes",),
    "recover document": ("{document} --to 1 --apply --yes",),
    "recover cache": ("--apply --yes",),
    "recover system": ("",),
    "users erase": ("bea --yes",),
}
"""In this order, on one database. With --json on the file, for people on PostgreSQL."""
WITHOUT_REDIS = {"cache flush": 1, "cache fence": 1, "recover cache": 1}
"""There they say that there is no cache, with status 1."""
ELSEWHERE: Mapping[str, str] = {
    "serve": "tests/integration/server/test_cli.py",
    "demo": "tests/integration/server/test_cli.py",
    "adopt": "tests/integration/moving/test_adopt.py",
    "bench torture": "tests/integration/torture/test_command.py",
}
"""What serves until it is stopped or needs no database of ours."""
ROOT = Path(__file__).resolve().parents[3]


def leaves() -> Iterator[str]:
    for name, lazy in COMMANDS.items():
        command = lazy.load(name)
        verbs = getattr(command, "commands", None)
        yield from (f"{name} {verb}" for verb in verbs) if verbs else (name,)


def test_no_command_is_left_out() -> None:
    assert sorted(leaves()) == sorted([*RUNS, *ELSEWHERE])
    for where in ELSEWHERE.values():
        assert (ROOT / where).is_file()


def test_each_runs(place: Place, tmp_path: Path) -> None:
    with place.manager() as manager:
        manager.sync_platforms("ada", [PlatformEntry(platform_id=name, name=name) for name in ("shop", "mail")])
        known = {name: manager.create_session("ada").session.session_id for name in ("session", "ended")}
        manager.create_session("bea")
        opened = manager.documents.open(ADA, "intake", default={"step": 1}).document
        checkpoint = manager.documents.checkpoint(ADA, opened.document_id, label="first")
        known |= {"document": opened.document_id, "checkpoint": checkpoint.checkpoint_id, "folder": str(tmp_path)}
    place.ok("operators", "token", "--name", "eve")
    known["token"] = place.values("operators", "list")[0]["id"]
    statuses: dict[str, Any] = {}
    for name, lines in RUNS.items():
        for line in lines:
            arguments = [*name.split(), *line.format(**known).split()]
            as_json = place.redis is None and name != "audit export"  # which has its own format
            more = ("--json",) if as_json else ()
            ran = place.run(*arguments, *more, typed="quit\n" if name == "console" else None)
            if ran.status != (WITHOUT_REDIS.get(name, 0) if place.redis is None else 0):
                statuses[" ".join([*arguments, *more])] = (ran.status, ran.out[-300:], ran.err[-300:])
            elif as_json and name != "console":
                assert ran.json is not None, arguments
    assert statuses == {}, "\n".join(f"{name}: {told}" for name, told in statuses.items())
