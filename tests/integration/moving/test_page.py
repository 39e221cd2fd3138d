"""docs/how-to/move-in.md: its commands are ones that there are, its settings are taken, its code runs."""

from __future__ import annotations

import json
import pickle
import re
import shlex
from typing import Any

import pytest
import typer

from sessile.cli.main import app
from sessile.model.legacy import LegacyKind
from sessile.runtime.settings import Settings
from tests.architecture.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "move-in.md").read_text(encoding="utf-8")
SHELL = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]
COMMANDS = [
    shlex.split(line.partition("sessile ")[2], comments=True)
    for block in SHELL
    for line in block
    if re.match(r"(\w+='[^']*' )?sessile ", line)
]
SETTINGS = [block for block in SHELL if any(line.startswith("export ") for line in block)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_is_one_that_there_is(command: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    found = group.get_command(typer.Context(group), command[0])
    with found.make_context(command[0], command[1:]) as context:
        assert not context.args
        source = context.params.get("source")
        assert source is None or not LegacyKind(source).is_signed


def test_every_kind_is_in_the_table() -> None:
    assert len(COMMANDS) >= 10
    assert [kind for kind in LegacyKind if f"`{kind}`" not in PAGE] == []


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_are_taken(block: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for line in block:
        _, assignment = shlex.split(line, comments=True)
        name, _, value = assignment.partition("=")
        monkeypatch.setenv(name, value)
    assert Settings().legacy_cookies


def test_the_serializer_writes_json_and_reads_what_was_there() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    serializer = names["JsonFromNowOn"]()
    values: tuple[Any, ...] = ({"_auth_user_id": "7"}, [], 7, -1, "text", True, None)
    for value in values:
        assert json.loads(serializer.dumps(value)) == value
        assert serializer.loads(serializer.dumps(value)) == value
        assert serializer.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)) == value
