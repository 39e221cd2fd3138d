"""What the pages for operators say is true: each command of theirs is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sessile.cli.lazy import COMMANDS
from sessile.model.document import Actor
from tests.integration.cli.conftest import Place

pytestmark = pytest.mark.server
HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to"


def commands(page: str) -> list[list[str]]:
    text = (HOW_TO / page).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in map(str.strip, lines) if line.startswith("sessile ")]


@pytest.mark.parametrize(
    "page", ["operate.md", "troubleshoot.md", "personal-data.md", "deploy.md", "upgrade.md", "restore.md"]
)
def test_each_command_of_a_page_runs(page: str, sqlite: Place) -> None:
    with sqlite.manager() as manager:
        manager.create_session("ada")
        manager.documents.open(Actor(user_id="ada"), "intake", default={})
    ran = commands(page)
    assert ran
    for arguments in ran:
        sqlite.ok(*arguments)


@pytest.mark.parametrize("page", ["operate.md", "troubleshoot.md", "deploy.md", "upgrade.md", "restore.md"])
def test_each_command_that_is_named_exists(page: str) -> None:
    text = (HOW_TO / page).read_text(encoding="utf-8")
    for name, verb in re.findall(r"`(?:sessile )?([a-z]+) ([a-z-]+)\b[^`]*`", text):
        if name in COMMANDS:
            command = COMMANDS[name].load(name)
            assert not hasattr(command, "commands") or verb in command.commands, f"{name} {verb}"
