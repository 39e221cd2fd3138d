"""`sessile doctor`: the troubleshooting guide as a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sessile.cli.acting import opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_json, print_table

if TYPE_CHECKING:
    from sessile.cli.diagnosis import Diagnosis

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim", "ok": "green"}


def doctor(
    app: Annotated[
        str | None, typer.Option("--app", metavar="MODULE:APP", help="Look at this application, too.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Ask a running service from outside, too.")] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Verify the whole audit log; long where it is long.")] = False,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="HANDLE", help="Only say why this session ended.")
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Measure the common verbs on this database; begins anonymous sessions and ends them."
        ),
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Find out what is wrong, why it matters, and the command that mends it. Changes nothing. Status 0: nothing; 1: warnings; 2: errors."""
    if explain is not None:
        _explain(explain, database, as_json=as_json)
        return
    from sessile.cli.examining import examine
    from sessile.cli.visiting import visit

    found = list(examine(database, app, with_audit=audit))
    if url is not None:
        found += visit(url)
    if profile and not any(one.severity == "error" for one in found):
        from sessile.cli.profiling import profiled

        with opened(database, as_json=as_json) as manager:
            found += profiled(manager)
    severities = {one.severity for one in found}
    status = 2 if "error" in severities else 1 if "warning" in severities else 0
    if as_json:
        print_json({"status": status, "findings": [one.as_dict() for one in found]})
    else:
        _print(found, status)
    raise typer.Exit(status)


def _print(found: list[Diagnosis], status: int) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from sessile.model.shown import shown

    console = Console(highlight=False)
    for one in found:
        head = Text(f"{one.severity:<8}", _STYLES[one.severity])
        head.append(f"{one.check:<12}", "bold").append(shown(one.what), "")
        console.print(head)
        for line, style in ((one.why, "dim"), (f"-> {one.cure}" if one.cure else "", "")):
            if line and one.severity != "ok":
                console.print(Padding(Text(shown(line), style), (0, 0, 0, 20)))
    console.print(("\nNothing is wrong.", "\nThere are warnings.", "\nThere are errors.")[status])


def _explain(session_id: str, database: str | None, *, as_json: bool) -> None:
    from sessile.cli.explaining import explain

    with opened(database, as_json=as_json) as manager:
        told = explain(manager, session_id)
    if as_json:
        trail = [{"at": at, "event": event, "what": what} for at, event, what in told.trail]
        print_json({"session_id": session_id, "state": told.state, "why": told.why, "trail": trail})
        return
    typer.echo(f"{told.state}: {told.why}\n")
    if told.trail:
        print_table(["at", "event", "what"], told.trail)
