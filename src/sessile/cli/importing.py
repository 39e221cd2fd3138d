"""`sessile import`: live sessions of another library come over, so that nobody has to log in again."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Annotated, Any

import typer

from sessile.cli.options import Database, settings_with
from sessile.cli.output import AsJson, print_facts, print_json, print_table, told
from sessile.model.errors import ConfigurationError
from sessile.model.legacy import LegacyKind
from sessile.model.wire import iso
from sessile.moving.importing import WHY, Importer, Plan, Report, undo
from sessile.moving.sources import open_source
from sessile.runtime.assemble import SystemClock
from sessile.runtime.blocking import SessionManager

_REDIS = ("redis", "rediss", "valkey", "valkeys", "unix")
_SECRETS_HELP = "Secrets of Django that sign its table, the latest first: one, or a JSON list. Better in the environment than in the history of a shell."


def import_sessions(
    source: Annotated[str | None, typer.Argument(help="flask-session, django, starsessions or litestar.")] = None,
    address: Annotated[
        str | None,
        typer.Argument(
            help="Where its sessions are: redis://host/0, postgresql://user@host/database, sqlite:///old.db.",
            envvar="SESSILE_IMPORT_FROM",
        ),
    ] = None,
    database: Database = None,
    user_key: Annotated[
        list[str] | None,
        typer.Option("--user-key", help="The key under which the user's id stands; one that begins with / is a path."),
    ] = None,
    accept_days: Annotated[
        float, typer.Option(min=0.001, max=400, help="How many days the old cookies are accepted.")
    ] = 14,
    remember: Annotated[
        bool, typer.Option("--remember", help='Give them the longer clock of "keep me logged in".')
    ] = False,
    prefix: Annotated[
        str | None, typer.Option(help="What stands before the id in the keys, if it is not the library's own.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="The table's name, if it is not the library's own.")] = None,
    secrets: Annotated[
        str | None, typer.Option("--secrets", envvar="SESSILE_LEGACY_SECRETS", help=_SECRETS_HELP)
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Sessions in one transaction.")] = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report; write nothing anywhere.")] = False,
    undo_run: Annotated[
        str | None, typer.Option("--undo", metavar="RUN", help="Take an import back; sessions in use since stay.")
    ] = None,
    include_used: Annotated[
        bool, typer.Option("--include-used", help="With --undo: also those in use since. These people are logged out.")
    ] = False,
    runs: Annotated[bool, typer.Option("--runs", help="List the imports that can be undone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import live sessions of another library. The source is only read. Run again, it goes on where it was, and imports nothing twice.

    Name the old cookie in SESSILE_LEGACY_COOKIES before you switch over: it is replaced at its first use.
    """
    with told(as_json=as_json):
        if sum((source is not None, undo_run is not None, runs)) != 1:
            raise ConfigurationError("Name a source and its address, or --undo RUN, or --runs: exactly one of them")
        if runs:
            _list_runs(database, as_json=as_json)
        elif undo_run is not None:
            _undo(database, undo_run, with_used=include_used, as_json=as_json)
        else:
            kind = _kind(source or "")
            if address is None:
                raise ConfigurationError(
                    f"Where are the sessions of {kind}? Name the address, as in redis://localhost:6379/0"
                )
            plan = Plan(
                kind,
                tuple(user_key or ()),
                _signing(kind, address, secrets),
                remembered=remember,
                accept=timedelta(days=accept_days),
                batch=batch,
            )
            _import(plan, address, database, prefix, table, dry_run=dry_run, as_json=as_json)


def _kind(text: str) -> LegacyKind:
    try:
        return LegacyKind(text)
    except ValueError:
        known = ", ".join(kind for kind in LegacyKind if not kind.is_signed)
        raise ConfigurationError(f"{text!r} is no source that is known: {known}") from None


def _signing(kind: LegacyKind, address: str, secrets: str | None) -> Sequence[str]:
    if kind is not LegacyKind.DJANGO or address.partition(":")[0].partition("+")[0].lower() in _REDIS:
        return ()
    if not secrets:
        raise ConfigurationError(
            "Django signs the sessions in its table: give its SECRET_KEY (and fallbacks, as a JSON list) in SESSILE_LEGACY_SECRETS"
        )
    if not secrets.startswith("["):
        return (secrets,)
    try:
        parsed = json.loads(secrets)
    except ValueError:
        parsed = None
    if not isinstance(parsed, list) or not parsed or not all(isinstance(one, str) and one for one in parsed):
        raise ConfigurationError("SESSILE_LEGACY_SECRETS: begins with [ and is no JSON list of texts")
    return tuple(parsed)


def _import(
    plan: Plan,
    address: str,
    database: str | None,
    prefix: str | None,
    table: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    clock = SystemClock()
    source = open_source(plan.kind, address, clock, prefix=prefix, table_name=table)
    opened = nullcontext() if dry_run else SessionManager(settings_with(database_url=database))
    with opened as manager:
        report = Importer(plan, clock, manager).run(source, _tell)
    if as_json:
        print_json({"source": str(plan.kind), "dry_run": dry_run, **report.as_dict()})
    else:
        _print(plan, report, dry_run=dry_run)


def _tell(report: Report) -> None:
    """Progress goes to stderr, a line at a time: the id of the run must be known also when what follows is stopped."""
    if report.read == 0:
        line = f"import {report.run_id} begins" if report.run_id is not None else "dry run begins"
    else:
        skipped = sum(report.skipped.values())
        line = f"{report.read} read, {report.imported} imported, {report.known} known, {skipped} skipped"
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _print(plan: Plan, report: Report, *, dry_run: bool) -> None:
    facts: dict[str, object] = {"read": report.read}
    facts |= {"could be imported": report.imported} if dry_run else {"imported": report.imported, "known": report.known}
    if report.run_id is not None and report.imported:
        facts["run"] = f"{report.run_id} (sessile import --undo {report.run_id})"
        facts["old cookies accepted for"] = f"{plan.accept.total_seconds() / 86400:g} days"
    print_facts(f"Import from {plan.kind}{' (dry run)' if dry_run else ''}", facts)
    if report.skipped:
        rows = [
            [count, WHY.get(reason, reason), _some(report.examples[reason])]
            for reason, count in report.skipped.most_common()
        ]
        typer.echo("\nNot taken over:")
        print_table(["sessions", "why", "SHA-256 of the id begins with"], rows)
    if report.lost:
        typer.echo(f"\n{report.lost} values could not be kept:")
        print_table(
            ["session", "where", "why"],
            [[name, loss.path or "(all)", loss.reason] for name, loss in report.losses[:50]],
        )
        if report.lost > 50:
            typer.echo("The others are told with --json.")


def _some(examples: Sequence[str]) -> str:
    return ", ".join(examples[:3]) + (", ..." if len(examples) > 3 else "")


def _undo(database: str | None, run_id: str, *, with_used: bool, as_json: bool) -> None:
    with SessionManager(settings_with(database_url=database)) as manager:
        if run_id not in {run.run_id for run in manager.legacy.runs()}:
            raise ConfigurationError(
                f"There is no import {run_id} (any more); `sessile import --runs` lists those that there are"
            )
        ended, kept = undo(manager, run_id, with_used=with_used)
    if as_json:
        print_json({"run_id": run_id, "ended": ended, "kept": kept})
        return
    typer.echo(f"{ended} ended, {kept} stay because they were used since.")
    if kept:
        typer.echo("With --include-used they end as well.")


def _list_runs(database: str | None, *, as_json: bool) -> None:
    with SessionManager(settings_with(database_url=database)) as manager:
        found = manager.legacy.runs()
    rows: list[dict[str, Any]] = [
        {
            "run_id": run.run_id,
            "source": str(run.source),
            "sessions": run.sessions,
            "used": run.used,
            "accepted_until": iso(run.expires_at),
        }
        for run in found
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo("There is no import.")
    else:
        print_table(["run", "source", "sessions", "used", "accepted until"], [list(row.values()) for row in rows])
