"""`sessile db`: the schema of the database."""

from __future__ import annotations

import typer

from sessile.cli.options import Database, settings_with
from sessile.cli.output import AsJson, print_json, told
from sessile.model.errors import ConfigurationError
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings

app = typer.Typer(help="Look after the schema of the database.", no_args_is_help=True)


@app.command()
def upgrade(database: Database = None, as_json: AsJson = False) -> None:
    """Bring the schema to the version that this program needs. SQLite files do that by themselves when they are opened."""
    with told(as_json=as_json):
        settings = settings_with(database_url=database)
        before = _upgrade(settings)
    if as_json:
        print_json({"database": settings.database_shown, "before": before})
    else:
        typer.echo(f"{settings.database_shown} is ready{'' if before is None else f' (it was at version {before})'}.")


@app.command()
def check(database: Database = None, as_json: AsJson = False) -> None:
    """Open the database as the service does: it must be reachable, durable, and of the right version."""
    with told(as_json=as_json), SessionManager(settings_with(database_url=database)) as manager:
        health = manager.health()
        shown = manager.settings.database_shown
    if as_json:
        print_json({"database": shown, "latency_ms": round(health.latency_ms, 2)})
    else:
        typer.echo(f"{shown} is ready; it answered in {health.latency_ms:.1f} ms.")


def _upgrade(settings: Settings) -> str | None:
    if settings.database_url.partition(":")[0].partition("+")[0] in {"postgresql", "postgres"}:
        try:
            from sessile.stores.sql import postgres
        except ImportError as error:
            raise ConfigurationError('PostgreSQL needs more packages: pip install "sessile[postgres]"') from error
        return postgres.upgrade(settings.database_url)
    with SessionManager(settings):
        return None
