"""`sessile sessions`: look at sessions and end them. Works on the database; running servers follow at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.acting import Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json, print_table
from sessile.model.errors import SessionNotFound
from sessile.model.session import EndReason
from sessile.model.wire import iso

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Group

    from sessile.model.census import Census
    from sessile.model.session import Session
    from sessile.runtime.blocking import SessionManager

app = typer.Typer(help="Look at sessions and end them.", no_args_is_help=True)

Handle = Annotated[str, typer.Argument(metavar="HANDLE", help="The session's public id.")]


@app.command("list")
def list_sessions(
    user: Annotated[str | None, typer.Option("--user", help="Only those of this user.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many at most.")] = 100,
    after: Annotated[str, typer.Option(help="Go on behind this handle, the last one of the page before.")] = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List live sessions, oldest first. Tokens are never shown: nobody knows them but the browsers."""
    with opened(database, as_json=as_json) as manager:
        if user is not None:
            found = manager.list_sessions(user, after=after or None, limit=limit)
        else:
            found = list(manager.operators.sessions(after=after, limit=limit))
    if as_json:
        print_json([_facts(session) for session in found])
        return
    if not found:
        typer.echo("There is no live session." if user is None else f"{user} has no live session.")
        return
    rows = [list(_facts(session).values())[:5] for session in found]
    print_table(["session", "user", "created", "last activity", "expires"], rows)
    if len(found) == limit:
        typer.echo(f"There may be more: --after {found[-1].session_id}")


@app.command()
def show(session_id: Handle, database: Database = None, as_json: AsJson = False) -> None:
    """Show one session, also one that is over: clocks, device, platform, where it is connected. Neither its token nor its data."""
    with opened(database, as_json=as_json) as manager:
        session = manager.operators.session(session_id)
        platform = manager.get_session_platform(session)
        devices = manager.operators.devices(session_id)
        now = manager.clock.now()
    facts = {
        **_facts(session),
        "state": _state(session, now),
        "end_reason": None if session.end_reason is None else str(session.end_reason),
        "ended_at": _time(session.ended_at),
        "authenticated_at": _time(session.authenticated_at),
        "idle_expires_at": iso(session.idle_expires_at),
        "absolute_expires_at": iso(session.absolute_expires_at),
        "is_remembered": session.is_remembered,
        "platform": None if platform is None else platform.platform_id,
        "device": session.device.get("label"),
        "disconnected_at": _time(session.disconnected_at),
        "reconnected_at": _time(session.reconnected_at),
        "data_bytes": len(session.data),
        "version": session.version,
        "connected": [
            {"device": lease.label, "tabs": lease.tabs, "until": iso(lease.lease_until)} for lease in devices
        ],
    }
    if as_json:
        print_json(facts)
        return
    shown = {name.replace("_", " "): value for name, value in facts.items() if value not in (None, [], "")}
    if devices:
        shown["connected"] = ", ".join(f"{lease.label or 'a device'} ({lease.tabs} tabs)" for lease in devices)
    print_facts("Session", shown)


@app.command("end")
def end_sessions(
    session_id: Annotated[str | None, typer.Argument(metavar="[HANDLE]", help="The session's public id.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="End every session of this user.")] = None,
    yes: Yes = False,
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """End one session, or all of a user. Their sockets are closed; nobody gets in with their tokens when this has returned."""
    if (session_id is None) == (user is None):
        raise typer.BadParameter("Name a session or --user, exactly one of them.")
    with opened(database, as_json=as_json) as manager:
        ended = (
            _end_of_user(manager, user, reason, yes)
            if user is not None
            else _end(manager, session_id or "", reason, yes)
        )
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo(f"{ended} ended.")


@app.command()
def extend(
    session_id: Handle, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """Move the idle deadline of a session as activity would. Nothing moves the absolute one."""
    with opened(database, as_json=as_json) as manager:
        before = manager.get_session(session_id)
        owner = before.user_id or "nobody (anonymous)"
        confirm(f"This keeps the session {session_id} of {owner} alive longer.", session_id[-4:], yes=yes)
        note(manager, f"session:{session_id}", "extend", reason)
        session = manager.extend_session(session_id)
    moved = session.idle_expires_at > before.idle_expires_at
    if as_json:
        print_json({"session_id": session_id, "expires_at": iso(session.expires_at), "moved": moved})
    else:
        typer.echo(f"It expires at {iso(session.expires_at)}{'' if moved else ', as before'}.")


@app.command()
def top(
    interval_s: Annotated[float, typer.Option("--interval", min=0.2, max=3600, help="Seconds between two looks.")] = 2,
    rounds: Annotated[
        int, typer.Option("--rounds", min=0, help="Stop after so many looks; 0 goes on until Ctrl-C.")
    ] = 0,
    busiest: Annotated[int, typer.Option(min=1, max=1000, help="How many users.")] = 10,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Watch how many are here and which users have the most sessions. With --json a value for each look, a line each."""
    with opened(database, as_json=as_json) as manager:
        if as_json:
            for _ in _looks(interval_s, rounds):
                print_json(_census_facts(manager.operators.census(busiest=busiest), manager.clock.now()))
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False)
        with Live(console=console, auto_refresh=False, screen=console.is_terminal and rounds == 0) as live:
            for _ in _looks(interval_s, rounds):
                live.update(_screen(manager.operators.census(busiest=busiest), manager.clock.now()), refresh=True)


def _looks(interval_s: float, rounds: int) -> Any:
    """Counts up, waiting between two looks; Ctrl-C is the way out."""
    number = 0
    try:
        while True:
            yield number
            number += 1
            if number == rounds:
                return
            time.sleep(interval_s)
    except KeyboardInterrupt:
        return


def _screen(census: Census, now: datetime) -> Group:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("user", overflow="fold")
    table.add_column("sessions", justify="right")
    for user_id, number in census.busiest:
        table.add_row(Text(user_id), str(number))
    head = f"{census.sessions} sessions of {census.users} users, {census.anonymous} anonymous, {census.active} seen within five minutes"
    overdue = Text(f"{census.overdue} past a deadline wait for the sweep", "yellow" if census.overdue else "dim")
    return Group(Text(head, "bold"), overdue, Text(f"{iso(now)}\n", "dim"), table)


def _census_facts(census: Census, now: datetime) -> dict[str, Any]:
    return {
        "at": iso(now),
        "sessions": census.sessions,
        "users": census.users,
        "anonymous": census.anonymous,
        "active": census.active,
        "overdue": census.overdue,
        "busiest": [{"user_id": user_id, "sessions": number} for user_id, number in census.busiest],
    }


def _end(manager: SessionManager, session_id: str, reason: str, yes: bool) -> int:
    session = manager.operators.session(session_id)
    if _state(session, manager.clock.now()) == "ended":
        raise SessionNotFound
    confirm(
        f"This ends the session {session_id} of {session.user_id or 'nobody (anonymous)'}.", session_id[-4:], yes=yes
    )
    note(manager, f"session:{session_id}", "end", reason)
    if not manager.destroy_session(session_id, reason=EndReason.ADMIN):
        raise SessionNotFound
    return 1


def _end_of_user(manager: SessionManager, user: str, reason: str, yes: bool) -> int:
    number = len(manager.list_sessions(user))
    if number:
        confirm(f"This ends {number} sessions of {user}.", user, yes=yes)
    note(manager, f"user:{user}", "end_sessions", reason, sessions=number)
    manager.handoffs.withdraw(user)
    return manager.cleanup_user_sessions(user, reason=EndReason.ADMIN)


def _state(session: Session, now: datetime) -> str:
    if session.ended_at is not None:
        return "ended"
    return "expired" if now >= session.expires_at else "live"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _facts(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "created_at": iso(session.created_at),
        "last_activity": iso(session.last_seen_at),
        "expires_at": iso(session.expires_at),
    }
