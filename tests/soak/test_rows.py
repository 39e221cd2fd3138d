"""What is forged in the rows of a database is found; and in one that was only worked on there is nothing to find."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sessile.model.document import Actor, CheckpointKind
from sessile.model.platform import PlatformEntry
from sessile.model.session import EndReason
from sessile.runtime.lane import drive
from sessile.stores.sql import BlockingSqliteStore
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import ADA, PHONE, Bench, put
from tests.soak.rows import look
from tests.soak.visitors import Visits


async def _work(bench: Bench) -> Visits:
    await bench.platforms.sync("ada", [PlatformEntry(platform_id=name, name=name) for name in ("shop", "mail")])
    await bench.platforms.sync("eve", [PlatformEntry(platform_id="blog", name="blog")])
    first = (await bench.sessions.create("ada")).session
    over = (await bench.sessions.create("ada")).session
    await bench.sessions.end(over.session_id, EndReason.LOGOUT)
    offered = await bench.handoffs.offer(first.session_id, "")
    redeemed = await bench.handoffs.redeem(offered.code, None, "")
    handoff = await bench.handoffs.confirm(first.session_id, offered.handoff.handoff_id, accept=True)
    _, lent = await bench.handoffs.complete(handoff.handoff_id, redeemed.claim, None)
    assert lent is not None
    document_id = (await bench.document({"a": 0})).document.document_id
    await bench.take(ADA, document_id, 1, 0, put("/a", 1))
    saved = await bench.checkpoints.create(ADA, document_id, "", CheckpointKind.MANUAL, None, None)
    await bench.take(PHONE, document_id, 1, 0, put("/a", 2))
    await bench.checkpoints.restore(ADA, document_id, saved.checkpoint_id, None, None, dry_run=False)
    visitor = (await bench.sessions.create(None)).session.session_id
    await bench.documents.open(Actor(session_id=visitor), "form", {})
    return Visits({first.session_id, over.session_id, lent.session.session_id}, {over.session_id})


def worked_on(place: Path) -> tuple[Path, Visits]:
    path = place / "worked-on.db"
    store = BlockingSqliteStore(f"sqlite:///{path}")
    drive(store.open())
    visits = drive(_work(Bench(store, FakeClock(), SeededRandom(1))))
    drive(store.close())
    return path, visits


def test_in_what_was_only_worked_on_there_is_nothing_to_find(tmp_path: Path) -> None:
    path, visits = worked_on(tmp_path)
    looked = look(path, [visits])
    assert looked.faults == []
    assert (looked.streams, looked.events > 10) == (8, True)


FORGED = [
    ("DELETE FROM documents", "document_devices of a document that is not there"),
    ("DELETE FROM documents", "changes of a document that is not there"),
    ("DELETE FROM documents", "refers to nothing in documents"),
    ("DELETE FROM log_bases", "a document whose log begins nowhere"),
    ("DELETE FROM sessions WHERE user_id IS NULL", "a document of a session that is not there"),
    ("DELETE FROM sessions WHERE user_id IS NULL", "events of a session that is not there"),
    ("DELETE FROM sessions WHERE authenticated_at IS NULL", "a hand-off that led to a session that is not there"),
    ("UPDATE handoffs SET new_session_id = NULL", "a hand-off that led to a session that is not there"),
    ("UPDATE handoffs SET status = 'confirmed'", "a hand-off that was completed, and not exactly once"),
    ("UPDATE sessions SET platform_id = 'gone'", "a session on a platform that is not its user's"),
    ("UPDATE sessions SET platform_id = 'blog'", "a session on a platform that is not its user's"),
    ("UPDATE platforms SET is_active = 0, is_default = 0", "a live session on a platform that is gone"),
    ("UPDATE platforms SET is_default = 0", "a user with active platforms and not exactly one default"),
    ("UPDATE platforms SET is_active = 0", "an inactive default"),
    ("UPDATE sessions SET idle_expires_at = absolute_expires_at + 1", "an idle deadline behind the absolute one"),
    ("UPDATE sessions SET ended_at = created_at WHERE ended_at IS NULL", "a session that ended, and not exactly once"),
    ("UPDATE sessions SET ended_at = NULL", "a session that ended, and not exactly once"),
    ("UPDATE sessions SET ended_at = NULL", "was acknowledged, and it is live"),
    ("DELETE FROM sessions", "was acknowledged and is not there"),
    ("UPDATE documents SET generation = generation + 1", "another number of restores than it was restored"),
    ("DELETE FROM audit_events WHERE type = 'session_created'", "a session that did not begin exactly once"),
    ("DELETE FROM audit_events WHERE type = 'session_created'", "position 1 is missing"),
    ("DELETE FROM audit_events WHERE type = 'document_created'", "a document that was not made exactly once"),
    ("DELETE FROM audit_events WHERE type = 'session_ended'", "ends at position 1 and not at 2"),
    ("UPDATE audit_events SET at = at + 1 WHERE position = 1", "it is not as it was written"),
    ("UPDATE audit_streams SET position = position + 1", "as its chain says"),
    ("DELETE FROM audit_streams WHERE stream = 'user:ada'", "events of a stream without a chain: user:ada"),
]


@pytest.mark.parametrize(("statement", "fault"), FORGED, ids=[f"{fault}, by {sql}" for sql, fault in FORGED])
def test_what_is_forged_is_found(statement: str, fault: str, tmp_path: Path) -> None:
    path, visits = worked_on(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(statement)
    found = look(path, [visits]).faults
    assert [it for it in found if fault in it], found
