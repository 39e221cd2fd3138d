"""`sessile console`: a prompt for looking and trying, with completion. Keeps letter case; survives bad input and Ctrl-C."""

from __future__ import annotations

import cmd
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from sessile.cli.acting import Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_json, print_table
from sessile.model.errors import SessileError
from sessile.model.session import EndReason
from sessile.model.shown import shown
from sessile.model.wire import iso

if TYPE_CHECKING:
    from sessile.runtime.blocking import SessionManager

_HELP = {
    "create": "create USER [PLATFORM]   a session; its token is shown to nobody, so it is for trying the other verbs",
    "get": "get HANDLE               user, platform and deadlines",
    "validate": "validate HANDLE          whether it is live",
    "destroy": "destroy HANDLE           ends it",
    "cleanup": "cleanup                  ends those that are past a deadline",
    "list": "list [USER]              live sessions",
    "platform": "platform USER            the user's platforms",
    "cookie": "cookie                   what is wrong or weak about the cookie's settings",
    "help": "help                     this",
    "quit": "quit                     or exit, or Ctrl-D",
}


def console(yes: Yes = False, database: Database = None, as_json: AsJson = False) -> None:
    """Type commands at a prompt: create, get, validate, destroy, cleanup, list, platform, cookie, help, quit. With --json an answer a line."""
    with opened(database, as_json=as_json) as manager:
        prompt = Prompt(manager, yes=yes, as_json=as_json)
        while not prompt.is_over:
            try:
                prompt.cmdloop()
            except KeyboardInterrupt:  # takes back what was typed, as in a shell
                sys.stdout.write("\n")


class Prompt(cmd.Cmd):
    """One verb a line. `cmd` finds a method `do_<verb>` for it."""

    def __init__(self, manager: SessionManager, *, yes: bool, as_json: bool) -> None:
        super().__init__()
        self._manager = manager
        self._yes = yes
        self._as_json = as_json
        self.is_over = False
        self.prompt = "sessile> " if sys.stdin.isatty() else ""

    def onecmd(self, line: str) -> bool:
        """One line; whatever is wrong with it is said, and the prompt goes on."""
        try:
            words = shlex.split(line)
            if words:
                self._run(words[0].lower(), words[1:])
        except SessileError as error:
            self._refuse(error.message)
        except (TypeError, ValueError) as error:
            self._refuse(f"{error}; try help")
        except typer.Exit:  # nobody agreed
            pass
        return self.is_over

    def completenames(self, text: str, *_: object) -> list[str]:
        """For the first word."""
        return [name for name in _HELP if name.startswith(text)]

    def completedefault(self, text: str, *_: object) -> list[str]:
        """For the others: handles of live sessions."""
        found = self._manager.operators.sessions(limit=1000)
        return [one.session_id for one in found if one.session_id.startswith(text)]

    def _run(self, verb: str, words: list[str]) -> None:
        verb = {"exit": "quit", "eof": "quit", "?": "help"}.get(verb, verb)
        if verb not in _HELP:
            raise ValueError(f"there is no command {shown(verb)}")
        try:
            getattr(self, f"_{verb}")(*words)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise ValueError(f"it is: {_HELP[verb].split('   ')[0]}") from None

    def _create(self, user: str, platform: str | None = None) -> None:
        note(self._manager, f"user:{user}", "create_session", "")
        session = self._manager.create_session(user, platform_id=platform).session
        self._tell(["session", "user", "platform"], [[session.session_id, user, session.platform_id or ""]])

    def _get(self, handle: str) -> None:
        session = self._manager.get_session(handle)
        row = [session.session_id, session.user_id or "", session.platform_id or "", iso(session.expires_at)]
        self._tell(["session", "user", "platform", "expires"], [row])

    def _validate(self, handle: str) -> None:
        self._tell(["session", "live"], [[handle, self._manager.validate_session(handle)]])

    def _destroy(self, handle: str) -> None:
        session = self._manager.get_session(handle)
        confirm(f"This ends the session of {session.user_id or 'nobody (anonymous)'}.", handle[-4:], yes=self._yes)
        note(self._manager, f"session:{handle}", "end", "")
        self._tell(["ended"], [[self._manager.destroy_session(handle, reason=EndReason.ADMIN)]])

    def _cleanup(self) -> None:
        ended = 0
        while number := self._manager.cleanup_expired_sessions():
            ended += number
        self._tell(["ended"], [[ended]])

    def _list(self, user: str | None = None) -> None:
        manager = self._manager
        found = manager.operators.sessions(limit=100) if user is None else manager.list_sessions(user, limit=100)
        self._tell(
            ["session", "user", "expires"], [[one.session_id, one.user_id or "", iso(one.expires_at)] for one in found]
        )

    def _platform(self, user: str) -> None:
        found = self._manager.list_platforms(user, with_inactive=True)
        rows = [[one.platform_id, one.name, one.is_active, one.is_default] for one in found]
        self._tell(["platform", "name", "active", "default"], rows)

    def _cookie(self) -> None:
        from sessile.web.cookies import CookiePolicy

        rows = [[one.severity, one.what, one.cure] for one in CookiePolicy(self._manager.settings).check()]
        self._tell(["severity", "what", "cure"], rows)

    def _help(self, *_: str) -> None:
        self._tell(["command"], [[line] for line in _HELP.values()])

    def _quit(self) -> None:
        self.is_over = True

    def _tell(self, columns: list[str], rows: Sequence[Sequence[object]]) -> None:
        if self._as_json:
            print_json([dict(zip(columns, row, strict=True)) for row in rows])
        elif rows:
            print_table(columns, rows)
        else:
            typer.echo("None.")

    def _refuse(self, message: str) -> None:
        if self._as_json:
            print_json({"error": message})
        else:
            typer.echo(shown(message))
