"""An SQLite database that was migrated once, for the thousands that the tests make: migrating took three quarters of a contract test's time.

Only what is opened in this process and is not there yet begins as a copy. The code that opens it then checks the schema as ever, and finds it new;
tests/unit/stores/test_migrations.py and every server that runs as a process of its own migrate.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sessile.stores.sql.database import SqliteDatabase

MIGRATES = SqliteDatabase.open
"""The real one, for tests of the migrations."""


@contextmanager
def copied_databases(folder: Path) -> Iterator[None]:
    """While it lasts, a new database in this process is a copy of one in `folder`."""
    template = folder / "template.db"

    def open_copy(database: SqliteDatabase) -> None:
        if not template.exists():
            _make(template)
        if database.path.parent.is_dir() and not database.path.exists():
            _put(template, database.path)
        MIGRATES(database)

    SqliteDatabase.open = open_copy  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        SqliteDatabase.open = MIGRATES  # type: ignore[method-assign]


def _make(template: Path) -> None:
    with tempfile.TemporaryDirectory(dir=template.parent) as making:
        made = SqliteDatabase(f"sqlite:///{making}/made.db", pool_size=1, pool_timeout_s=5)
        MIGRATES(made)
        made.close()  # the last connection: SQLite moves what is in the write-ahead log into the file
        assert [path.name for path in Path(making).iterdir()] == ["made.db"]
        Path(making, "made.db").replace(template)


def _put(template: Path, path: Path) -> None:
    """Whole or not at all, and never over one that another thread or process has made meanwhile."""
    copy = path.with_name(f"{path.name}.{os.getpid()}.copy")
    shutil.copyfile(template, copy)
    with suppress(FileExistsError):
        os.link(copy, path)
    copy.unlink()
