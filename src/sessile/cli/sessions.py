"""`sessile sessions`: list a user's sessions, end one or all of them. Works on the database; running servers follow at once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessile.cli.options import Database, settings_with
from sessile.cli.output import AsJson, print_json, print_table, told
from sessile.model.errors import SessionNotFound
from sessile.model.session import EndReason
from sessile.model.wire import iso
from sessile.runtime.blocking import SessionManager

app = typer.Typer(help="Look at sessions and end them.", no_args_is_help=True)

User = Annotated[str, typer.Option("--user", help="The user's id.")]


@app.command("list")
def list_sessions(user: User, database: Database = None, as_json: AsJson = False) -> None:
    """List the live sessions of a user. Tokens are never shown: nobody knows them but the browsers."""
    with told(as_json=as_json), SessionManager(settings_with(database_url=database)) as manager:
        sessions = manager.list_sessions(user)
    if as_json:
        print_json([_facts(session) for session in sessions])
        return
    if not sessions:
        typer.echo(f"{user} has no live session.")
        return
    rows = [
        [facts["session_id"], facts["created_at"], facts["last_activity"], facts["expires_at"]]
        for facts in map(_facts, sessions)
    ]
    print_table(["session", "created", "last activity", "expires"], rows)


@app.command("end")
def end_sessions(
    session_id: Annotated[str | None, typer.Argument(help="The handle of one session.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="End every session of this user.")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """End one session, or all of a user. Their sockets are closed."""
    if (session_id is None) == (user is None):
        raise typer.BadParameter("Name a session or --user, exactly one of them.")
    with told(as_json=as_json), SessionManager(settings_with(database_url=database)) as manager:
        if user is not None:
            ended = manager.cleanup_user_sessions(user, reason=EndReason.ADMIN)
        else:
            ended = int(manager.destroy_session(session_id or "", reason=EndReason.ADMIN))
            if not ended:
                raise SessionNotFound
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo(f"{ended} ended.")


def _facts(session: Any) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "created_at": iso(session.created_at),
        "last_activity": iso(session.last_seen_at),
        "expires_at": iso(min(session.idle_expires_at, session.absolute_expires_at)),
    }
