"""`manage.py sessile`: list sessions, end them, sweep, and bring the schema up to date, with the project's own settings."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from sessile.integrations.django.configuration import configuration
from sessile.integrations.django.people import user_id_of
from sessile.integrations.django.process import get_manager
from sessile.integrations.django.store import SessionStore
from sessile.model.errors import ConfigurationError, SessileError
from sessile.model.session import EndReason, Session
from sessile.model.wire import iso
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings

_POSTGRES: Final = frozenset({"postgresql", "postgres"})


class Command(BaseCommand):
    """Errors of ours become a message and the exit status 1."""

    help = "Look at sessions and end them; bring the schema of their database up to date."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        listing = commands.add_parser(
            "list", help="The live sessions of a user. Tokens are never shown: nobody knows them."
        )
        listing.add_argument("user", help="The username, or the primary key.")
        listing.add_argument("--json", action="store_true", dest="as_json", help="One JSON value instead of lines.")
        ending = commands.add_parser("end", help="End one session, or all of a user. Their sockets are closed.")
        which = ending.add_mutually_exclusive_group(required=True)
        which.add_argument("session", nargs="?", help="The handle of one session.")
        which.add_argument("--user", help="Every session of this user.")
        commands.add_parser(
            "sweep", help="Mark expired sessions as ended, and remove what is too old; as clearsessions does."
        )
        commands.add_parser("upgrade", help="Bring the schema of the database to the version that this program needs.")
        commands.add_parser(
            "check", help="Open the database as the application does, and say how long it takes to answer."
        )

    def handle(self, *_args: Any, command: str, **options: Any) -> None:
        try:
            getattr(self, f"_{command}")(**options)
        except SessileError as error:
            raise CommandError(error.message) from error

    def _list(self, *, user: str, as_json: bool, **_options: Any) -> None:
        sessions = [_facts(session) for session in get_manager().list_sessions(user_id_of(user))]
        if as_json:
            self.stdout.write(json.dumps(sessions))
            return
        for one in sessions:
            self.stdout.write(
                f"{one['session_id']}  seen {one['last_activity']}  until {one['expires_at']}  {one['device']}"
            )
        if not sessions:
            self.stdout.write(f"{user} has no live session.")

    def _end(self, *, session: str | None, user: str | None, **_options: Any) -> None:
        manager = get_manager()
        if user is not None:
            ended = manager.cleanup_user_sessions(user_id_of(user), reason=EndReason.ADMIN)
        else:
            ended = int(manager.destroy_session(session or "", reason=EndReason.ADMIN))
            if not ended:
                raise CommandError(f"There is no live session {session}.")
        self.stdout.write(f"{ended} ended.")

    def _sweep(self, **_options: Any) -> None:
        SessionStore.clear_expired()

    def _upgrade(self, **_options: Any) -> None:
        settings = configuration().settings
        before = _upgrade(settings)
        was = "" if before is None else f" (it was at version {before})"
        self.stdout.write(f"{settings.database_shown} is ready{was}.")

    def _check(self, **_options: Any) -> None:
        manager = get_manager()
        latency_ms = manager.health().latency_ms
        self.stdout.write(f"{manager.settings.database_shown} is ready; it answered in {latency_ms:.1f} ms.")


def _upgrade(settings: Settings) -> str | None:
    """The version that it was at, where that is known."""
    if settings.database_url.partition(":")[0].partition("+")[0] in _POSTGRES:
        try:
            from sessile.stores.sql import postgres
        except ImportError as error:
            raise ConfigurationError('PostgreSQL needs more packages: pip install "sessile[postgres]"') from error
        return postgres.upgrade(settings.database_url)
    with SessionManager(settings):  # a file migrates itself when it is opened
        return None


def _facts(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "created_at": iso(session.created_at),
        "last_activity": iso(session.last_seen_at),
        "expires_at": iso(session.expires_at),
        "device": str(session.device.get("label") or session.device.get("name") or ""),
    }
