"""`sessile adopt`: rewrites a code base that used another session library, shows what it would do first, and takes it back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.syntax import Syntax

from sessile.cli.output import AsJson, print_json, told
from sessile.model.errors import ConfigurationError

if TYPE_CHECKING:
    from sessile.moving.rewriting.planning import Adoption

_HEADINGS = {
    "needs_you": "Left as it is, because it needs you:",
    "left": "Left as it is:",
    "archived": "Archived:",
    "rewritten": "Rewritten:",
}


def adopt(
    path: Annotated[Path, typer.Argument(help="A folder with Python code, or one file.")],
    replaces: Annotated[
        list[Path] | None,
        typer.Option(
            "--replaces", help="A module whose job Sessile does now: it is archived. May be given several times."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Take the latest adoption back, byte for byte.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="With --rollback: also files that were edited since; the edited ones are kept."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rewrite imports and set-up of Flask-Session, Starlette, starsessions and Django for Sessile. Shows a diff and asks.

    Everything that changes is kept in session_managers_backup/ first. With --json nothing is written unless --yes is given.
    """
    with told(as_json=as_json):
        _check_installed()
        if rollback:
            _roll_back(path, force=force, as_json=as_json)
        else:
            _adopt(
                path, replaces or [], write=yes and not dry_run, ask=not (yes or dry_run or as_json), as_json=as_json
            )


def _check_installed() -> None:
    try:
        import libcst  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ConfigurationError('`sessile adopt` needs LibCST: pip install "sessile[adopt]"') from error


def _adopt(path: Path, replaces: list[Path], *, write: bool, ask: bool, as_json: bool) -> None:
    from sessile.moving.rewriting.backup import adopt as carry_out
    from sessile.moving.rewriting.planning import plan_adoption

    adoption = plan_adoption(path, replaces)
    if not as_json:
        _show(adoption)
    write = write or (ask and bool(adoption.changes) and typer.confirm("Write this?", default=False))
    folder = carry_out(adoption, datetime.now(UTC)) if write and adoption.changes else None
    if as_json:
        print_json(_as_dict(adoption, folder))
    elif folder is not None:
        typer.echo(f"Written. What was there before is in {folder}; `sessile adopt {path} --rollback` takes it back.")
    elif adoption.changes:
        typer.echo("Nothing was written.")


def _show(adoption: Adoption) -> None:
    console = Console(highlight=False)
    for step in adoption.changes:
        if console.is_terminal:
            console.print(Syntax(step.diff(), "diff", background_color="default"))
        else:
            sys.stdout.write(step.diff())
    if not adoption.steps:
        typer.echo("There is nothing here that uses a session library this knows.")
    for outcome, heading in _HEADINGS.items():
        steps = [step for step in adoption.steps if step.outcome == outcome]
        if steps:
            typer.echo(f"\n{heading}")
        for step in steps:
            for note in step.notes or ():
                where = f"{step.path}:{note.line}" if note.line else str(step.path)
                typer.echo(f"  {where}: {note.text}")


def _as_dict(adoption: Adoption, folder: Path | None) -> dict[str, Any]:
    return {
        "written": folder is not None,
        "backup": None if folder is None else str(folder),
        "files": [
            {
                "path": str(step.path),
                "outcome": str(step.outcome),
                "notes": [{"line": note.line, "text": note.text} for note in step.notes],
                "diff": step.diff(),
            }
            for step in adoption.steps
        ],
    }


def _roll_back(path: Path, *, force: bool, as_json: bool) -> None:
    from sessile.moving.rewriting.backup import OVERWRITTEN, roll_back

    root = path.parent if path.is_file() else path
    folder, restored, conflicts = roll_back(root, datetime.now(UTC), force=force)
    done = force or not conflicts
    if as_json:
        told_conflicts = [{"path": conflict.path, "why": conflict.why} for conflict in conflicts]
        print_json({"rolled_back": done, "backup": str(folder), "restored": restored, "conflicts": told_conflicts})
    elif done:
        typer.echo(f"{len(restored)} files are as they were before.")
        if conflicts:
            typer.echo(f"What was edited since is kept in {folder / OVERWRITTEN}.")
    else:
        for conflict in conflicts:
            typer.echo(f"{conflict.path}: {conflict.why}", err=True)
        typer.echo(
            "Nothing was restored. With --force these files are overwritten, and kept beside the backup.", err=True
        )
    if not done:
        raise typer.Exit(1)
