"""`sessile users`: what is known of a user, and shutting them out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessile.cli.acting import Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json
from sessile.model.errors import InvalidValue
from sessile.model.session import EndReason
from sessile.model.wire import iso_or_none

app = typer.Typer(help="Look at users, end their sessions, shut them out and let them in.", no_args_is_help=True)

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
    """End every session of a user. They can log in again."""
    with opened(database, as_json=as_json) as manager:
        number = len(manager.list_sessions(user))
        confirm(f"This ends {number} sessions of {user}.", user, yes=yes)
        note(manager, f"user:{user}", "end_sessions", reason, sessions=number)
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
    _tell({"user_id": user, "ended": ended}, f"{user} is shut out; {ended} sessions ended.", as_json=as_json)


@app.command()
def enable(user: User, reason: Reason = "", database: Database = None, as_json: AsJson = False) -> None:
    """Let a user log in again."""
    with opened(database, as_json=as_json) as manager:
        note(manager, f"user:{user}", "enable", reason)
        manager.enable_user(user)
    _tell({"user_id": user}, f"{user} can log in again.", as_json=as_json)


def _tell(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        typer.echo(text)
