"""`sessile db`: the schema of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sessile.cli.options import Database, settings_with
from sessile.cli.output import AsJson, print_json, told
from sessile.model.errors import ConfigurationError
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings

if TYPE_CHECKING:
    from sessile.stores.sql.migrate import SchemaState

app = typer.Typer(help="Look after the schema of the database.", no_args_is_help=True)


@app.command()
def upgrade(
    wait_s: Annotated[
        float,
        typer.Option("--wait", min=0, max=3600, help="PostgreSQL: how many seconds to try for tables that are in use."),
    ] = 60.0,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="PostgreSQL: also while programs are connected that cannot work on the new schema."
        ),
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Bring the schema to the version that this program needs. Servers may go on meanwhile, unless that is refused. SQLite files do it by themselves when they are
    opened. A newer schema on which this program can work is left as it is."""
    with told(as_json=as_json):
        settings = settings_with(database_url=database)
        before = _upgrade(settings, wait_s=wait_s, force=force)
        with SessionManager(settings) as manager:
            schema = _schema(manager)
            _is_another_life(manager)
    if as_json:
        print_json({"database": settings.database_shown, "before": before, "schema": _told(schema)})
    else:
        typer.echo(
            f"{settings.database_shown} is ready{'' if before is None else f' (it was at version {before})'}{_beside(schema)}."
        )


@app.command()
def check(database: Database = None, as_json: AsJson = False) -> None:
    """Open the database as the service does: it must be reachable, durable, and of a version that this program can work on. And it must not have gone back in time
    without `sessile recover system`: PostgreSQL tells when it was restored or promoted."""
    with told(as_json=as_json), SessionManager(settings_with(database_url=database)) as manager:
        health, schema = manager.health(), _schema(manager)
        shown = manager.settings.database_shown
        if _is_another_life(manager):
            raise ConfigurationError(
                f"{shown} was restored, promoted or moved since. What was committed last may be gone, and who was logged out then may be logged in. "
                "Before anybody is served run: sessile recover system (with --keep-sessions where nothing was lost)"
            )
    if as_json:
        print_json({"database": shown, "latency_ms": round(health.latency_ms, 2), "schema": _told(schema)})
    else:
        typer.echo(f"{shown} is ready; it answered in {health.latency_ms:.1f} ms{_beside(schema)}.")


def _schema(manager: SessionManager) -> SchemaState | None:
    """None in memory, where there is none."""
    if manager.settings.database_url == "memory://":
        return None
    from sessile.stores.sql.migrate import schema_state

    return manager.transact(schema_state)


def _is_another_life(manager: SessionManager) -> bool:
    from sessile.cli.life import changed

    return manager.settings.database_url != "memory://" and manager.transact(changed)


def _told(schema: SchemaState | None) -> dict[str, Any] | None:
    return (
        None
        if schema is None
        else {"at": schema.at, "newest": schema.newest, "compatible_from": schema.compatible_from}
    )


def _beside(schema: SchemaState | None) -> str:
    """For people: only what is not as usual."""
    if schema is None or not schema.is_newer_and_usable:
        return ""
    return f"; its schema {schema.at} is of a newer version than this one ({schema.newest}), which can work on it"


def _upgrade(settings: Settings, *, wait_s: float, force: bool) -> str | None:
    if settings.database_url.partition(":")[0].partition("+")[0] in {"postgresql", "postgres"}:
        try:
            from sessile.stores.sql import postgres
        except ImportError as error:
            raise ConfigurationError('PostgreSQL needs more packages: pip install "sessile[postgres]"') from error
        return postgres.upgrade(settings.database_url, wait_s=wait_s, force=force)
    with SessionManager(settings):
        return None
