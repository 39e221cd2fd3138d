"""The schema: migrations make the tables the code has, an embedded file upgrades itself once, and a newer one is left alone."""

from __future__ import annotations

import ast
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from sessile.model.audit import fault_of
from sessile.model.errors import ConfigurationError
from sessile.runtime.lane import drive
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore, migrate
from sessile.stores.sql.database import SqliteDatabase
from sessile.stores.sql.tables import metadata
from tests.deployment.next_version import REVISION, make_next, newest, scripts_of
from tests.sqlite_template import MIGRATES


def opened(path: Path) -> BlockingSqliteStore:
    store = BlockingSqliteStore(f"sqlite:///{path}")
    drive(store.open())
    return store


@pytest.fixture(autouse=True)
def _migrates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteDatabase, "open", MIGRATES)


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config)


def head() -> str:
    found = scripts().get_current_head()
    assert found is not None
    return found


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("UPDATE alembic_version SET version_num = ?", (revision,)).rowcount == 1


def test_an_upgraded_database_is_what_the_tables_say(tmp_path: Path) -> None:
    drive(opened(tmp_path / "a.db").close())
    engine = create_engine(f"sqlite:///{tmp_path}/a.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrations_and_metadata_make_the_same_constraints(tmp_path: Path) -> None:
    # Alembic's comparison sees neither CHECK, nor the WHERE of an index, nor WITHOUT ROWID.
    drive(opened(tmp_path / "migrated.db").close())
    migrated = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    made = create_engine(f"sqlite:///{tmp_path}/made.db")
    metadata.create_all(made)
    assert constraints(migrated) == constraints(made)
    migrated.dispose()
    made.dispose()


def constraints(engine: Any) -> dict[str, Any]:
    seen = inspect(engine)
    tables = [table for table in seen.get_table_names() if table != "alembic_version"]
    found: dict[str, Any] = {}
    with engine.connect() as connection:
        for table in tables:
            checks = sorted((check["name"], check["sqltext"]) for check in seen.get_check_constraints(table))
            uniques = sorted((unique["name"], unique["column_names"]) for unique in seen.get_unique_constraints(table))
            foreign = sorted((key["name"], key["options"]["ondelete"]) for key in seen.get_foreign_keys(table))
            indexes = sorted(
                (index["name"], index["unique"], str(index["dialect_options"].get("sqlite_where")))
                for index in seen.get_indexes(table)
            )
            source = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).scalar_one()
            found[table] = (checks, uniques, foreign, indexes, "WITHOUT ROWID" in source, "AUTOINCREMENT" in source)
    return found


def test_no_migration_offers_a_way_back() -> None:
    revisions = list(scripts().walk_revisions())
    assert revisions
    for revision in revisions:
        assert not hasattr(revision.module, "downgrade"), f"{revision.revision}: data is not thrown away by going back"


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    drive(opened(path).close())
    set_revision(path, "9999")
    before = path.read_bytes()
    store = BlockingSqliteStore(f"sqlite:///{path}")
    with pytest.raises(ConfigurationError, match=r"newer version of Sessile \(schema 9999\)"):
        drive(store.open())
    drive(store.close())
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix not in {".db-wal", ".db-shm"}) == ["a.db"]


@pytest.fixture
def next_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Opening a file upgrades it to the next version's schema, until the test ends or `monkeypatch.undo`."""

    def use(is_compatible: bool) -> None:
        monkeypatch.setattr(migrate, "_SCRIPTS", scripts_of(make_next(tmp_path / "next", is_compatible=is_compatible)))
        migrate._migrations.cache_clear()

    yield use
    monkeypatch.undo()
    migrate._migrations.cache_clear()


@contextmanager
def state_of(path: Path) -> Iterator[migrate.SchemaState]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        yield migrate.schema_state(connection)
    engine.dispose()


def test_a_newer_schema_that_leaves_room_is_worked_on_as_it_is(
    tmp_path: Path, next_is: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, here = tmp_path / "a.db", newest()
    with monkeypatch.context():
        next_is(True)
        drive(opened(path).close())
    monkeypatch.undo()
    monkeypatch.setattr(SqliteDatabase, "open", MIGRATES)
    migrate._migrations.cache_clear()
    store = opened(path)
    assert drive(store.write(lambda tx: tx.instance("key", "written by the older one"))) == "written by the older one"
    drive(store.close())
    with state_of(path) as state:
        assert (state.at, state.newest, state.compatible_from) == (REVISION, here, here)
        assert (state.is_usable, state.is_newer_and_usable) == (True, True)
    assert [p.name for p in tmp_path.iterdir() if "before" in p.name] == [], (
        "nothing was upgraded, so nothing was copied"
    )


def test_a_newer_schema_that_leaves_no_room_is_refused_and_says_what_it_needs(
    tmp_path: Path, next_is: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, here = tmp_path / "a.db", newest()
    with monkeypatch.context():
        next_is(False)
        drive(opened(path).close())
    monkeypatch.undo()
    monkeypatch.setattr(SqliteDatabase, "open", MIGRATES)
    migrate._migrations.cache_clear()
    store = BlockingSqliteStore(f"sqlite:///{path}")
    told = f"newer version of Sessile .schema {REVISION}., on which versions before schema {REVISION} cannot work, and this one has schema {here}"
    with pytest.raises(ConfigurationError, match=told):
        drive(store.open())
    drive(store.close())


_ADDING = frozenset({"create_table", "create_index", "add_column", "f"})
"""Operations of Alembic that a program of before does not notice; `f` only names."""


def test_a_migration_that_says_older_programs_can_work_on_it_only_adds() -> None:
    """What it may contain: tables, indexes that are not unique, and columns that may be empty or have a default."""
    for script in scripts().walk_revisions():
        if getattr(script.module, "compatible_from", script.revision) != script.revision:
            assert faults_of(Path(script.path).read_text(encoding="utf-8")) == [], script.revision


def faults_of(source: str) -> list[str]:
    """What in a migration a program of before would notice."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        if not (
            isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "op"
        ):
            continue
        text, verb, given = ast.unparse(call), call.func.attr, {word.arg for word in call.keywords}
        is_noticed = verb not in _ADDING
        is_noticed |= verb == "create_index" and "unique" in given
        is_noticed |= verb == "add_column" and "nullable=True" not in text and "server_default" not in text
        if is_noticed:
            found.append(text)
    return found


def test_the_rule_for_migrations_finds_what_an_older_program_would_notice(tmp_path: Path) -> None:
    next_one = scripts_of(make_next(tmp_path / "adds")) / "versions" / f"{REVISION}_later.py"
    assert faults_of(next_one.read_text(encoding="utf-8")) == []
    for statement in (
        'op.drop_column("sessions", "data")',
        'op.alter_column("sessions", "data", nullable=False)',
        'op.rename_table("sessions", "people")',
        'op.execute("DELETE FROM sessions")',
        'op.add_column("sessions", sa.Column("later", sa.Integer(), nullable=False))',
        'op.create_index("ux", "sessions", ["user_id"], unique=True)',
    ):
        assert faults_of(statement) == [statement.replace('"', "'")]


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = opened(path)
    drive(store.write(lambda tx: tx.instance("key", "value")))
    drive(store.close())
    again = opened(path)
    assert drive(again.read(lambda tx: tx.instance("key"))) == "value"
    drive(again.close())
    assert [p.name for p in tmp_path.iterdir() if "before" in p.name] == []


def test_an_older_file_is_copied_before_it_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The next schema is played by a step that is put in its place.
    path = tmp_path / "a.db"
    store = opened(path)
    drive(store.write(lambda tx: tx.instance("key", "old")))
    drive(store.close())
    upgraded: list[str] = []
    known = head()
    monkeypatch.setattr(migrate, "_revisions", lambda: ("0099", known))
    monkeypatch.setattr(command, "upgrade", lambda _config, revision: upgraded.append(revision))
    for _ in range(2):
        drive(opened(path).close())
    assert upgraded == ["head", "head"]
    copy = tmp_path / "a.db.before-0099"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM instance WHERE key = 'key'").fetchall() == [("old",)]


def test_the_chains_of_schema_1_verify_after_the_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    upgrade = command.upgrade
    with monkeypatch.context() as older:
        older.setattr(command, "upgrade", lambda config, _revision: upgrade(config, "0001"))
        drive(opened(path).close())
    events = [
        ("document:d", 1, "document_created", 1_767_268_800_000_000, "ada", "s", "d", b'{"name":"form"}', b"", b"1"),
        ("document:d", 2, "app.paid", 1_767_268_800_000_001, "ada", None, "d", b'{"amount":1.5}', b"1", b"2"),
        ("user:ada", 1, "principal_disabled", 1_767_268_800_000_002, "ada", None, None, b"{}", b"", b"3"),
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(f"INSERT INTO audit_events VALUES ({', '.join('?' * 10)})", events)
    store = opened(path)
    for chain in drive(store.read(lambda tx: tx.audit_streams())):
        kept = drive(store.read(lambda tx, name: tx.audit_stream(name), chain.stream))
        previous = b""
        for position, event in enumerate(kept, 1):
            assert fault_of(event, position, previous) is None
            previous = event.hash
        assert (chain.position, chain.hash) == (len(kept), previous)
    written = [
        event
        for stream in ("document:d", "user:ada")
        for event in drive(store.read(lambda tx, name: tx.audit_stream(name), stream))
    ]
    assert [(e.stream, e.position, e.type, e.user_id, e.session_id, e.document_id, dict(e.data)) for e in written] == [
        ("document:d", 1, "document_created", "ada", "s", "d", {"name": "form"}),
        ("document:d", 2, "app.paid", "ada", None, "d", {"amount": 1.5}),
        ("user:ada", 1, "principal_disabled", "ada", None, None, {}),
    ]
    drive(store.close())


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"

    def fail(config: Config, _revision: str) -> None:
        config.attributes["connection"].exec_driver_sql("CREATE TABLE half (id INTEGER)")
        raise RuntimeError("power loss")

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", fail)
        store = BlockingSqliteStore(f"sqlite:///{path}")
        with pytest.raises(RuntimeError):
            drive(store.open())
        drive(store.close())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    drive(opened(path).close())


@pytest.mark.parametrize("round_number", range(5))
def test_stores_that_open_a_new_file_at_once_all_find_it_ready(tmp_path: Path, round_number: int) -> None:
    failures: list[BaseException] = []
    values: list[str | None] = []
    barrier = threading.Barrier(6)

    def work(number: int) -> None:
        store = BlockingSqliteStore(f"sqlite:///{tmp_path}/a.db")
        barrier.wait()
        try:
            drive(store.open())
            values.append(drive(store.write(lambda tx: tx.instance("key", str(number)))))
        except Exception as error:  # noqa: BLE001 - whatever it was, the test shows it
            failures.append(error)
        finally:
            drive(store.close())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(values)) == 1
    assert len(values) == 6


@pytest.mark.parametrize("store_class", [BlockingSqliteStore, AsyncSqliteStore])
@pytest.mark.parametrize("url", ["postgresql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_is_no_file_is_refused(url: str, store_class: type[BlockingSqliteStore | AsyncSqliteStore]) -> None:
    with pytest.raises(ConfigurationError):
        store_class(url)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = BlockingSqliteStore(f"sqlite:///{tmp_path}/missing/a.db")
    with pytest.raises(ConfigurationError, match="missing"):
        drive(store.open())
    drive(store.close())


def test_who_deletes_live_sessions_past_us_closes_the_fence(tmp_path: Path) -> None:
    store = opened(tmp_path / "a.db")
    drive(store.write(lambda tx: tx.fence.open(tx.fence.look().number)))
    before = drive(store.read(lambda tx: tx.fence.look()))
    columns = "session_id, device, public, data, version, created_at, last_seen_at, idle_expires_at, absolute_expires_at, token_hash, retired_tokens, is_remembered, ended_at"
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        for name, ended in (("over", 1), ("live", None)):
            row = (name, "{}", "{}", b"{}", 1, 1, 1, 1, 1, b"", "[]", False, ended)
            connection.execute(f"INSERT INTO sessions ({columns}) VALUES ({', '.join('?' * 13)})", row)
        connection.execute("DELETE FROM sessions WHERE session_id = 'over'")
        connection.commit()
        assert drive(store.read(lambda tx: tx.fence.look())) == before
        connection.execute("DELETE FROM sessions")
    after = drive(store.read(lambda tx: tx.fence.look()))
    assert (after.number, after.is_open) == (before.number + 1, False)
    assert after.nonce != before.nonce
    drive(store.close())
