"""The schema on PostgreSQL: made by `sessile db upgrade` alone, the one that the tables say, refused when it is another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, inspect, text

from sessile.engine.audit import AuditEngine
from sessile.model.errors import ConfigurationError, StoreUnavailable
from sessile.model.session import EndReason
from sessile.runtime.lane import drive
from sessile.stores.sql import migrate, postgres
from sessile.stores.sql.migrate import schema_state
from sessile.stores.sql.postgres import SCHEMA, BlockingPostgresStore, _use_schema, upgrade
from sessile.stores.sql.tables import metadata
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import Bench
from tests.deployment.next_version import REVISION, make_next, newest, scripts_of


def engine_of(url: str) -> Any:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    event.listen(engine, "connect", _use_schema)
    return engine


def run(url: str, statement: str) -> None:
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_the_migrations_make_what_the_tables_say(url: str) -> None:
    engine = engine_of(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        partial = {
            index["name"]: index["dialect_options"].get("postgresql_where")
            for table in inspect(connection).get_table_names()
            for index in inspect(connection).get_indexes(table)
            if index["dialect_options"].get("postgresql_where")
        }
    engine.dispose()
    wanted = {
        index.name
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    }
    assert partial.keys() == wanted


def test_a_database_without_our_schema_is_refused_with_the_command_that_helps(empty: str) -> None:
    store = BlockingPostgresStore(empty)
    with pytest.raises(ConfigurationError, match="sessile db upgrade"):
        drive(store.open())
    drive(store.close())
    assert upgrade(empty) is None
    assert upgrade(empty) is not None, "again it changes nothing"
    drive(store.open())
    drive(store.close())


def test_upgrades_at_once_do_it_once(empty: str) -> None:
    outcomes: list[str | Exception | None] = []

    def work() -> None:
        try:
            outcomes.append(upgrade(empty))
        except Exception as error:  # noqa: BLE001 - shown by the test
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert outcomes.count(None) == 1


def test_a_newer_schema_is_refused_and_left_alone(url: str) -> None:
    run(url, "UPDATE alembic_version SET version_num = '9999'")
    store = BlockingPostgresStore(url)
    for call in (lambda: drive(store.open()), lambda: upgrade(url)):
        with pytest.raises(ConfigurationError, match="newer version"):
            call()
    drive(store.close())


@pytest.fixture
def next_is(tmp_path: Path) -> Iterator[Callable[[bool], AbstractContextManager[None]]]:
    """While it lasts, this process has the next version's migrations."""

    @contextmanager
    def use(is_compatible: bool) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(migrate, "_SCRIPTS", scripts_of(make_next(tmp_path / "next", is_compatible=is_compatible)))
            migrate._migrations.cache_clear()
            yield
        migrate._migrations.cache_clear()

    yield use
    migrate._migrations.cache_clear()


Next = Callable[[bool], AbstractContextManager[None]]


def test_who_is_connected_works_on_through_an_upgrade_that_adds(url: str, next_is: Next) -> None:
    here, store = newest(), BlockingPostgresStore(url)
    drive(store.open())
    bench = Bench(store, FakeClock(), SeededRandom())
    before = drive(bench.sessions.create("ada")).session
    with next_is(True):
        assert upgrade(url) == here
    assert drive(store.read(lambda tx: tx.sessions.get(before.session_id))) == before
    drive(bench.sessions.create("bea"))
    drive(store.close())
    drive(store.open())  # one of the older version that starts now
    drive(Bench(store, FakeClock(), SeededRandom(2)).sessions.create("carl"))
    with store._engine.connect() as connection:
        state = schema_state(connection)
    assert (state.at, state.newest, state.compatible_from, state.is_newer_and_usable) == (REVISION, here, here, True)
    assert upgrade(url) == REVISION, "the older version's own command changes nothing"
    drive(store.close())


def test_what_connected_programs_cannot_work_on_is_refused_unless_forced(url: str, next_is: Next) -> None:
    here, store = newest(), BlockingPostgresStore(url)
    drive(store.open())
    with next_is(False):
        with pytest.raises(ConfigurationError, match=f"only up to version {here} are connected .1 connections"):
            upgrade(url)
        with store._engine.connect() as connection:
            assert schema_state(connection).at == here
        assert upgrade(url, force=True) == here
    drive(store.close())
    with pytest.raises(
        ConfigurationError, match=f"versions before schema {REVISION} cannot work, and this one has schema {here}"
    ):
        drive(store.open())
    drive(store.close())


def test_an_upgrade_waits_for_a_table_in_use_without_standing_in_the_way(
    url: str, next_is: Next, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction of somebody else holds a table. The upgrade lets go each time, so that those behind it get their turn."""
    monkeypatch.setattr(postgres, "_UPGRADE_LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(postgres, "_UPGRADE_PAUSE_S", 0.05)
    here, engine = newest(), engine_of(url)
    store = BlockingPostgresStore(url)
    drive(store.open())
    session = drive(Bench(store, FakeClock(), SeededRandom()).sessions.create("ada")).session
    with next_is(True), engine.connect() as holding:
        holding.execute(text("SELECT count(*) FROM sessions")).scalar()  # holds the table until its transaction ends
        with pytest.raises(StoreUnavailable, match="in use for 0 s, and nothing was changed"):
            upgrade(url, wait_s=0)
        outcome: list[str | None] = []
        upgrading = threading.Thread(target=lambda: outcome.append(upgrade(url)))
        upgrading.start()
        for _ in range(20):
            assert drive(store.read(lambda tx: tx.sessions.get(session.session_id))) == session
            assert upgrading.is_alive()
            time.sleep(0.01)
        holding.rollback()
        upgrading.join()
        assert outcome == [here]
    engine.dispose()
    drive(store.close())


def test_rows_of_schema_1_come_along(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = command.upgrade
    with monkeypatch.context() as older:
        older.setattr(command, "upgrade", lambda config, _revision: newest(config, "0001"))
        upgrade(empty)
    run(
        empty,
        "INSERT INTO audit_events VALUES ('document:d', 1, 'document_created', 1767268800000000, 'ada', 's', 'd', '{\"name\":\"form\"}', '', '1'),"
        " ('document:d', 2, 'app.paid', 1767268800000001, 'ada', NULL, 'd', '{}', '1', '2')",
    )
    assert upgrade(empty) == "0001"
    store = BlockingPostgresStore(empty)
    drive(store.open())
    report = drive(AuditEngine(store).verify(None))
    assert (report.streams, report.events, report.faults) == (1, 2, [])
    drive(store.close())


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync"])
def test_a_database_that_would_lose_commits_is_refused(url: str, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlockingPostgresStore(url)
    if setting == "synchronous_commit":
        name = url.rpartition("/")[2]
        run(url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        with pytest.raises(ConfigurationError, match="synchronous_commit is off"):
            drive(store.open())
    else:
        monkeypatch.setattr(
            postgres, "DURABLE", ("fsync", "ssl")
        )  # ssl is off: one that reads `off` without another server
        with pytest.raises(ConfigurationError, match="ssl is off"):
            drive(store.open())
    drive(store.close())


def test_our_tables_stay_in_a_schema_of_their_own(url: str) -> None:
    engine = engine_of(url)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names(schema="public") == []
        assert set(metadata.tables) <= set(inspect(connection).get_table_names(schema=SCHEMA))
    engine.dispose()


def test_the_command_line_upgrades_and_checks(empty: str) -> None:
    shown = empty.replace("sessile@", "sessile:secret@")

    def sessile(*words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "sessile.cli.main", "db", *words, "--json"],
            env={**os.environ, "SESSILE_DATABASE_URL": shown},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "secret" not in done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    status, answer = sessile("check")
    assert (status, answer["error"]["code"]) == (1, "configuration")
    assert sessile("upgrade")[0] == 0
    status, answer = sessile("check")
    assert (status, "***" in answer["database"]) == (0, True)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM sessile.sessions WHERE user_id = 'ada'", "TRUNCATE sessile.sessions CASCADE"]
)
def test_who_deletes_live_sessions_past_us_closes_the_fence(bench: Bench, url: str, statement: str) -> None:
    """With a search path of their own."""
    store = bench.store
    over = drive(bench.sessions.create("eve")).session
    drive(bench.sessions.end(over.session_id, EndReason.LOGOUT))
    drive(bench.sessions.create("ada"))
    drive(store.write(lambda tx: tx.fence.open(tx.fence.look().number)))
    before = drive(store.read(lambda tx: tx.fence.look()))
    drive(store.write(lambda tx: tx.sessions.delete([over.session_id])))
    assert drive(store.read(lambda tx: tx.fence.look())) == before, "what is over closes nothing"
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    after = drive(store.read(lambda tx: tx.fence.look()))
    assert (after.number, after.is_open) == (before.number + 1, False)
    assert after.nonce != before.nonce
