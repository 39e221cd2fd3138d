"""`sessile users`: what is known of a user, shutting them out, a copy of their data and its removal."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from sessile.cli.acting import Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json
from sessile.model.errors import ConfigurationError, InvalidValue
from sessile.model.session import EndReason
from sessile.model.wire import iso_or_none

app = typer.Typer(
    help="Look at users, end their sessions, shut them out, copy and erase their data.", no_args_is_help=True
)

User = Annotated[str, typer.Argument(metavar="USER", help="The user's id.")]


@app.command()
def show(user: User, database: Database = None, as_json: AsJson = False) -> None:
    """Show roles, limits, sessions and platforms of a user."""
    with opened(database, as_json=as_json) as manager:
        known = manager.get_principal(user)
        if known is None:
            raise InvalidValue("/user", f"{user} never had a session here")
        facts: dict[str, Any] = {
            "user_id": user,
            "roles": list(known.roles),
            "disabled_at": iso_or_none(known.disabled_at),
            "sessions_max": known.sessions_max,
            "sessions": [session.session_id for session in manager.list_sessions(user)],
            "platforms": [platform.platform_id for platform in manager.list_platforms(user)],
        }
    if as_json:
        print_json(facts)
    else:
        shown = {
            name.replace("_", " "): ", ".join(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        print_facts("User", {name: value for name, value in shown.items() if value not in (None, "")})


@app.command("end")
def end_sessions(
    user: User, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """End every session of a user, and take back a code that `recover user` made. They can log in again."""
    with opened(database, as_json=as_json) as manager:
        number = len(manager.list_sessions(user))
        confirm(f"This ends {number} sessions of {user}.", user, yes=yes)
        note(manager, f"user:{user}", "end_sessions", reason, sessions=number)
        manager.handoffs.withdraw(user)
        ended = manager.cleanup_user_sessions(user, reason=EndReason.ADMIN)
    _tell({"user_id": user, "ended": ended}, f"{ended} ended.", as_json=as_json)


@app.command()
def disable(
    user: User, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """End every session of a user, and let no login of theirs through any more."""
    with opened(database, as_json=as_json) as manager:
        confirm(f"This shuts {user} out.", user, yes=yes)
        note(manager, f"user:{user}", "disable", reason)
        ended = manager.disable_user(user)
        manager.handoffs.withdraw(user)
    _tell({"user_id": user, "ended": ended}, f"{user} is shut out; {ended} sessions ended.", as_json=as_json)


@app.command()
def enable(
    user: User, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """Let a user log in again."""
    with opened(database, as_json=as_json) as manager:
        confirm(f"This lets {user} log in again.", user, yes=yes)
        note(manager, f"user:{user}", "enable", reason)
        manager.enable_user(user)
    _tell({"user_id": user}, f"{user} can log in again.", as_json=as_json)


@app.command()
def export(
    user: User,
    write: Annotated[
        Path | None, typer.Option("--write", help="Into this new file instead of standard output.")
    ] = None,
    session_data: Annotated[
        bool, typer.Option("--session-data", help="With what the application keeps in their sessions.")
    ] = False,
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Copy what is kept of a user as one JSON document. That it was copied is noted."""
    if as_json and write is None:
        raise typer.BadParameter("With --json give --write: the copy itself is JSON.")
    with opened(database, as_json=as_json) as manager:
        if manager.get_principal(user) is None and not manager.list_platforms(user, with_inactive=True):
            raise InvalidValue("/user", f"nothing is kept of {user}")
        note(manager, f"user:{user}", "export", reason)
        pieces = manager.personal_data.export(user, reason=reason, with_session_data=session_data)
        size = 0
        try:
            out = sys.stdout if write is None else write.open("x", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{write}: {error.strerror}; nothing was written") from None
        try:
            for piece in pieces:
                size += len(piece.encode())
                out.write(piece)
            out.write("\n")
        finally:
            if write is not None:
                out.close()
    if write is not None:
        _tell({"user_id": user, "file": str(write), "bytes": size}, f"{size} bytes are in {write}.", as_json=as_json)


@app.command()
def erase(
    user: User, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """End every session of a user and remove what is kept of them. It cannot be undone; a proof stays in the audit log."""
    with opened(database, as_json=as_json) as manager:
        hashes = manager.personal_data.hashes(user)
        confirm(f"This removes the sessions, documents and all else of {user}, for good.", user, yes=yes)
        note(manager, "system", "erase_user", reason, user_hash=hashes[0])
        erased = manager.personal_data.erase(user, reason=reason)
    numbers = {name: number for name, number in asdict(erased).items() if name != "user_hash"}
    told = ", ".join(f"{number} {name}" for name, number in numbers.items())
    _tell(asdict(erased), f"Erased: {told}. The proof has {erased.user_hash}.", as_json=as_json)


def _tell(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        typer.echo(text)
