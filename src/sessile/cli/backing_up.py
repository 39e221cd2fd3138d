"""A backup before something is mended: SQLite by its own backup, PostgreSQL by `pg_dump` where a file is named for it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL, make_url

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings

_SCHEMA: Final = "sessile"


@dataclass(frozen=True, slots=True)
class Backup:
    """What will be copied where, looked at before anything is done. Without a `file` none is made."""

    url: URL
    file: Path | None

    @property
    def told(self) -> str:
        """For people: the file, or why there is none and how to make one."""
        if self.file is not None:
            return str(self.file)
        return f"none of PostgreSQL: give --backup FILE, or make one first: pg_dump --format=custom --schema={_SCHEMA}"

    def make(self) -> None:
        """Copies, into a file that only its owner can read. Raises ConfigurationError; what was begun is removed then."""
        if self.file is None:
            return
        try:
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise ConfigurationError(f"--backup {self.file}: {error.strerror}. Nothing was done.") from error
        try:
            if self.url.get_backend_name() == "sqlite":
                _copy_file(Path(self.url.database or ""), self.file)
            else:
                _dump(self.url, self.file)
        except BaseException:
            self.file.unlink(missing_ok=True)
            raise


def planned(settings: Settings, file: Path | None, at: datetime) -> Backup:
    """Raises ConfigurationError where there is nothing to copy, something is there already, or `pg_dump` is not found."""
    if settings.database_url == "memory://":
        raise ConfigurationError("The store is memory://: it is gone with its process, and there is nothing to recover")
    if file is not None and file.exists():
        raise ConfigurationError(f"--backup {file}: it is there already, and is not written over")
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        return Backup(url, file or _beside(Path(url.database or ""), at))
    if file is not None and shutil.which("pg_dump") is None:
        raise ConfigurationError("--backup needs pg_dump, which is not found here. Nothing was done.")
    return Backup(url, file)


def _beside(source: Path, at: datetime) -> Path:
    stem = f"{source.name}.{at:%Y%m%dT%H%M%SZ}"
    names = (f"{stem}.backup", *(f"{stem}-{number}.backup" for number in range(2, 100)))
    return next(path for path in map(source.with_name, names) if not path.exists())


def _copy_file(source: Path, target: Path) -> None:
    reading: Any = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
    writing = sqlite3.connect(target)
    try:
        reading.backup(writing)
    except sqlite3.Error as error:
        raise ConfigurationError(f"{source} cannot be copied: {error}. Nothing was done.") from error
    finally:
        writing.close()
        reading.close()


def _dump(url: URL, target: Path) -> None:
    """The password goes by the environment: arguments are seen by everybody on the machine."""
    bare = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    command = ["pg_dump", "--format=custom", f"--schema={_SCHEMA}", f"--file={target}", f"--dbname={bare}"]
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **password})  # noqa: S603 - no shell
    if done.returncode:
        raise ConfigurationError(f"{done.stderr.strip() or 'pg_dump failed'}. Nothing was done.")
