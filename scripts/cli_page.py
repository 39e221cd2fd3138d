"""The page of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessile.cli.lazy import COMMANDS

HEAD = """\
`sessile COMMAND --help` says the same. `sessile --config FILE COMMAND` reads that settings file. `--json` prints one value on standard output. What changes something for people asks for a
word to be typed; `--yes` is for scripts. [Operate it](../how-to/operate.md) shows them at work and has the exit statuses; [troubleshoot](../how-to/troubleshoot.md) is about `doctor`."""
_SAID_ONCE = {"--json", "--help", "--database", "--yes", "--reason", "--dry-run", "--apply", "--backup"}


def page(notice: str) -> str:
    """The whole page."""
    lines = ["# Command line", notice, "", HEAD, "", "| option of many | meaning |", "|---|---|"]
    lines += [
        "| `--database URL` | instead of `SESSILE_DATABASE_URL` |",
        "| `--json` | one JSON value instead of text |",
        "| `--yes` | do not ask |",
        "| `--reason TEXT` | why; kept in the audit log |",
        "| `--dry-run` | only say what would be done |",
        "| `--apply` | do it: without it only what would be done is said |",
        "| `--backup FILE` | write the backup here; PostgreSQL: by `pg_dump`, and without it none is made; SQLite: beside the file |",
    ]
    for name, lazy in COMMANDS.items():
        command = lazy.load(name)
        lines += ["", f"## {name}", _first(command.help)]
        if hasattr(command, "commands"):
            for verb, inner in command.commands.items():
                lines += ["", f"### {name} {verb}", *_described(f"{name} {verb}", inner)]
        else:
            lines += _described(name, command, is_named=True)
    return "\n".join([*lines, ""])


def _described(name: str, command: Any, *, is_named: bool = False) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    shared = [option for one in command.params for option in one.opts if option in _SAID_ONCE and option != "--help"]
    usage = " ".join(["sessile", name, *(_metavar(one) for one in arguments)])
    if not is_named:
        yield _whole(command.help)
    yield ""
    yield f"`{usage}`{' with ' + ', '.join(f'`{one}`' for one in shared) if shared else ''}"
    rows = [
        (_metavar(one) if one.param_type_name == "argument" else ", ".join(one.opts), one.help or "")
        for one in command.params
        if not _SAID_ONCE.intersection(one.opts)
    ]
    if rows:
        yield ""
        yield "| | |"
        yield "|---|---|"
        yield from (f"| `{what}` | {' '.join(told.split()).replace('|', chr(92) + '|')} |" for what, told in rows)


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name).upper()


def _first(text: str | None) -> str:
    return _whole(text)


def _whole(text: str | None) -> str:
    return " ".join((text or "").split())
