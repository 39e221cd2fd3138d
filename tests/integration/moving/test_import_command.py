"""`sessile import`, run as a program: also when it is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sessile.cli.main import app
from sessile.model.legacy import hash_legacy
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.testing.servers import RedisServer
from tests.integration.moving.recordings import recording

pytestmark = pytest.mark.server
MANY = 300


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sessile.cli.main", "import", *arguments]


def environment(database: Path, **more: str) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    return {**known, "COLUMNS": "200", "SESSILE_DATABASE_URL": f"sqlite:///{database}", **more}


def run(database: Path, *arguments: str, **more: str) -> Result:
    """In this process: only what is killed needs one of its own."""
    forgotten = {name: None for name in os.environ if name.startswith("SESSILE_")}
    shown = {"COLUMNS": "200", "SESSILE_DATABASE_URL": f"sqlite:///{database}"}
    return CliRunner().invoke(app, ["import", *arguments], env={**forgotten, **shown, **more})


def told(database: Path, *arguments: str, **more: str) -> Any:
    done = run(database, *arguments, "--json", **more)
    assert done.exit_code == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "sessile.db"


def ids(count: int) -> Iterator[str]:
    return (f"{number:043d}" for number in range(count))


def fill(redis: RedisServer, count: int) -> None:
    for number, legacy_id in enumerate(ids(count)):
        redis.run("SET", f"session:{legacy_id}", json.dumps({"user_id": f"user-{number % 10}"}), "EX", 86400)


def kept(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM legacy_tokens").fetchone()[0])


def test_killed_in_the_middle_it_goes_on_and_brings_nothing_twice(redis: RedisServer, database: Path) -> None:
    fill(redis, MANY)
    started = subprocess.Popen(
        command("flask-session", redis.url(), "--batch", "10"),
        env=environment(database), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stderr is not None
    with started, started.stderr as lines:
        assert lines.readline().startswith("import ")
        assert "imported" in lines.readline()
        os.kill(started.pid, signal.SIGKILL)
    assert started.returncode == -signal.SIGKILL
    before = kept(database)
    assert 0 < before < MANY, "it was in the middle"
    again = told(database, "flask-session", redis.url())
    assert (again["read"], again["imported"], again["known"]) == (MANY, MANY - before, before)
    assert again["skipped"] == {}
    with SessionManager(Settings(database_url=f"sqlite:///{database}")) as manager:
        handles = [session.session_id for n in range(10) for session in manager.list_sessions(f"user-{n}")]
        assert len(handles) == len(set(handles)) == MANY
        assert len(manager.legacy.runs()) == 2
        for legacy_id in list(ids(MANY))[::15]:
            assert manager.legacy.arrive(hash_legacy(legacy_id), can_replace=False).session.user_id is not None


def test_a_dry_run_makes_no_database_and_an_undo_spares_who_came_since(redis: RedisServer, database: Path) -> None:
    recorded = recording("flask_session_msgpack")
    recorded.into_redis(redis)
    dry = told(database, "flask-session", redis.url(), "--dry-run")
    assert (dry["dry_run"], dry["imported"], dry["run_id"]) == (True, 3, None)
    assert not database.exists()
    real = told(database, "flask-session", SESSILE_IMPORT_FROM=redis.url())
    assert real["imported"] == 3
    with SessionManager(Settings(database_url=f"sqlite:///{database}")) as manager:
        manager.legacy.arrive(hash_legacy(recorded.cookies["ada"]))
    (listed,) = told(database, "--runs")
    assert (listed["run_id"], listed["sessions"], listed["used"]) == (real["run_id"], 3, 1)
    assert told(database, "--undo", real["run_id"]) == {"run_id": real["run_id"], "ended": 2, "kept": 1}
    assert told(database, "--undo", real["run_id"], "--include-used")["ended"] == 1
    assert told(database, "--runs") == []
    assert run(database, "--undo", real["run_id"]).exit_code == 1


def test_people_are_told_what_was_left_out_and_no_secret(redis: RedisServer, database: Path) -> None:
    recording("flask_session_pickle").into_redis(redis)
    redis.run("SET", "session:" + "A" * 43, '{"user_id": "ada", "n": NaN}')
    done = run(database, "flask-session", redis.url())
    assert done.exit_code == 0, done.stderr
    for words in ("a pickle", "never read", "/n", "NaN", "--undo", "14 days"):
        assert words in done.stdout
    assert "A" * 43 not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "exactly one"),
        (["flask-session"], "Where are the sessions"),
        (["cobol", "redis://127.0.0.1"], "starsessions"),
        (["flask-cookie", "redis://127.0.0.1"], "SESSILE_LEGACY_COOKIES"),
        (["django", "sqlite:///old.db"], "SESSILE_LEGACY_SECRETS"),
        (["django", "sqlite:///old.db", "--secrets", "[1"], "JSON list"),
        (["flask-session", "redis://127.0.0.1:1"], "cannot be read"),
        (["flask-session", "redis://:hidden@127.0.0.1:1"], "cannot be read"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], words: str, database: Path) -> None:
    done = run(database, *arguments)
    assert done.exit_code == 1
    assert words in done.stderr
    assert "hidden" not in done.stdout + done.stderr
    assert isinstance(done.exception, SystemExit), "no traceback"
