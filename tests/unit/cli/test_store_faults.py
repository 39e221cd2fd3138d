"""What doctor says of a database that cannot be reached or written: the cause, and a command for it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from sessile.cli import store_faults
from sessile.cli.diagnosis import Diagnosis
from sessile.model.errors import StoreUnavailable
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings

POSTGRES = "postgresql+psycopg://sessile:secret@db.example:5432/app%20one"


def refused(cause: str, url: str = POSTGRES) -> Diagnosis:
    error = StoreUnavailable()
    error.__cause__ = OSError(cause)
    return store_faults.unreachable(Settings(database_url=url), error)


@pytest.mark.parametrize(
    ("cause", "check", "begins"),
    [
        ("FATAL:  sorry, too many clients already", "pool", "psql 'postgresql://sessile@db.example:5432/app one'"),
        ("remaining connection slots are reserved", "pool", "psql "),
        ('database "app one" does not exist', "database", "createdb "),
        ("connection refused", "database", "systemctl start postgresql"),
        ("password authentication failed", "database", "sessile db check"),
    ],
)
def test_the_cause_has_its_command_and_no_password(cause: str, check: str, begins: str) -> None:
    found = refused(cause)
    assert (found.check, found.severity) == (check, "error")
    assert found.cure.startswith(begins)
    assert "secret" not in found.cure + found.what
    assert shlex.split(found.cure)
    assert refused(cause, "sqlite:////nowhere/a.db").cure == "sessile db check"


def test_a_file_that_cannot_be_opened_for_want_of_room_is_named() -> None:
    assert refused("database or disk is full", "sqlite:////data/a.db").cure.startswith("du -xak ")


@pytest.mark.parametrize(
    ("url", "cause", "begins"),
    [
        ("sqlite:////data/a b.db", "attempt to write a readonly database", "chmod u+w '/data/a b.db'"),
        ("sqlite:////data/a.db", "database is locked", "fuser -v /data/a.db"),
        ("sqlite:////data/a.db", "database or disk is full", 'du -xak "$(stat -c %m /data)" | sort'),
        (POSTGRES, "could not extend file: No space left on device", 'du -xak "$(stat -c %m /srv/pg)" | sort'),
        (POSTGRES, "cannot execute UPDATE in a read-only transaction", "psql "),
    ],
)
def test_what_keeps_it_from_being_written_is_named(
    url: str, cause: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_faults, "_refusal", lambda _manager: cause)
    monkeypatch.setattr(store_faults, "_room", lambda _url: ())
    monkeypatch.setattr(store_faults, "_data_folder", lambda _manager: Path("/srv/pg"))
    manager = SimpleNamespace(settings=Settings(database_url=url))
    (found,) = store_faults.writing(manager)  # type: ignore[arg-type]
    assert (found.severity, cause in found.what, found.cure.startswith(begins)) == ("error", True, True)


@pytest.mark.parametrize(
    ("free_mb", "total_mb", "severity"),
    [
        (1000, 100_000, None),
        (400, 100_000, "warning"),
        (10, 100_000, "error"),
        (60, 500, None),
        (40, 500, "warning"),
        (5, 500, "error"),
    ],
)
def test_a_disk_that_is_nearly_full_is_named(
    free_mb: int, total_mb: int, severity: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(free=free_mb * 1024 * 1024, total=total_mb * 1024 * 1024)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: disk)
    with SessionManager(Settings(database_url=f"sqlite:///{tmp_path / 'a.db'}")) as manager:
        found = list(store_faults.writing(manager))
        assert [one.severity for one in found] == ([] if severity is None else [severity])
        manager.create_session("ada")


def test_a_database_that_cannot_be_written_is_tried(tmp_path: Path) -> None:
    with SessionManager(Settings(database_url=f"sqlite:///{tmp_path / 'a.db'}")) as manager:
        assert store_faults._refusal(manager) is None
        manager.transact(lambda connection: connection.exec_driver_sql("PRAGMA query_only = on"))
        assert "readonly" in (store_faults._refusal(manager) or "")


def test_a_trial_finds_that_there_is_no_room_and_leaves_nothing(tmp_path: Path) -> None:
    """As on a full disk a small write still succeeds: it is the file that may not grow."""
    with SessionManager(Settings(database_url=f"sqlite:///{tmp_path / 'a.db'}")) as manager:
        manager.create_session("ada")
        manager.transact(
            lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1")
        )  # none below what it has
        manager.create_session("ada")
        assert "disk is full" in (store_faults._refusal(manager) or "")
        manager.transact(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1000000"))
        assert store_faults._refusal(manager) is None
        names = manager.transact(
            lambda connection: connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
        )
        assert "sessile_trial" not in names
