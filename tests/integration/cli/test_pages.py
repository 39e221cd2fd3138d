"""What the pages for operators say is true: each command of their blocks is run. Those in the running text: test_named_commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

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
