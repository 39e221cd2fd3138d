"""Migrations (Alembic). The embedded database upgrades itself at start; an existing file is copied first."""

from __future__ import annotations

import sqlite3
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection

from sessile.model.errors import ConfigurationError

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps the migration under way in module globals: two databases opened in two threads would mix them up."""


def upgrade(engine: Engine, path: Path) -> None:
    """Brings the file to the newest schema. Several processes may start at once: one upgrades, the others find it done.

    Raises ConfigurationError when the file was made by a newer version.
    """
    with _ONE_AT_A_TIME, engine.connect() as connection:
        writing = connection.execution_options(sessile_write=True)
        with writing.begin():
            current = current_revision(writing)
            head = _revisions()[0]
            if current == head:
                return
            if current is not None:
                _check_known(current, path)
                _copy(path, path.with_name(f"{path.name}.before-{head}"))
            command.upgrade(_config(writing), "head")


def upgrade_shared(connection: Connection, schema: str) -> str | None:
    """Brings a schema of a shared database to the newest version, inside the connection's transaction; the revision that it was at. Of several
    that try at once, one does it and the others wait. Raises ConfigurationError when it was made by a newer version."""
    with _ONE_AT_A_TIME:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('sessile:upgrade', 0))"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        current = current_revision(connection)
        _check_known(current, schema)
        if current != _revisions()[0]:
            command.upgrade(_config(connection), "head")
        return current


def check_schema(connection: Connection, schema: str) -> None:
    """Raises ConfigurationError unless the schema is at the newest version, or at one that this version can still work on."""
    with _ONE_AT_A_TIME:
        current = current_revision(connection)
        head = _revisions()[0]
    _check_known(current, schema)
    if current != head:
        raise ConfigurationError(
            f"The schema {schema} is at version {current or 'none'}, and {head} is needed. Run: sessile db upgrade"
        )


@cache
def _revisions() -> tuple[str, ...]:
    """All that this version knows, the newest first. Read once: Alembic compiles the scripts each time."""
    return tuple(script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions())


def _check_known(current: str | None, where: object) -> None:
    if current is not None and current not in _revisions():
        raise ConfigurationError(
            f"{where} was made by a newer version of Sessile (schema {current}). Nothing was changed."
        )


def current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _copy(source: Path, target: Path) -> None:
    """A consistent copy by SQLite's own backup; an existing one is kept."""
    if target.exists():
        return
    reading: Any = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    writing = sqlite3.connect(target)
    try:
        reading.backup(writing)
    finally:
        writing.close()
        reading.close()
