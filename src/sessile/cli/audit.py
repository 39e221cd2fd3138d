"""`sessile audit`: what happened, whether the record is whole, and a copy of it."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sessile.cli.acting import note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_json, print_table
from sessile.model.audit_format import AuditFormat, audit_to_wire
from sessile.model.errors import ConfigurationError
from sessile.model.wire import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessile.model.audit import AuditEvent

app = typer.Typer(help="Read the audit log, verify and export it.", no_args_is_help=True)

Stream = Annotated[
    str | None, typer.Option("--stream", help="Only this one: session:<id>, document:<id>, user:<id> or system.")
]
Moment = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="UTC.")]


@app.command()
def tail(
    stream: Stream = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many events.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as more happens, until Ctrl-C.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Print the last events, oldest first. With --json and --follow a value a line."""
    if follow and stream is not None:
        raise typer.BadParameter("--follow shows all streams: leave --stream out.")
    with opened(database, as_json=as_json) as manager:
        if stream is not None:
            _print(list(reversed(manager.audit.events(stream, limit=limit))), as_json=as_json)
            return
        page = manager.audit.tail(limit=limit)
        _print(page.events, as_json=as_json, is_stream=follow)
        try:
            while follow:
                time.sleep(1)
                page = manager.audit.tail(after=page.after, limit=limit)
                _print(page.events, as_json=as_json, is_stream=True)
        except KeyboardInterrupt:
            return


@app.command()
def verify(stream: Stream = None, database: Database = None, as_json: AsJson = False) -> None:
    """Check that the chains of hashes are as they were written. Status 1 when one is not."""
    with opened(database, as_json=as_json) as manager:
        report = manager.audit.verify(stream)
    if as_json:
        faults = [{"stream": one.stream, "position": one.position, "problem": one.problem} for one in report.faults]
        print_json({"streams": report.streams, "events": report.events, "faults": faults})
    else:
        typer.echo(f"{report.events} events in {report.streams} chains, {len(report.faults)} faults.")
        if report.faults:
            rows = [[one.stream, one.position or "end", one.problem] for one in report.faults]
            print_table(["stream", "position", "problem"], rows)
    if report.faults:
        raise typer.Exit(1)


@app.command()
def export(
    write: Annotated[
        Path | None, typer.Option("--write", help="Into this new file instead of standard output.")
    ] = None,
    form: Annotated[AuditFormat, typer.Option("--format", help="jsonl or csv.")] = AuditFormat.JSON_LINES,
    stream: Stream = None,
    since: Moment = None,
    until: Moment = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Copy the audit log, line by line, oldest first. It has personal data in it; that it was copied is noted."""
    if as_json and write is None:
        raise typer.BadParameter("With --json give --write: standard output can have one of the two.")
    number = 0
    with opened(database, as_json=as_json) as manager:
        note(manager, "system", "audit_export", "", stream=stream)
        lines = manager.audit.export(stream=stream, since=_utc(since), until=_utc(until), form=form)
        try:
            out = sys.stdout if write is None else write.open("x", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{write}: {error.strerror}; nothing was written") from None
        try:
            for line in lines:
                out.write(line + "\n")
                number += 1
                if write is not None and number % 1000 == 0 and sys.stderr.isatty():
                    sys.stderr.write(f"\r{number} lines")
        finally:
            if write is not None:
                out.close()
    if as_json:
        print_json({"file": str(write), "lines": number})
    elif write is not None:
        typer.echo(f"{number} lines are in {write}.")


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


def _print(events: Sequence[AuditEvent], *, as_json: bool, is_stream: bool = False) -> None:
    if as_json and is_stream:
        for event in events:
            print_json(audit_to_wire(event))
    elif as_json:
        print_json([audit_to_wire(event) for event in events])
    elif events:
        print_table(["at", "stream", "event", "user", "what"], [_row(event) for event in events])
    elif not is_stream:
        typer.echo("There is no event.")


def _row(event: AuditEvent) -> list[object]:
    told = ", ".join(f"{name}={value}" for name, value in event.data.items() if value not in (None, ""))
    return [iso(event.at), event.stream, event.type, event.user_id or "", told]
