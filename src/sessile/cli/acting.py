"""Commands that change something: they say what they would do, ask, note it in the audit log, and only then do it."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.options import settings_with
from sessile.cli.output import told

if TYPE_CHECKING:
    from sessile.runtime.blocking import SessionManager

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. For scripts.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it. Without it nothing is changed: only what would be.")]
BackupFile = Annotated[
    Path | None,
    typer.Option(
        "--backup",
        metavar="FILE",
        help="Write the backup here. PostgreSQL: by pg_dump; without it none is made. SQLite: beside the file.",
    ),
]


@contextmanager
def opened(database: str | None, *, as_json: bool) -> Iterator[SessionManager]:
    """A manager on the database of the settings; errors of ours become a message and exit status 1."""
    from sessile.runtime.blocking import SessionManager

    with told(as_json=as_json), SessionManager(settings_with(database_url=database)) as manager:
        yield manager


def confirm(what: str, word: str, *, yes: bool) -> None:
    """Goes on when `word` was typed, or with --yes. Otherwise nothing is done, and the command ends with status 1."""
    if yes:
        return
    if not sys.stdin.isatty():
        sys.stderr.write(f"{what}\nNothing was done: give --yes where nobody can be asked.\n")
        raise typer.Exit(1)
    sys.stderr.write(f"{what}\n")
    if typer.prompt(f"Type {word} to go on", default="", show_default=False, err=True).strip() != word:
        sys.stderr.write("Nothing was done.\n")
        raise typer.Exit(1)


def note(manager: SessionManager, subject: str, action: str, reason: str, **data: Any) -> None:
    """Commits the audit event `operator_acted`, with who it is on this machine."""
    from sessile.engine.operators import Act

    manager.operators.note(Act(subject=subject, action=action, reason=reason, by=operator()), data)


def operator() -> str:
    """The account of this machine that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "unknown"
