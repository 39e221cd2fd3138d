"""`sessile --help` and `sessile version` load no more than they need; a server loads no command but its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from sessile.cli.lazy import COMMANDS
from sessile.cli.main import app

pytestmark = pytest.mark.server
HEAVY = (
    "sqlalchemy",
    "pydantic_settings",
    "fastapi",
    "starlette",
    "asyncio",
    "msgspec",
    "sessile.runtime",
    "sessile.engine",
    "sessile.model.document",
)
LOADED = """
import sys
sys.argv = ["sessile", *{arguments!r}]
from sessile.cli.main import main
try:
    main()
finally:
    print("\\n" + __import__("json").dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded_by(*arguments: str) -> tuple[set[str], str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=list(arguments))],
        env=known,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["version", "--json"]])
def test_nothing_heavy_is_loaded(arguments: list[str]) -> None:
    loaded, shown = loaded_by(*arguments)
    assert shown
    assert [name for name in HEAVY if any(f"{one}.".startswith(f"{name}.") for one in loaded)] == []


def test_a_command_loads_no_other_command() -> None:
    loaded, _ = loaded_by("serve", "--help")
    assert "sessile.runtime.manager" in loaded, "otherwise this test looks for nothing"
    assert not [name for name in loaded if name.startswith(("sessile.testing", "sessile.moving", "fastapi"))]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_in_the_list_is_the_commands_own(name: str) -> None:
    command = COMMANDS[name].load(name)
    assert command.name == name
    assert command.help.partition("\n")[0].startswith(COMMANDS[name].summary)


def test_completion_offers_commands_and_their_verbs() -> None:
    def offered(words: str, number: int) -> list[str]:
        asked = {"_SESSILE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return CliRunner(env=asked).invoke(app, [], prog_name="sessile").output.split()

    assert offered("sessile se", 1) == ["serve", "sessions"]
    assert offered("sessile sessions e", 2) == ["end", "extend"]
    assert "--user" in offered("sessile sessions list --u", 3)


def test_a_name_that_is_nearly_right_is_asked_about() -> None:
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["sesions", "list"])
    assert done.exit_code == 2
    assert "Did you mean 'sessions'" in done.output


def test_only_the_program_itself_offers_to_install_completion() -> None:
    runner = CliRunner(env={"COLUMNS": "120"})
    assert "--install-completion" in runner.invoke(app, ["--help"]).output
    assert "--install-completion" not in runner.invoke(app, ["sessions", "--help"]).output


def test_what_is_no_command_is_refused() -> None:
    from sessile.cli.lazy import Lazy

    with pytest.raises((TypeError, typer.Exit)):
        Lazy("sessile.cli.lazy:COMMANDS", "No command.").load("x")
