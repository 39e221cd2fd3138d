"""`flask sessile ...`: what an operator does with the sessions of this application, on the store that it is configured with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
from flask import Flask
from flask.cli import AppGroup

from sessile.integrations.flask.application import sessions_of
from sessile.model.errors import ConfigurationError, SessileError, SessionNotFound
from sessile.model.session import EndReason, Session
from sessile.model.wire import iso
from sessile.runtime.blocking import SessionManager

_as_json: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON value instead of text.")

group = AppGroup(
    "sessile", help="Sessions, and the schema of their database.", short_help="Sessions and their database."
)
sessions = AppGroup("sessions", help="Look at sessions and end them.")
db = AppGroup("db", help="Look after the schema of the database.")
group.add_command(sessions)
group.add_command(db)


def install(app: Flask) -> None:
    """Adds the commands to `flask`."""
    app.cli.add_command(group)


@contextmanager
def _manager() -> Iterator[SessionManager]:
    """Open; errors of ours become a message and exit status 1."""
    try:
        manager = sessions_of().manager
        was_open = manager.is_open
        manager.open()
        try:
            yield manager
        finally:
            if not was_open:
                manager.close()
    except SessileError as error:
        raise click.ClickException(error.message) from error


@sessions.command("list")
@click.option("--user", "user_id", required=True, help="The user's id.")
@_as_json
def list_sessions(user_id: str, as_json: bool) -> None:
    """List the live sessions of a user. Tokens are never shown: nobody knows them but the browsers."""
    with _manager() as manager:
        found = [_facts(session) for session in manager.list_sessions(user_id)]
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo(f"{user_id} has no live session.")
    for facts in found:
        click.echo(
            f"{facts['session_id']}  created {facts['created_at']}  last activity {facts['last_activity']}  expires {facts['expires_at']}"
        )


@sessions.command("end")
@click.argument("session_id", required=False)
@click.option("--user", "user_id", help="End every session of this user.")
@_as_json
def end_sessions(session_id: str | None, user_id: str | None, as_json: bool) -> None:
    """End one session, or all of a user. Their sockets are closed."""
    if (session_id is None) == (user_id is None):
        raise click.UsageError("Name a session or --user, exactly one of them.")
    with _manager() as manager:
        if user_id is not None:
            ended = manager.cleanup_user_sessions(user_id, reason=EndReason.ADMIN)
        else:
            ended = int(manager.destroy_session(session_id or "", reason=EndReason.ADMIN))
            if not ended:
                raise SessionNotFound
    click.echo(json.dumps({"ended": ended}) if as_json else f"{ended} ended.")


@group.command("sweep")
@_as_json
def sweep(as_json: bool) -> None:
    """Mark sessions past a deadline as ended, and remove what is too old. The application does it by itself now and then; this does it at once."""
    with _manager() as manager:
        swept = _all_of(manager.cleanup_expired_sessions)
        removed = _all_of(manager.forget_old)
    click.echo(
        json.dumps({"ended": swept, "removed": removed}) if as_json else f"{swept} ended, {removed} old rows removed."
    )


@db.command("upgrade")
@_as_json
def upgrade(as_json: bool) -> None:
    """Bring the schema to the version that this program needs. SQLite files do that by themselves when they are opened."""
    with _told():
        settings = sessions_of().manager.settings
        if settings.database_url.partition(":")[0].partition("+")[0] in {"postgresql", "postgres"}:
            _upgrade_postgres(settings.database_url)
    with _manager():
        pass
    shown = settings.database_shown
    click.echo(json.dumps({"database": shown}) if as_json else f"{shown} is ready.")


@db.command("check")
@_as_json
def check(as_json: bool) -> None:
    """Open the database as the application does: it must be reachable, durable, and of the right version."""
    with _manager() as manager:
        latency_ms = round(manager.health().latency_ms, 2)
        shown = manager.settings.database_shown
    told = {"database": shown, "latency_ms": latency_ms}
    click.echo(json.dumps(told) if as_json else f"{shown} is ready; it answered in {latency_ms} ms.")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except SessileError as error:
        raise click.ClickException(error.message) from error


def _upgrade_postgres(url: str) -> None:
    try:
        from sessile.stores.sql import postgres
    except ImportError as error:
        raise ConfigurationError('PostgreSQL needs more packages: pip install "sessile[postgres]"') from error
    postgres.upgrade(url)


def _all_of(work: Any) -> int:
    """A batch after another, until nothing is left; how many."""
    total = 0
    while done := work():
        total += done
    return total


def _facts(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "created_at": iso(session.created_at),
        "last_activity": iso(session.last_seen_at),
        "expires_at": iso(session.expires_at),
    }
