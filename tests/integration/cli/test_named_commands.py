"""Commands that stand in the running text of the guides: each is parsed by the parser itself, and those that only read are run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.main import get_command

from sessile.cli.lazy import COMMANDS
from sessile.cli.main import app
from sessile.model.document import Actor
from sessile.model.platform import PlatformEntry
from tests.integration.cli.conftest import Place

pytestmark = pytest.mark.server
HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to"
PAGES: Final = (
    "operate.md", "troubleshoot.md", "deploy.md", "upgrade.md", "restore.md", "telemetry.md", "console.md", "django.md", "documents.md", "move-in.md", "run.md",
)  # fmt: skip
_FENCED: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_PYTHON: Final = frozenset({"import", "bench"})
"""Words that are no command of ours where they begin a piece of code without `sessile` before them."""
USAGE_ERROR: Final[Any] = typer.BadParameter.__bases__[0]
"""Of Click, or of Typer's own copy of it."""
OF_OTHERS: Final[Mapping[str, str]] = {"--capture": "python -m scripts.drill", "--root-path": "uvicorn"}
"""Options of other programs, in sections that name commands of ours as well."""


@dataclass(frozen=True)
class Section:
    """From one heading to the next: what stands in its text as code, and the commands of ours in its blocks."""

    title: str
    inline: list[str]
    blocks: list[str]


def sections(text: str) -> Iterator[Section]:
    blocks: list[str] = []

    def kept(found: re.Match[str]) -> str:
        blocks.append(found[2])
        return f"\n\0{len(blocks) - 1}\0\n"

    for part in re.split(r"^#+ ", _FENCED.sub(kept, text), flags=re.MULTILINE):
        own = [blocks[int(number)] for number in re.findall(r"\0(\d+)\0", part)]
        lines = [line.strip() for block in own for line in block.splitlines()]
        yield Section(
            part.partition("\n")[0],
            [" ".join(one.split()) for one in _INLINE.findall(part)],
            [line.removeprefix("sessile ") for line in lines if line.startswith("sessile ")],
        )


@cache
def root() -> Any:
    return get_command(app)


@cache
def command_of(name: str, verb: str | None = None) -> Any:
    loaded = COMMANDS[name].load(name)
    return loaded if verb is None else loaded.commands[verb]


@cache
def verbs(name: str) -> frozenset[str]:
    return frozenset(getattr(command_of(name), "commands", ())) if name in COMMANDS else frozenset()


def path_of(words: list[str]) -> tuple[str, ...]:
    """The command alone, without what is given to it."""
    return tuple(words[:2]) if len(words) > 1 and words[1] in verbs(words[0]) else tuple(words[:1])


def parse(words: list[str]) -> None:
    """As the command line would, without running anything. Raises what USAGE_ERROR names."""
    command, context = root(), None
    name = "sessile"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "commands"):
            return
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])


def variants(words: list[str]) -> Iterator[list[str]]:
    """With what stands in brackets, and without it."""
    choices = [[[], [word.strip("[]")]] if re.fullmatch(r"\[\S+\]", word) else [[word]] for word in words]
    for chosen in product(*choices):
        yield [word for one in chosen for word in one]


def refused(words: list[str]) -> str | None:
    """Why this is no command. A command may be named without what it needs, and an option at the end without its value."""
    name, path = words[0], path_of(words)
    if name.startswith("-"):
        return None if name in option_names(root()) else f"there is no {name}"
    if name not in COMMANDS and name != "version":
        return f"there is no {name}"
    if verbs(name) and len(words) > 1 and len(path) < 2:
        return f"{name} has no {words[1]}"
    if len(words) == len(path):
        return None
    for variant in variants(words):
        try:
            parse(variant)
        except USAGE_ERROR as error:
            is_without_value = type(error).__name__ == "BadOptionUsage" and error.option_name == variant[-1]
            if not is_without_value:
                return str(error.format_message())
    return None


def option_names(command: Any) -> set[str]:
    return {"--help"} | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def options_named(named: list[list[str]]) -> set[str]:
    """Options of these commands; of a group those of its verbs."""
    found: set[str] = set()
    for path in {path_of(words) for words in named if words and words[0] in COMMANDS}:
        command = command_of(*path)
        for one in getattr(command, "commands", {"": command}).values():
            found |= option_names(one)
    return found


def commands_of(section: Section) -> list[list[str]]:
    """In its text: with `sessile` before them, or a command and its verb, or the name of a command alone."""
    found = []
    for code in section.inline:
        words = shlex.split(code) if code.count('"') % 2 == 0 and "'" not in code else code.split()
        if words[0] == "sessile" and len(words) > 1:
            found.append(words[1:])
        elif words[0] in COMMANDS and words[0] not in _PYTHON and len(words) > 1:
            found.append(words)
    return found


def around_of(section: Section) -> list[list[str]]:
    """All that it names: in its text, with what is given to it or without, and in its blocks."""
    alone = [[code] for code in section.inline if code in COMMANDS]
    return [*commands_of(section), *alone, *(shlex.split(line, comments=True) for line in section.blocks)]


def faults(text: str) -> list[str]:
    """What the running text says of commands, and is not so."""
    found = []
    parts = list(sections(text))
    of_page = options_named([words for part in parts for words in around_of(part)])
    for section in parts:
        named = commands_of(section)
        found += [f"`{' '.join(words)}`: {why}" for words in named if (why := refused(words)) is not None]
        around = around_of(section)
        if not around:
            continue
        groups = {words[0] for words in around if words}
        for code in section.inline:
            first, *more = code.split()
            if first.startswith("--") and first not in of_page and first not in OF_OTHERS:
                found.append(f"`{code}` ({section.title}): no command that is named on the page has it")
            elif first not in COMMANDS:  # a verb whose group was named before, and not what is given to it
                homes = [option_names(command_of(name, first)) for name in groups if first in verbs(name)]
                given = {word for word in more if word.startswith("--")}
                if homes and not any(given <= home for home in homes):
                    found.append(f"`{code}`: {first} has no {' '.join(sorted(given - homes[0]))}")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_each_command_in_the_text_is_one(page: str) -> None:
    text = (HOW_TO / page).read_text(encoding="utf-8")
    assert faults(text) == []
    assert any(commands_of(section) for section in sections(text))


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ("`sessile users disable ada --force`", "No such option"),
        ("`sessile sessions list --usr ada`", "No such option"),
        ("`sessile sessions close ada`", "sessions has no close"),
        ("`sessile mend`", "there is no mend"),
        ('`sessile maintenance begin "Back at noon"`', "unexpected extra argument"),
        ("`sessile cache fence --hold soon`", "Invalid value"),
        ("`sessile documents restore ID --path /a`", "Missing argument"),
        ("`documents restore ID CHECKPOINT --dry`", "No such option"),
        ("`sessile documents list`, then `show ID --stat`", "show has no --stat"),
        ("`sessile sweep` with `--everything`", "no command that is named on the page has it"),
        ("`sessile platforms explain USER [PLATFORM] --deep`", "No such option"),
        ("broken over\na line: `sessile audit\nverify --all`", "No such option"),
    ],
)
def test_a_planted_command_is_found(planted: str, told: str) -> None:
    (found,) = faults(f"# A page\nOne may {planted} at any time.\n")
    assert told in found


@pytest.mark.parametrize(
    "said",
    [
        "`sessile users erase`",
        "`sessile doctor --url`",
        "`sessile platforms explain USER [PLATFORM]`",
        "`sessile recover system --keep-sessions --audit ...`",
        "`import os` and `maintenance`",
        "`sessile documents list`, then `show ID --state`",
        "`sessile --install-completion`",
    ],
)
def test_what_is_right_is_not_found(said: str) -> None:
    assert faults(f"# A page\nOne may {said} at any time.\n") == []


READING: Final = frozenset(
    {
        "doctor", "sessions list", "sessions show", "documents list", "documents show", "documents checkpoints", "documents diff", "platforms list",
        "platforms explain", "cache inspect", "config show", "config validate", "users show", "audit tail", "audit verify", "maintenance show", "db check",
        "recover user", "recover document", "recover table", "recover system",
    }
)  # fmt: skip
"""They change nothing; what recovers only says what it would do without `--apply`."""
ELSEWHERE: Final = frozenset({"--profile", "--url", "--apply", "--follow", "--app", "--audit", "...", "VERSION"})
"""What writes, waits, or asks the network or a file that is not here."""


def read_only() -> list[str]:
    """Those of the text that can be run here, once each."""
    found = set()
    for page in PAGES:
        for section in sections((HOW_TO / page).read_text(encoding="utf-8")):
            for words in commands_of(section):
                if " ".join(path_of(words)) in READING and not ELSEWHERE & set(words):
                    found |= {shlex.join(variant) for variant in variants(words)}
    return sorted(found)


def test_each_that_only_reads_runs(sqlite: Place) -> None:
    with sqlite.manager() as manager:
        manager.sync_platforms("ada", [PlatformEntry(platform_id="shop", name="Shop", is_default=True)])
        actor = Actor(user_id="ada")
        handle = manager.create_session("ada").session.session_id
        document = manager.documents.open(actor, "intake", default={"step": 1}).document.document_id
        checkpoint = manager.documents.checkpoint(actor, document, label="first").checkpoint_id
    known = {
        "USER": "ada",
        "HANDLE": handle,
        "PLATFORM": "shop",
        "ID": document,
        "CHECKPOINT": checkpoint,
        "POINT": "0",
    }
    failed, lines = {}, read_only()
    needs = {path: command_of(*path).params for path in {path_of(shlex.split(line)) for line in lines}}
    for line in lines:
        words = shlex.split(line)
        path = path_of(words)
        if len(words) == len(path) and any(one.required for one in needs[path]):
            continue  # named without what it needs
        ran = sqlite.run(*(known.get(word, word) for word in words))
        if ran.status:
            failed[line] = (ran.status, ran.out[-200:], ran.err[-200:])
    assert failed == {}
    assert len(lines) > 10, lines
