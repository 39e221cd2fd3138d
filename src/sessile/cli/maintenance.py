"""`sessile maintenance`: announce work, let nobody new in, spare who is needed, and come back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.acting import Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json
from sessile.model.wire import iso_or_none

if TYPE_CHECKING:
    from sessile.runtime.blocking import SessionManager

app = typer.Typer(help="Let nobody new in for a while, and come back.", no_args_is_help=True)


@app.command()
def show(database: Database = None, as_json: AsJson = False) -> None:
    """Show what is in force now, or announced."""
    with opened(database, as_json=as_json) as manager:
        _tell(manager, as_json=as_json)


@app.command()
def begin(
    message: Annotated[str, typer.Option(help="What people are told.")] = "",
    minutes: Annotated[
        float | None, typer.Option("--for", min=0.1, help="So many minutes; without it until it is ended.")
    ] = None,
    ahead: Annotated[
        float, typer.Option("--in", min=0, help="Announce it: it begins in so many minutes, and people are told now.")
    ] = 0,
    drain: Annotated[
        bool,
        typer.Option(
            "--drain", help="Close the sockets of everybody else bit by bit; what they type waits in the browser."
        ),
    ] = False,
    spare: Annotated[
        list[str] | None, typer.Option("--spare", help="Users of this role still come in. May be repeated.")
    ] = None,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End the sessions of everybody else, too.")
    ] = False,
    yes: Yes = False,
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Refuse new logins with 503 and Retry-After. People with a session go on working, unless --end-sessions closes theirs. Again changes what is told."""
    with opened(database, as_json=as_json) as manager:
        told = (
            "and ends the sessions of everybody who is not spared"
            if end_sessions
            else f"and leaves sessions as they are{', but not their sockets' if drain else ''}"
        )
        confirm(f"This lets nobody new in {told}.", "maintenance", yes=yes)
        note(manager, "system", "maintenance_begin", reason, end_sessions=end_sessions)
        since = manager.clock.now() + timedelta(minutes=ahead)
        ended = manager.maintenance.begin(
            message,
            since=since if ahead else None,
            until=None if minutes is None else since + timedelta(minutes=minutes),
            roles_spared=spare or (),
            end_sessions=end_sessions,
            drain_sockets=drain,
        )
        _tell(manager, as_json=as_json, ended=ended)


@app.command()
def end(yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False) -> None:
    """Let everybody in again, or call off what was announced."""
    with opened(database, as_json=as_json) as manager:
        confirm("This lets everybody in again.", "end", yes=yes)
        note(manager, "system", "maintenance_end", reason)
        was = manager.maintenance.end()
    if as_json:
        print_json({"was_in_force": was})
    else:
        typer.echo("Everybody may come in again." if was else "No maintenance was in force.")


def _tell(manager: SessionManager, *, as_json: bool, **more: Any) -> None:
    underway = manager.maintenance.announced()
    if underway is None:
        if as_json:
            print_json({"in_force": False, **more})
        else:
            typer.echo("No maintenance is in force.")
        return
    in_force = underway.is_in_force(manager.clock.now())
    facts: dict[str, Any] = {
        "message": underway.message,
        "since": iso_or_none(underway.since),
        "until": iso_or_none(underway.until),
        "roles_spared": list(underway.roles_spared),
        "drains": underway.drains,
        **more,
    }
    if as_json:
        print_json({"in_force": in_force, **facts})
    else:
        shown = {
            name.replace("_", " "): ", ".join(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        print_facts(
            "Maintenance" if in_force else "Maintenance is announced",
            {name: value for name, value in shown.items() if value not in (None, "")},
        )
