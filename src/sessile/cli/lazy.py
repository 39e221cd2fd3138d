"""Commands that are loaded when they are run: `sessile --help` and `sessile version` need neither the database nor the web server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command or a group of commands by where it is: `sessile.cli.serve:serve`. `summary` is the first line of its help, for the list of commands."""

    where: str
    summary: str

    def load(self, name: str) -> Any:
        """The command itself. What its module imports is imported now."""
        module_name, _, attribute = self.where.partition(":")
        found = getattr(import_module(module_name), attribute)
        parent = typer.Typer(add_completion=False, callback=lambda: None)
        if isinstance(found, typer.Typer):
            parent.add_typer(found, name=name)
        else:
            parent.command(name)(found)
        group = get_command(parent)
        if not isinstance(group, TyperGroup):
            raise TypeError(f"{self.where} is neither a command nor a group of commands")
        return group.commands[name]


COMMANDS: Final[Mapping[str, Lazy]] = {
    "serve": Lazy(
        "sessile.cli.serve:serve",
        "Serve the API, the WebSocket and the browser client, alone or on one origin with an application.",
    ),
    "demo": Lazy(
        "sessile.cli.demo:demo",
        "Start the demo: one intake, several devices, and a server that may be killed at any time.",
    ),
    "doctor": Lazy(
        "sessile.cli.doctor:doctor",
        "Find out what is wrong, why it matters, and the command that mends it.",
    ),
    "console": Lazy(
        "sessile.cli.console:console",
        "Type commands at a prompt: create, get, validate, destroy, cleanup, list, platform, cookie, help, quit.",
    ),
    "recover": Lazy("sessile.cli.recovering:app", "Repair what was lost, after a look at what would be done."),
    "sessions": Lazy("sessile.cli.sessions:app", "Look at sessions and end them."),
    "documents": Lazy("sessile.cli.documents:app", "Look at documents, compare and restore them."),
    "platforms": Lazy("sessile.cli.platforms:app", "Look at platforms, and choose where new sessions begin."),
    "cache": Lazy("sessile.cli.cache:app", "Look at the cache in front of the database, and empty it."),
    "sweep": Lazy(
        "sessile.cli.sweep:sweep",
        "End sessions past a deadline, forget what is older than it is kept, shorten logs.",
    ),
    "config": Lazy("sessile.cli.config:app", "Look at the configuration, check it, and begin a file."),
    "users": Lazy(
        "sessile.cli.users:app", "Look at users, end their sessions, shut them out, copy and erase their data."
    ),
    "audit": Lazy("sessile.cli.audit:app", "Read the audit log, verify and export it."),
    "operators": Lazy("sessile.cli.operators:app", "Let operators into the console, and out of it."),
    "maintenance": Lazy("sessile.cli.maintenance:app", "Let nobody new in for a while, and come back."),
    "db": Lazy("sessile.cli.database:app", "Look after the schema of the database."),
    "import": Lazy(
        "sessile.cli.importing:import_sessions",
        "Import live sessions of another library.",
    ),
    "adopt": Lazy(
        "sessile.cli.adopting:adopt",
        "Rewrite imports and set-up of Flask-Session, Starlette, starsessions and Django for Sessile.",
    ),
    "bench": Lazy("sessile.cli.bench:app", "Compare with others."),
}


class LazyGroup(TyperGroup):
    """The group of all commands. Lists of commands (help, completion, "did you mean") are made from the table, so they load nothing."""

    lazy: ClassVar[Mapping[str, Lazy]] = COMMANDS

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._is_listing = False
        listed = {name: TyperCommand(name, help=lazy.summary) for name, lazy in self.lazy.items()}
        self.commands = {**listed, **self.commands}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, loaded now; only its name and summary while a list is made."""
        lazy = self.lazy.get(cmd_name)
        return super().get_command(ctx, cmd_name) if lazy is None or self._is_listing else lazy.load(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listing = False

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self._is_listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._is_listing = False
