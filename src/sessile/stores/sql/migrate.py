"""Migrations (Alembic). The embedded database upgrades itself at start; an existing file is copied first.

A schema may be newer than the program: that is what a rolling upgrade is. Each migration says with `compatible_from` which programs can go on working on what
it makes, by the newest migration that they know; without it only its own and later ones can. The newest of these is kept in the database, where older programs find it.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, delete, insert, inspect, select, text
from sqlalchemy.engine import Connection

from sessile.model.errors import ConfigurationError
from sessile.stores.sql.tables import instance

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps the migration under way in module globals: two databases opened in two threads would mix them up."""


_COMPATIBLE_FROM: Final = "schema_compatible_from"
"""The row of `instance` with the schema's version and the oldest program, by the newest migration that it knows, which can work on it: `0011 0010`. For another version
than the one that it names it says nothing."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a schema is (`at`; None: there is none), what this program would make of it (`newest`), and the oldest program that can work on it, by its own
    `newest` (None: nobody has noted it)."""

    at: str | None
    newest: str
    compatible_from: str | None

    @property
    def is_usable(self) -> bool:
        """Whether this program can work on it."""
        return self.at == self.newest or self.is_newer_and_usable

    @property
    def is_newer_and_usable(self) -> bool:
        """Whether a newer program made it, and left it so that this one can go on."""
        is_known = self.at is None or self.at in _revisions()
        return not is_known and self.compatible_from is not None and self.compatible_from <= self.newest


def upgrade(engine: Engine, path: Path) -> None:
    """Brings the file to the newest schema. Several processes may start at once: one upgrades, the others find it done. A newer one on which this program can work is
    left as it is.

    Raises ConfigurationError when the file was made by a newer version that leaves no room for this one.
    """
    with _ONE_AT_A_TIME, engine.connect() as connection:
        writing = connection.execution_options(sessile_write=True)
        with writing.begin():
            state = _seen(writing)
            if state.is_usable:
                return
            if state.at is not None:
                _check_known(state, path)
                _copy(path, path.with_name(f"{path.name}.before-{state.newest}"))
            _upgrade(writing)


def upgrade_shared(connection: Connection, schema: str, *, others: int = 0) -> SchemaState:
    """Brings a schema of a shared database to the newest version, inside the connection's transaction; as it was before. Of several that try at once, one does it
    and the others wait. Raises ConfigurationError when it was made by a newer version that leaves no room for this one, and when `others` programs are connected
    that could not go on with what this would make."""
    with _ONE_AT_A_TIME:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('sessile:upgrade', 0))"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        state = _seen(connection)
        _check_known(state, schema)
        if not state.is_usable:
            if others and state.at is not None and _compatible_from() > state.at:
                raise ConfigurationError(
                    f"Programs that know the schema {schema} only up to version {state.at} are connected ({others} connections), and could not work on version "
                    f"{state.newest} (it needs {_compatible_from()} or newer). Nothing was changed. Stop them first; or give --force, and they answer 500 and 503."
                )
            _upgrade(connection)
        return state


def check_schema(connection: Connection, schema: str) -> None:
    """Raises ConfigurationError unless the schema is at the newest version, or at a newer one that this version can still work on."""
    with _ONE_AT_A_TIME:
        state = _seen(connection)
    _check_known(state, schema)
    if not state.is_usable:
        raise ConfigurationError(
            f"The schema {schema} is at version {state.at or 'none'}, and {state.newest} is needed. Run: sessile db upgrade"
        )


def schema_state(connection: Connection) -> SchemaState:
    """As it is now."""
    at = current_revision(connection)
    return SchemaState(at, _revisions()[0], None if at is None else _noted(connection, at))


def _seen(connection: Connection) -> SchemaState:
    """The same with as few statements as may be: what is noted matters only for a schema that this program does not know."""
    at = current_revision(connection)
    return SchemaState(at, _revisions()[0], None if at is None or at in _revisions() else _noted(connection, at))


def _upgrade(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")
    connection.execute(delete(instance).where(instance.c.key == _COMPATIBLE_FROM))
    connection.execute(insert(instance), {"key": _COMPATIBLE_FROM, "value": f"{_revisions()[0]} {_compatible_from()}"})


def _noted(connection: Connection, at: str) -> str | None:
    if not inspect(connection).has_table(instance.name):  # lost; asking for it would spoil the transaction
        return None
    noted = str(connection.scalar(select(instance.c.value).where(instance.c.key == _COMPATIBLE_FROM)) or "")
    version, _, oldest = noted.partition(" ")
    return oldest if version == at else None


@cache
def _migrations() -> tuple[tuple[str, str], ...]:
    """All that this version knows, the newest first, each with the oldest program that can work on what it makes. Read once: Alembic compiles the scripts each time."""
    scripts = ScriptDirectory(str(_SCRIPTS)).walk_revisions()
    return tuple(
        (script.revision, str(getattr(script.module, "compatible_from", script.revision))) for script in scripts
    )


def _revisions() -> tuple[str, ...]:
    return tuple(revision for revision, _ in _migrations())


def _compatible_from() -> str:
    """Of the newest schema: a program has to be able to live with every migration that it does not know, so the strictest one counts."""
    return max(oldest for _, oldest in _migrations())


def _check_known(state: SchemaState, where: object) -> None:
    if state.at is None or state.at in _revisions() or state.is_newer_and_usable:
        return
    if state.compatible_from is None:
        why = f"and nothing in it says that this one (schema {state.newest}) can work on it"
    else:
        why = f"on which versions before schema {state.compatible_from} cannot work, and this one has schema {state.newest}"
    raise ConfigurationError(
        f"{where} was made by a newer version of Sessile (schema {state.at}), {why}. Nothing was changed."
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
