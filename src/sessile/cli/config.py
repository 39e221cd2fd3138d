"""`sessile config`: the settings in force, whether they fit together, and a file to begin with."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.acting import Reason, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_json, print_table, told

if TYPE_CHECKING:
    from sessile.model.audit import AuditEvent
    from sessile.runtime.blocking import SessionManager
    from sessile.runtime.settings import Settings

app = typer.Typer(help="Look at the configuration, check it, and begin a file.", no_args_is_help=True)

_HEAD = """\
# Settings of Sessile. What is commented out is the default. Arguments of the application and environment variables
# (SESSILE_ and the name in capitals) go before this file. Keep secrets in the environment, or make the file readable for
# the service alone. `sessile config validate` says whether it all fits together.
"""


@app.callback()
def config() -> None:
    """Look at the configuration, check it, and begin a file."""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Print every setting that is in force, where it comes from, and whether a change of it needs a restart. Secrets are replaced by asterisks."""
    from sessile.runtime.live_settings import LIVE
    from sessile.runtime.settings import Settings

    with told(as_json=as_json):
        settings = Settings()
        origins = _origins(settings)
    shown: dict[str, Any] = {**settings.model_dump(mode="json"), "database_url": settings.database_shown}
    if as_json:
        print_json(shown)
        return
    rows = [
        [f"SESSILE_{name.upper()}", _short(value), origins[name], "reload" if name in LIVE else "restart"]
        for name, value in shown.items()
    ]
    print_table(["setting", "value", "from", "change by"], rows)


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="This file instead of sessile.toml.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that the settings fit together and that document kinds can be loaded. Status 1 with every reason when they do not."""
    from sessile.runtime.kinds import kinds_of
    from sessile.runtime.settings import Settings
    from sessile.runtime.settings_file import VARIABLE, settings_file
    from sessile.web.cookies import CookiePolicy

    if file is not None:
        os.environ[VARIABLE] = str(file)
    with told(as_json=as_json):
        settings = Settings()
        kinds_of((), settings.documents)
        findings = CookiePolicy(settings).check()
        read = settings_file()
    if as_json:
        warnings = [{"what": one.what, "why": one.why, "cure": one.cure} for one in findings]
        print_json({"valid": True, "file": None if read is None else str(read), "warnings": warnings})
        return
    typer.echo(f"The settings{'' if read is None else f' of {read} and the environment'} fit together.")
    for finding in findings:
        typer.echo(f"\n{finding.what}\n  {finding.why}\n  {finding.cure}")


@app.command()
def template(
    write: Annotated[Path | None, typer.Option("--write", help="Into this new file.")] = None, as_json: AsJson = False
) -> None:
    """Print a settings file with every setting, its meaning and its default, all commented out."""
    from sessile.model.errors import ConfigurationError

    text = template_text()
    with told(as_json=as_json):
        if write is not None:
            try:
                with write.open("x", encoding="utf-8") as file:
                    file.write(text)
            except OSError as error:
                raise ConfigurationError(f"{write}: {error.strerror}; nothing was written") from None
    if as_json:
        print_json({"file": None if write is None else str(write), "template": text})
    else:
        typer.echo(text if write is None else f"{write} is written.", nl=write is not None)


@app.command()
def reload(
    wait: Annotated[
        float, typer.Option(min=0, max=600, help="So many seconds it listens to what the processes answer.")
    ] = 7,
    reason: Reason = "",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Have every running process on this database read its own environment and file again. What can change then does; `config show` says what needs a restart.
    Status 1 when a process refused what it read and goes on as it was, or none answered; with --wait 0 nobody is waited for."""
    import time

    with opened(database, as_json=as_json) as manager:
        note(manager, "system", "settings_reload", reason)
        before = max((event.position for event in _answers(manager)), default=0)
        manager.configuration.ask_all()
        time.sleep(wait)
        answers = [event for event in _answers(manager) if event.position > before]
    refused = [event for event in answers if event.type == "settings_refused"]
    if as_json:
        print_json([{"refused": event in refused, **event.data} for event in answers])
    elif not wait:
        typer.echo("They are asked. What came of it: sessile audit tail")
    elif not answers:
        typer.echo(
            "Nobody answered: no process runs background work on this database, or it is busy. See: sessile audit tail"
        )
    else:
        print_table(["process", "changed", "after a restart", "refused"], [_answer(event.data) for event in answers])
    raise typer.Exit(1 if refused or (wait and not answers) else 0)


def _answers(manager: SessionManager) -> list[AuditEvent]:
    """The latest first."""
    page = manager.audit.events("system")
    return [event for event in page if event.type in ("settings_reloaded", "settings_refused")]


def _answer(data: Mapping[str, Any]) -> list[str]:
    changed = data.get("changed", {})
    told_changes = ", ".join(f"{name}: {_short(was)} -> {_short(now)}" for name, (was, now) in changed.items())
    return [data["process"], told_changes or "nothing", ", ".join(data.get("waiting", ())), data.get("reason", "")]


def template_text() -> str:
    """A TOML file that changes nothing."""
    from sessile.runtime.settings import Settings

    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        meaning = textwrap.fill(
            " ".join((field.description or "").split()), 118, initial_indent="# ", subsequent_indent="# "
        )
        default = field.get_default(call_default_factory=True)
        value = '"..."' if default is None else _toml(default)
        parts.append(f"{meaning}\n# {name} = {value}{'   # not set' if default is None else ''}\n")
    return "\n".join(parts)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value if isinstance(value, (bool, int, float)) else str(value), ensure_ascii=False)


def _origins(settings: Settings) -> dict[str, str]:
    from sessile.runtime.settings_file import read_settings, settings_file

    file = settings_file()
    in_file = {} if file is None else read_settings(file, set(type(settings).model_fields))
    environment = {name.upper() for name in os.environ}
    found = {}
    for name in type(settings).model_fields:
        if f"SESSILE_{name.upper()}" in environment:
            found[name] = "environment"
        elif name in in_file:
            found[name] = str(file)
        else:
            is_given = name in settings.model_fields_set
            found[name] = (
                "default" if not is_given else "environment (old name)" if settings.preset is None else "preset"
            )
    return found


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
