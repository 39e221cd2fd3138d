"""`sessile recover`: what to do after something was lost. Without --yes nothing is done before a word was typed; --dry-run only says what would be."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import typer

from sessile.cli.acting import DryRun, Reason, Yes, confirm, note, opened
from sessile.cli.options import Database
from sessile.cli.output import AsJson, print_facts, print_json

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

app = typer.Typer(help="Repair what was lost, after a look at what would be done.", no_args_is_help=True)


@app.callback()
def recover() -> None:
    """Repair what was lost, after a look at what would be done."""


@app.command()
def table(
    dry_run: DryRun = False, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """Make tables that are missing, empty. What was in a lost table does not come back: restore a copy for that."""
    from sessile.cli.examining import missing_tables

    with opened(database, as_json=as_json) as manager:
        missing = manager.transact(missing_tables)
        if missing and not dry_run:
            confirm(f"This makes {', '.join(missing)}, empty.", "tables", yes=yes)
            manager.transact(_make_tables)
            note(
                manager, "system", "recover_table", reason, made=missing
            )  # only now: its own table may have been missing
    _tell({"missing": missing, "made": [] if dry_run else missing}, as_json=as_json)


@app.command()
def system(
    dry_run: DryRun = False, yes: Yes = False, reason: Reason = "", database: Database = None, as_json: AsJson = False
) -> None:
    """Begin a new life after an older copy of the database was restored: no cache is believed, and every device reads its documents anew.

    Without it a browser that had seen later versions would take the restored ones for what it knows already. Nobody is logged out; who logged in after the
    copy was made has no row any more and logs in again.
    """
    with opened(database, as_json=as_json) as manager:
        documents = manager.transact(_count_documents)
        fence = manager.operators.fence()
        facts: dict[str, Any] = {"documents": documents, "cache_epoch": fence.number, "done": not dry_run}
        if not dry_run:
            confirm(f"This begins a new epoch of the cache and of {documents} documents.", "system", yes=yes)
            note(manager, "system", "recover_system", reason, documents=documents)
            manager.transact(_new_epochs)
            facts["cache_epoch"] = manager.operators.raise_fence().number
    _tell(facts, as_json=as_json)


def _make_tables(connection: Connection) -> None:
    from sessile.stores.sql.tables import metadata

    metadata.create_all(connection, checkfirst=True)


def _count_documents(connection: Connection) -> int:
    from sqlalchemy import func, select

    from sessile.stores.sql.tables import documents

    return connection.execute(select(func.count()).select_from(documents)).scalar_one()


def _new_epochs(connection: Connection) -> None:
    """One new name for all logs: it only has to be another than before."""
    from sqlalchemy import update

    from sessile.stores.sql.tables import documents

    connection.execute(update(documents).values(epoch=str(uuid.uuid4())))


def _tell(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        shown = {
            name.replace("_", " "): ", ".join(value) or "none" if isinstance(value, list) else value
            for name, value in facts.items()
        }
        print_facts("Recovery", shown)
