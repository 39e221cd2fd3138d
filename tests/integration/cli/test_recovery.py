"""Each verb of `sessile recover` mends what was broken first, and changes nothing unless it is told to."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from sessile.cli.acting import operator
from sessile.model.document import Actor
from sessile.model.errors import HandoffRefused, InvalidChange, SessionCreationError, SessionEnded, SessionNotFound
from sessile.model.handoff import HandoffStatus
from sessile.model.platform import PlatformEntry
from sessile.model.session import Issued
from sessile.runtime.blocking import SessionManager
from sessile.testing.servers import PostgresServer, RedisServer
from sessile.testing.servers.postgres import postgres_binaries
from tests.integration.cli.conftest import Place
from tests.integration.cli.test_doctor import findings, follow, sql

pytestmark = pytest.mark.server
ADA = Actor(user_id="ada")
DOIT = ("--apply", "--yes")


def cached(manager: SessionManager, issued: Issued) -> None:
    """Waits until the cache has a copy of the session."""
    deadline = time.monotonic() + 20
    while manager.operators.cached_copy(issued.session.session_id) not in ("same", "behind"):
        assert time.monotonic() < deadline, manager.operators.cache_state()
        manager.authenticate(issued.token)
        time.sleep(0.02)


def refused(place: Place, issued: Issued) -> None:
    """A process that starts now does not let this session in."""
    with place.manager() as manager:
        for _ in range(3):
            with pytest.raises((SessionNotFound, SessionEnded)):
                manager.authenticate(issued.token)


def file_of(place: Place) -> Path:
    return Path(place.database_url.removeprefix("sqlite:///"))


def rows(file: str, statement: str) -> list[Any]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def acted(place: Place, action: str) -> list[tuple[str, str]]:
    with place.manager() as manager:
        assert manager.audit.verify().faults == []
        events = manager.audit.tail(limit=1000).events
        return [
            (one.data["reason"], one.data["by"])
            for one in events
            if one.type == "operator_acted" and one.data["action"] == action
        ]


def drop_tables(place: Place, *names: str) -> None:
    cascade = " CASCADE" if place.name == "postgres" else ""
    for name in names:
        sql(place, f"DROP TABLE {name}{cascade}")


def references(place: Place, table: str) -> set[tuple[str, str]]:
    def look(connection: Any) -> set[tuple[str, str]]:
        found = inspect(connection).get_foreign_keys(table)
        return {(one["constrained_columns"][0], one["referred_table"]) for one in found}

    with place.manager() as manager:
        return manager.transact(look)


def test_lost_tables_are_made_anew_and_no_cache_brings_back_what_was_in_them(place: Place) -> None:
    with place.manager() as manager:
        issued = manager.create_session("ada")
        if place.redis is not None:
            cached(manager, issued)
    referring = references(place, "documents")
    drop_tables(place, "rate_limits", "sessions")
    (found,) = findings(place, status=2)
    assert found["cure"] == "sessile recover table --apply --yes"
    asked = place.values("recover", "table")
    assert (asked["done"], sorted(asked["missing"])) == (False, ["rate_limits", "sessions"])
    assert asked["consequences"] == ["sessions: everybody logs in again"]
    assert "Nothing was done" in place.ok("recover", "table").out
    assert place.run("recover", "table", "--apply").status == 1
    assert findings(place, status=2) == [found], "neither a look nor an answer that was not given mends anything"
    done = place.values("recover", "table", *DOIT, "--reason", "the disk")
    assert (done["done"], done["missing"]) == (True, asked["missing"])
    if place.name == "sqlite":
        assert rows(done["backup"], "SELECT user_id FROM principals") == [("ada",)]
        assert Path(done["backup"]).stat().st_mode & 0o077 == 0
    else:
        assert done["backup"] is None
        assert "pg_dump" in asked_for_backup(place)
    assert findings(place, status=0) == []
    assert references(place, "documents") == referring
    assert acted(place, "recover_table") == [("the disk", operator())]
    refused(place, issued)
    with place.manager() as manager:
        assert manager.authenticate(manager.create_session("ada").token).user_id == "ada"
    again = place.values("recover", "table", *DOIT)
    assert (again["done"], again["backup"]) == (False, None), "nothing is missing, so nothing is done"


def asked_for_backup(place: Place) -> str:
    """What is said of a backup before anything is done."""
    return place.ok("recover", "system").out


def test_the_tables_that_the_note_itself_needs_are_made_first(postgres: Place) -> None:
    place = postgres
    with place.manager() as manager:
        manager.create_session("ada")
    drop_tables(place, "cache_fence", "audit_events", "audit_streams")
    place.ok("recover", "table", *DOIT, "--reason", "all of them")
    assert findings(place, status=0) == []
    assert acted(place, "recover_table") == [("all of them", operator())]
    with place.manager() as manager:
        assert manager.validate_session(manager.create_session("bea").session.session_id)


def test_a_column_that_may_be_empty_is_made_and_no_other(place: Place) -> None:
    with place.manager() as manager:
        issued = manager.create_session("ada")
        manager.disable_user("bea")
    sql(place, "ALTER TABLE sessions DROP COLUMN disconnected_at")
    sql(place, "ALTER TABLE sessions DROP COLUMN is_remembered")
    (found,) = findings(place, status=2)
    assert found["what"] == "Missing: sessions.is_remembered, sessions.disconnected_at."
    follow(place, found["cure"])
    assert findings(place, status=0) == []
    with place.manager() as manager:
        assert manager.authenticate(issued.token).disconnected_at is None
    sql(place, "ALTER TABLE principals DROP COLUMN disabled_at")
    (found,) = findings(place, status=2)
    assert found["cure"] == "Restore a copy, then: sessile recover system --apply --yes"
    told = place.run("recover", "table", *DOIT)
    assert (told.status, "principals.disabled_at" in told.err, "Restore a copy" in told.err) == (1, True, True)
    assert "principals.disabled_at" in findings(place, status=2)[0]["what"], (
        "nobody who was shut out gets in by an empty column"
    )


def test_a_stuck_user_comes_back_in_with_a_code(place: Place) -> None:
    with place.manager() as manager:
        manager.sync_platforms("ada", [PlatformEntry(platform_id="shop", name="Shop")])
        stuck = [manager.create_session("ada") for _ in range(2)]
    sql(place, "UPDATE platforms SET is_default = false")
    asked = place.values("recover", "user", "ada")
    assert (asked["done"], asked["sessions"], asked["default_before"], asked["default_platform"], asked["code"]) == (False, 2, None, "shop", None)  # fmt: skip
    assert place.run("recover", "user", "ada", "--apply").status == 1
    assert len(place.values("sessions", "list", "--user", "ada")) == 2
    withdrawn = place.values("recover", "user", "ada", *DOIT)["code"]
    done = place.values("recover", "user", "ada", *DOIT, "--reason", "no device works")
    assert done["default_platform"] == "shop"
    for issued in stuck:
        refused(place, issued)
    with place.manager() as manager:
        assert manager.list_sessions("ada") == [], "nobody is logged in before the code is used"
        order = [one.type for one in manager.audit.tail(limit=1000).events]
        marks = [order.index(kind) for kind in ("operator_acted", "session_ended", "handoff_offered")]
        assert marks == sorted(marks)
        assert [one.is_default for one in manager.list_platforms("ada")] == [True]
        with pytest.raises(HandoffRefused):
            manager.handoffs.redeem(withdrawn)
        redeemed = manager.handoffs.redeem(done["code"].lower(), device={"label": "New phone"})
        assert redeemed.handoff.status is HandoffStatus.CONFIRMED
        with pytest.raises(HandoffRefused):
            manager.handoffs.redeem(done["code"])
        _, came = manager.handoffs.complete(redeemed.handoff.handoff_id, redeemed.claim)
        assert came is not None
        session = manager.authenticate(came.token)
        assert (session.user_id, session.platform_id, session.authenticated_at) == ("ada", "shop", None)
    assert acted(place, "recover_user")[-1] == ("no device works", operator())
    assert "They type the code" in place.ok("recover", "user", "ada", *DOIT).out
    given = place.values("recover", "user", "ada", *DOIT)["code"]
    place.ok("users", "end", "ada", "--yes", "--reason", "it was told to somebody else")
    with place.manager() as manager, pytest.raises(HandoffRefused):
        manager.handoffs.redeem(given)


def test_no_code_is_made_for_who_is_shut_out_or_unknown(sqlite: Place) -> None:
    with sqlite.manager() as manager:
        manager.create_session("ada")
        manager.disable_user("ada")
    assert "users enable" in sqlite.run("recover", "user", "ada", *DOIT).err
    assert "never had a session" in sqlite.run("recover", "user", "nobody", *DOIT).err
    assert list(file_of(sqlite).parent.glob("*.backup")) == []


def test_a_document_goes_back_to_any_version(sqlite: Place) -> None:
    place = sqlite
    with place.manager() as manager:
        key = manager.documents.open(ADA, "intake", default={"name": "Ada", "step": 1}).document.document_id
        for value in ("Bea", "Lost"):
            manager.documents.change(ADA, key, [{"op": "set", "path": "/name", "value": value}])
        kept = manager.documents.checkpoint(ADA, key, label="lost")
    asked = place.values("recover", "document", key, "--to", "1")
    assert (asked["done"], asked["paths"], asked["version"]) == (False, ["/name"], 2)
    assert '"Bea"' in place.ok("recover", "document", key, "--to", "1").out
    assert place.run("recover", "document", key, "--to", "1", "--apply").status == 1
    assert place.values("documents", "show", key, "--state")["state"]["name"] == "Lost"
    done = place.values("recover", "document", key, "--to", "1", *DOIT, "--reason", "asked for it")
    assert done["version"] == 3
    assert place.values("documents", "show", key, "--state")["state"] == {"name": "Bea", "step": 1}
    with place.manager() as manager:
        assert manager.documents.diff(ADA, key, 1, "now") == []
        assert {"version 1", "lost"} <= {one.label for one in manager.documents.checkpoints(ADA, key)}
        with pytest.raises(InvalidChange):
            manager.documents.checkpoint(ADA, key, version=99)
    place.ok("recover", "document", key, "--to", kept.checkpoint_id, *DOIT)
    assert place.values("documents", "show", key, "--state")["state"]["name"] == "Lost"
    place.ok("recover", "document", key, "--to", done["kept_in"], *DOIT)
    assert acted(place, "recover_document")[0] == ("asked for it", operator())
    assert place.run("recover", "document", key, "--to", "99").status == 1
    assert place.run("recover", "document", key, "--to", "nothing").status == 1


def test_a_cache_that_says_other_than_the_rows_is_not_believed_any_more(postgres: Place) -> None:
    with postgres.manager() as manager:
        issued, other = manager.create_session("ada"), manager.create_session("bea")
        cached(manager, issued)
        epoch = manager.operators.fence().number
    sql(postgres, "UPDATE sessions SET ended_at = last_seen_at, end_reason = 'admin' WHERE user_id = 'ada'")
    assert postgres.run("cache", "inspect", issued.session.session_id).status == 1
    assert postgres.values("recover", "cache")["done"] is False
    assert postgres.run("recover", "cache", "--apply").status == 1
    assert postgres.values("cache", "inspect")["fence"]["epoch"] == epoch
    done = postgres.values("recover", "cache", *DOIT, "--reason", "rows by hand")
    assert (done["epoch"], done["open"], "only the database" in done["believed"]) == (epoch + 1, False, True)
    refused(postgres, issued)
    with postgres.manager() as manager:
        assert manager.authenticate(other.token).user_id == "bea", "nobody else is logged out"
    assert acted(postgres, "recover_cache") == [("rows by hand", operator())]


def test_a_backup_that_cannot_be_made_stops_everything(postgres: Place, tmp_path: Path) -> None:
    with postgres.manager() as manager:
        issued = manager.create_session("ada")
    there, path = tmp_path / "there", f"{postgres_binaries()}{os.pathsep}{os.environ['PATH']}"
    there.touch()
    for file, environment in ((there, {"PATH": path}), (tmp_path / "a", {"PATH": str(tmp_path)})):
        told = postgres.run("recover", "user", "ada", *DOIT, "--backup", str(file), **environment)
        assert (told.status, "--backup" in told.err) == (1, True)
    beyond = postgres.run("recover", "user", "ada", *DOIT, "--backup", str(tmp_path / "no" / "a"), PATH=path)
    assert "Nothing was done" in beyond.err
    with postgres.manager() as manager:
        assert manager.authenticate(issued.token).user_id == "ada"
    assert acted(postgres, "recover_user") == []
    copy = tmp_path / "before.dump"
    assert postgres.values("recover", "user", "ada", *DOIT, "--backup", str(copy), PATH=path)["backup"] == str(copy)
    assert copy.read_bytes().startswith(b"PGDMP")
    assert copy.stat().st_mode & 0o077 == 0


class Copies:
    """Copies of a whole database, and putting one back while nobody is connected."""

    def __init__(self, place: Place, postgres: PostgresServer | None) -> None:
        self._place = place
        self._postgres = postgres
        self._copy = file_of(place).with_name("copy.db")

    def take(self) -> None:
        if self._postgres is not None:
            name = self._place.database_url.rpartition("/")[2]
            self._disconnect(name)
            self._postgres.run_sql(f'CREATE DATABASE "{name}_copy" TEMPLATE "{name}"')
            return
        reading, writing = sqlite3.connect(file_of(self._place)), sqlite3.connect(self._copy)
        reading.backup(writing)
        reading.close()
        writing.close()

    def _disconnect(self, name: str) -> None:
        """Connections that were closed a moment ago may still be there."""
        assert self._postgres is not None
        self._postgres.run_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def put_back(self) -> None:
        if self._postgres is not None:
            name = self._place.database_url.rpartition("/")[2]
            self._disconnect(name)
            self._postgres.run_sql(f'ALTER DATABASE "{name}" RENAME TO "{name}_lost"')  # faster than to drop it
            self._postgres.run_sql(f'ALTER DATABASE "{name}_copy" RENAME TO "{name}"')
            return
        file = file_of(self._place)
        for rest in file.parent.glob(f"{file.name}-*"):
            rest.unlink()
        shutil.copy(self._copy, file)


@pytest.fixture
def copies(place: Place, request: pytest.FixtureRequest) -> Copies:
    servers: tuple[PostgresServer, RedisServer] | None = None
    if place.name == "postgres":
        servers = request.getfixturevalue("servers")
    return Copies(place, None if servers is None else servers[0])


def test_an_older_copy_begins_a_new_life(place: Place, copies: Copies) -> None:
    with place.manager() as manager:
        stayed, left = manager.create_session("ada"), manager.create_session("bea")
        document = manager.documents.open(ADA, "intake", default={"step": 1}).document
        if place.redis is not None:
            cached(manager, stayed)
    copies.take()
    with place.manager() as manager:
        late, over = manager.create_session("carl"), manager.create_session("dora")
        manager.documents.change(ADA, document.document_id, [{"op": "set", "path": "/step", "value": 2}])
        seen = manager.documents.get(ADA, document.document_id)
        manager.destroy_session(left.session.session_id)
        if place.redis is not None:
            cached(manager, late)
            cached(manager, over)
        manager.destroy_session(over.session.session_id)
    copies.put_back()
    with place.manager() as manager:
        behind = manager.documents.get(ADA, document.document_id)
        assert (behind.version < seen.version, behind.epoch) == (True, seen.epoch), (
            "browsers are ahead, and cannot see it"
        )
        row = manager.operators.session(left.session.session_id)
        assert row.ended_at is None, "who logged out since is logged in in the copy"
        fence = manager.operators.fence()
        if place.redis is not None:
            assert manager.operators.cached_copy(late.session.session_id) == "differs", "the cache knows who has no row"
    asked = place.values("recover", "system")
    assert (asked["done"], asked["documents"], asked["live_sessions"]) == (False, 1, 2)
    assert place.run("recover", "system", "--apply").status == 1
    with place.manager() as manager:
        assert manager.documents.get(ADA, document.document_id).epoch == seen.epoch
    done = place.values("recover", "system", "--keep-sessions", *DOIT, "--reason", "last night's copy")
    assert (done["done"], done["sessions_ended"], done["backup"] is not None) == (True, 0, place.name == "sqlite")
    with place.manager() as manager:
        told = manager.documents.since(ADA, document.document_id, epoch=seen.epoch, version=seen.version)
        assert told.snapshot, "who was ahead reads all of it"
        now = manager.documents.get(ADA, document.document_id)
        assert (now.epoch != seen.epoch, now.state) == (True, {"step": 1})
        assert manager.authenticate(stayed.token).user_id == "ada", "who was there before the copy stays"
        assert (manager.operators.fence().number, manager.operators.fence().nonce) != (fence.number, fence.nonce)
    refused(place, late)
    refused(place, over)
    assert acted(place, "recover_system") == [("last night's copy", operator())]
    assert place.values("recover", "system", *DOIT)["sessions_ended"] == 2, "unless it is told otherwise all end"
    refused(place, left)
    refused(place, stayed)
    with place.manager() as manager:
        assert (
            manager.transact(lambda connection: connection.execute(text("SELECT count(*) FROM documents")).scalar())
            == 1
        )


def test_what_a_kept_audit_log_tells_holds_again(place: Place, copies: Copies, tmp_path: Path) -> None:
    with place.manager() as manager:
        stays, left, renewed = (manager.create_session(user) for user in ("ada", "bea", "carl"))
        shut, back = manager.create_session("dora"), manager.create_session("eve")
        manager.create_session("frank")
        manager.personal_data.hashes("frank")  # the key that the proof of an erasure is made with is there from now on
        manager.disable_user("eve")
        manager.destroy_session(manager.create_session("ada").session.session_id)
    copies.take()
    with place.manager() as manager:
        manager.destroy_session(left.session.session_id)
        manager.rotate_session(renewed.session.session_id)
        manager.disable_user("dora")
        manager.enable_user("eve")
        manager.personal_data.erase("frank")
    kept = tmp_path / "audit.jsonl"
    place.ok("audit", "export", "--write", str(kept))
    copies.put_back()
    asked = place.values("recover", "system", "--audit", str(kept))
    assert (asked["done"], asked["ended_since"], asked["shut_out"]) == (False, 4, ["dora"])
    assert (asked["erased_since"], asked["erased"]) == (1, ["frank"])
    with place.manager() as manager:
        assert manager.authenticate(left.token).user_id == "bea", "that was only a look"
    done = place.values("recover", "system", "--keep-sessions", "--audit", str(kept), *DOIT)
    assert done["sessions_ended"] == 4
    for issued in (left, renewed, shut, back):
        refused(place, issued)
    with place.manager() as manager:
        assert manager.authenticate(stays.token).user_id == "ada"
        assert manager.create_session("eve").session.user_id == "eve"
        with pytest.raises(SessionCreationError):
            manager.create_session("dora")
        assert manager.audit.verify().faults == []
    (tmp_path / "half").write_text(kept.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    for file, said in (
        (tmp_path / "half", "is no JSON"),
        (tmp_path / "none", "No such file"),
        (tmp_path / "other", "is no event"),
    ):
        (tmp_path / "other").write_text('{"a": 1}\n', encoding="utf-8")
        told = place.run("recover", "system", "--audit", str(file), *DOIT)
        assert (told.status, said in told.err) == (1, True), told.err


def test_there_is_nothing_to_recover_in_memory(sqlite: Place) -> None:
    told = sqlite.run("recover", "user", "ada", "--database", "memory://")
    assert told.status == 1
