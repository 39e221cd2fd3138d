"""What `sessile doctor` says of a database that cannot be reached, or not be written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError

from sessile.cli.diagnosis import Diagnosis, Severity
from sessile.model.errors import StoreUnavailable
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings

FREE_ERROR_BYTES: Final = 20 * 1024 * 1024
FREE_WARNING_BYTES: Final = 500 * 1024 * 1024
FREE_ERROR_SHARE: Final = 0.02
FREE_WARNING_SHARE: Final = 0.1
"""On a small disk less is left, and not less time."""
_TRIAL_BYTES: Final = 1024 * 1024
"""A small write still finds room in pages that are there, long after the disk is full."""
_NO_ROOM: Final = ("disk is full", "no space left", "disk i/o error", "quota exceeded", "file too large")
_START: Final = "systemctl start postgresql  # where it does not stay up: journalctl -u postgresql, df -h"
"""Without room for its log it stops, and will not start."""
_NOT_ALLOWED: Final = "42501"
_OUTAGE: Final = "Every request is answered 503; nobody is logged out."
_NO_WRITES: Final = (
    "Sessions that are there are read, but no login, no log-out and no change is kept: they are answered 503."
)
_FULL: Final = ("too many clients", "remaining connection slots", "too many connections")
_REFUSED: Final = ("connection refused", "could not connect", "connect call failed", "no such file or directory")


class _Undone(Exception):
    """Takes a trial back."""


def unreachable(settings: Settings, error: StoreUnavailable) -> Diagnosis:
    """Why, and what to do."""
    cause = _cause(error.__cause__) or error.message
    known, url = cause.lower(), make_url(settings.database_url)
    what = f"{settings.database_shown} cannot be reached: {cause}"
    if url.get_backend_name().startswith("postgres"):
        if any(sign in known for sign in _FULL):
            what = f"The server of {settings.database_shown} has no connection left."
            idle = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' AND pid <> pg_backend_pid()"
            return Diagnosis(
                "pool", "error", what, f"{_OUTAGE} The command ends connections that do nothing.", psql(url, idle)
            )
        if "does not exist" in known and "database" in known:
            return Diagnosis(
                "database",
                "error",
                what,
                _OUTAGE,
                f"createdb --maintenance-db={quote(_shown(url, 'postgres'))} {quote(url.database or '')}",
            )
        if any(sign in known for sign in _REFUSED):
            return Diagnosis("database", "error", what, _OUTAGE, _START)
    elif any(sign in known for sign in _NO_ROOM):
        return Diagnosis("database", "error", what, _OUTAGE, making_room(Path(url.database or ".").parent))
    return Diagnosis("database", "error", what, _OUTAGE, "sessile db check")


def writing(manager: SessionManager) -> Iterator[Diagnosis]:
    """Tries to write, and takes it back; and looks at the room on the disk."""
    url = make_url(manager.settings.database_url)
    cause = _refusal(manager)
    if cause is None:
        yield from _room(url)
        return
    what = f"{manager.settings.database_shown} cannot be written: {cause}"
    known = cause.lower()
    if "read-only" in known and url.get_backend_name().startswith("postgres"):
        writable = "SET default_transaction_read_only = off"  # for the command itself
        cure = psql(url, writable, f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = off')
    elif "readonly" in known:
        cure = f"chmod u+w {quote(url.database or '')}"
    elif "locked" in known:
        cure = f"fuser -v {quote(url.database or '')}"
    elif url.get_backend_name().startswith("postgres"):
        cure = f"{making_room(_data_folder(manager))}, on the machine of the database"
    else:
        cure = making_room(Path(url.database or ".").absolute().parent)
        yield from _room(url)
    yield Diagnosis("database", "error", what, _NO_WRITES, cure)


def _refusal(manager: SessionManager) -> str | None:
    try:
        manager.transact(_try_to_write)
    except _Undone:
        return None
    except (DBAPIError, StoreUnavailable) as error:
        return _cause(error if isinstance(error, DBAPIError) else error.__cause__) or str(error)
    raise AssertionError("the trial is taken back")


def _cause(error: BaseException | None) -> str:
    """What the database itself said, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error or "").split())


def _try_to_write(connection: Connection) -> None:
    connection.execute(text("UPDATE instance SET key = key"))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            "PRAGMA cache_size = 1"
        )  # so that it is written before the commit, which is not to come
        try:
            connection.exec_driver_sql("CREATE TABLE sessile_trial (filling BLOB)")
            connection.exec_driver_sql("INSERT INTO sessile_trial VALUES (zeroblob(?))", (_TRIAL_BYTES,))
        finally:
            connection.exec_driver_sql("PRAGMA cache_size = -2000")
    else:
        _try_to_extend(connection)
    raise _Undone


def _try_to_extend(connection: Connection) -> None:
    """A table that only this transaction knows; a role that may not make one is not asked."""
    rows = f"SELECT repeat(md5(row::text), 60) FROM generate_series(1, {_TRIAL_BYTES // 2000}) AS row"  # noqa: S608 - a number of ours
    try:
        connection.execute(text(f"CREATE TEMPORARY TABLE sessile_trial ON COMMIT DROP AS {rows}"))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise


def _data_folder(manager: SessionManager) -> Path:
    """Where PostgreSQL keeps its files, as far as it tells us."""
    try:
        told = manager.transact(
            lambda connection: connection.execute(
                text("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
            ).scalar()
        )
    except (DBAPIError, StoreUnavailable):
        told = None
    return Path(told or "/var/lib/postgresql")


def making_room(folder: Path) -> str:
    """A command that shows what takes the most on the disk of this folder: what of it may go is for people to say."""
    return f'du -xak "$(stat -c %m {quote(str(folder))})" | sort -n | tail -n 20  # then remove or move what may go'


def _room(url: URL) -> Iterator[Diagnosis]:
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    folder = Path(url.database).absolute().parent
    disk = shutil.disk_usage(folder)
    free = disk.free
    if free < min(FREE_WARNING_BYTES, FREE_WARNING_SHARE * disk.total):
        severity: Severity = "error" if free < min(FREE_ERROR_BYTES, FREE_ERROR_SHARE * disk.total) else "warning"
        what = f"There are {free // (1024 * 1024)} MB left where the database is."
        yield Diagnosis(
            "database", severity, what, "When nothing is left, nothing is kept any more.", making_room(folder)
        )


def psql(url: URL, *statements: str) -> str:
    """A command for PostgreSQL's own tool; the password is asked for, or comes from ~/.pgpass."""
    return " ".join(["psql", quote(_shown(url)), *(f"-c {quote(one)}" for one in statements)])


def _shown(url: URL, database: str | None = None) -> str:
    named = URL.create("postgresql", url.username, None, url.host, url.port, database or url.database)
    return named.render_as_string(hide_password=False)
