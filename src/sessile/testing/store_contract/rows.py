"""Rows that engines rely on: counts, values of the installation, lists of users and of what is over, removal, and the database itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from sessile.model.census import Census
from sessile.model.document import CheckpointKind, Owner
from sessile.model.errors import ConfigurationError, SessionCreationError
from sessile.model.session import EndReason, Session
from sessile.ports import Store, Transaction
from sessile.testing.lab import ADA, EVE, IDLE_TIMEOUT_S, PHONE, Bench, Lab, put, succeeded
from sessile.testing.store_contract.base import Contract

WINDOW = timedelta(seconds=60)


class RowContract(Contract):
    """What is not a verb of anybody's, but promised by `sessile.ports`."""

    async def test_what_is_counted_is_forgotten_after_its_window(self, lab: Lab) -> None:
        bench = await lab.open()
        assert [await _count(bench, lab, "a") for _ in range(3)] == [1, 2, 3]
        assert await _count(bench, lab, "b") == 1
        lab.clock.advance(59.999999)
        assert await _counted(bench, lab, "a") == 3
        assert await _count(bench, lab, "a") == 4, "the window opened with the first"
        lab.clock.advance(0.000001)
        assert [await _counted(bench, lab, key) for key in ("a", "b", "c")] == [0, 0, 0]
        assert await _count(bench, lab, "a") == 1
        assert await bench.store.write(_forget_counts, lab, 10) == 1
        assert await _counted(bench, lab, "a") == 1
        for key in ("c", "d", "e"):
            await _count(bench, lab, key)
        lab.clock.advance(60)
        assert [await bench.store.write(_forget_counts, lab, 3) for _ in range(3)] == [3, 1, 0]

    async def test_counts_at_once_are_exact(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        outcomes = await lab.together(*(partial(_count, (first, second)[n % 2], lab, "a") for n in range(6)))
        assert sorted(succeeded(outcomes)) == [1, 2, 3, 4, 5, 6]

    async def test_a_value_of_the_installation_can_be_replaced_and_removed(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.write(_put_instance, "notice", "one")
        await bench.store.write(_put_instance, "notice", "two")
        assert await bench.store.write(lambda tx: tx.instance("notice", "three")) == "two"
        await bench.store.write(_put_instance, "notice", None)
        assert await bench.store.read(lambda tx: tx.instance("notice")) is None
        await bench.store.write(_put_instance, "notice", None)
        assert await bench.store.write(lambda tx: tx.instance("notice", "three")) == "three"

    async def test_users_with_live_sessions_are_listed_once_in_order(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.sessions.create("expired")
        lab.clock.advance(IDLE_TIMEOUT_S)
        for user_id in ("c", "a", "b", "a", None):
            await bench.sessions.create(user_id)
        over = await bench.sessions.create("ended")
        await bench.sessions.end(over.session.session_id, EndReason.LOGOUT)
        listed = partial(bench.store.read, _live_users, lab)
        assert await listed("", 10) == ["a", "b", "c"]
        assert await listed("", 2) == ["a", "b"]
        assert await listed("b", 2) == ["c"]
        assert await listed("c", 2) == []

    async def test_live_sessions_of_everybody_are_listed_and_counted(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.sessions.create("expired")
        lab.clock.advance(IDLE_TIMEOUT_S - 10)
        early = sorted([(await bench.sessions.create(user_id)).session.session_id for user_id in ("a", None)])
        lab.clock.advance(10)
        late = sorted([(await bench.sessions.create(user_id)).session.session_id for user_id in ("b", "a")])
        over = await bench.sessions.create("ended")
        await bench.sessions.end(over.session.session_id, EndReason.LOGOUT)
        live = partial(bench.store.read, _live_sessions, lab)
        assert await live("", 10) == [*early, *late]
        assert await live("", 3) == [*early, late[0]]
        assert await live(early[1], 10) == late
        counted = await bench.store.read(_census, lab, 2)
        expected = Census(sessions=4, users=2, anonymous=1, active=2, overdue=1, busiest=[("a", 2), ("b", 1)])
        assert counted == expected
        assert (await bench.store.read(_census, lab, 1)).busiest == [("a", 2)]

    async def test_what_is_over_is_listed_from_the_longest_over(self, lab: Lab) -> None:
        bench = await lab.open()
        handles = [(await bench.sessions.create("ada")).session.session_id for _ in range(4)]
        for handle in (handles[2], handles[0], handles[1]):
            await bench.sessions.end(handle, EndReason.LOGOUT)
            lab.clock.advance(10)
        over = partial(bench.store.read, _ended_before, lab)
        assert await over(0, 10) == [handles[2], handles[0], handles[1]]
        assert await over(0, 2) == [handles[2], handles[0]]
        assert await over(-10, 10) == [handles[2], handles[0]], "strictly before"
        await bench.store.write(_delete_sessions, [handles[2], handles[1]])
        assert set(await bench.store.read(_many, handles)) == {handles[0], handles[3]}

    async def test_a_sessions_new_facts_come_back(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create("ada")).session
        now = lab.clock.now()
        changed = replace(session, is_remembered=True, disconnected_at=now, reconnected_at=now + WINDOW)
        await bench.store.write(_update, changed)
        assert await bench.store.read(_many, [session.session_id]) == {session.session_id: changed}

    async def test_several_sessions_are_inserted_or_none(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create("ada")).session
        new = [replace(session, session_id=f"01900000-0000-7000-8000-00000000000{n}", user_id=None) for n in range(3)]
        with pytest.raises(SessionCreationError):
            await bench.store.write(_insert_many, [*new, replace(session, user_id="eve")])
        handles = [one.session_id for one in (*new, session)]
        assert await bench.store.read(_many, handles) == {session.session_id: session}
        await bench.store.write(_insert_many, new)
        await bench.store.write(_insert_many, [])
        assert await bench.store.read(_many, handles) == {one.session_id: one for one in (*new, session)}

    async def test_documents_are_listed_by_their_status(self, lab: Lab) -> None:
        bench = await lab.open()
        ids = {}
        for name in ("a", "b", "c"):
            ids[name] = (await bench.documents.open(ADA, name, {})).document.document_id
            lab.clock.advance(1)
        await bench.documents.open(EVE, "a", {})
        await bench.documents.archive(ADA, ids["b"])
        for status, names in (("active", ["c", "a"]), ("archived", ["b"]), (None, ["c", "b", "a"])):
            found = await bench.store.read(_of_owner, ADA.owner, status)
            assert [document.name for document in found] == names
        assert [document.name for document in await bench.store.read(_of_owner_by_default, ADA.owner)] == ["c", "a"]

    async def test_a_document_is_removed_with_everything_that_belongs_to_it(self, lab: Lab) -> None:
        bench = await lab.open()
        kept, gone = [(await bench.documents.open(ADA, name, {"a": 0})).document.document_id for name in ("k", "g")]
        for document_id in (kept, gone):
            await bench.take(ADA, document_id, 1, 0, put("/a", 1))
            await bench.take(PHONE, document_id, 1, 0, put("/a", 2))
            await bench.checkpoints.create(ADA, document_id, "", CheckpointKind.MANUAL, None, None)
        before = await bench.store.read(_parts, kept)
        await bench.store.write(_delete_documents, [gone, "01900000-0000-7000-8000-000000000000"])
        assert await bench.store.read(_parts, gone) == (None, [], [], [], [], None)
        assert await bench.store.read(_parts, kept) == before
        assert [len(part) for part in before[1:5]] == [2, 2, 1, 1]
        assert (await bench.documents.open(ADA, "g", {"new": 1})).created

    async def test_the_database_is_the_applications_too(self, lab: Lab) -> None:
        bench = await lab.open()
        if bench.store.pool() is None:
            with pytest.raises(ConfigurationError):
                await bench.store.transact(lambda _connection: None)
            return
        assert await bench.store.transact(_make_table) == 1
        with pytest.raises(LookupError):
            await bench.store.transact(_insert_and_fail)
        assert await bench.store.transact(_rows_of_table) == [1], "an error rolls back"
        other: Store = (await lab.open()).store if self.is_shared else bench.store
        assert await other.transact(_rows_of_table) == [1]

    async def test_the_connections_are_counted(self, lab: Lab) -> None:
        bench = await lab.open()
        pool = bench.store.pool()
        if pool is None:
            return
        assert (pool.in_use, pool.size <= pool.size_max) == (0, True)
        during = await bench.store.transact(lambda _connection: bench.store.pool())
        assert during is not None
        assert (during.in_use, during.size_max) == (1, pool.size_max)


async def _count(bench: Bench, lab: Lab, key: str) -> int:
    return await bench.store.write(lambda tx: tx.count(key, lab.clock.now(), WINDOW))


async def _counted(bench: Bench, lab: Lab, key: str) -> int:
    return await bench.store.read(lambda tx: tx.counted(key, lab.clock.now()))


def _forget_counts(tx: Transaction, lab: Lab, limit: int) -> int:
    return tx.forget_counts(lab.clock.now(), limit)


def _put_instance(tx: Transaction, key: str, value: str | None) -> None:
    tx.put_instance(key, value)


def _live_users(tx: Transaction, lab: Lab, after: str, limit: int) -> list[str]:
    return tx.sessions.live_users(lab.clock.now(), after, limit)


def _live_sessions(tx: Transaction, lab: Lab, after: str, limit: int) -> list[str]:
    return [session.session_id for session in tx.sessions.live(lab.clock.now(), after=after, limit=limit)]


def _census(tx: Transaction, lab: Lab, busiest: int) -> Census:
    now = lab.clock.now()
    return tx.sessions.census(now, now - timedelta(seconds=5), busiest)


def _ended_before(tx: Transaction, lab: Lab, seconds: float, limit: int) -> list[str]:
    moment = lab.clock.now() + timedelta(seconds=seconds)
    return [session.session_id for session in tx.sessions.ended_before(moment, limit)]


def _delete_sessions(tx: Transaction, handles: list[str]) -> None:
    tx.sessions.delete(handles)


def _update(tx: Transaction, session: Session) -> None:
    tx.sessions.update(session)


def _insert_many(tx: Transaction, sessions: list[Session]) -> None:
    tx.sessions.insert_many(sessions)


def _many(tx: Transaction, handles: list[str]) -> dict[str, Session]:
    return tx.sessions.get_many(handles)


def _of_owner(tx: Transaction, owner: Owner, status: str | None) -> list[Any]:
    return tx.documents.of_owner(owner, status=status)


def _of_owner_by_default(tx: Transaction, owner: Owner) -> list[Any]:
    return tx.documents.of_owner(owner)


def _delete_documents(tx: Transaction, document_ids: list[str]) -> None:
    tx.documents.delete(document_ids)


def _parts(tx: Transaction, document_id: str) -> tuple[Any, ...]:
    rows = tx.documents
    return (
        rows.get(document_id),
        rows.changes(document_id, after=0),
        rows.devices(document_id),
        rows.open_conflicts(document_id),
        rows.checkpoints(document_id),
        rows.log_base(document_id),
    )


def _make_table(connection: Any) -> int:
    connection.execute(text("CREATE TABLE shopping (item INTEGER)"))
    return int(connection.execute(text("INSERT INTO shopping VALUES (1)")).rowcount)


def _insert_and_fail(connection: Any) -> None:
    connection.execute(text("INSERT INTO shopping VALUES (2)"))
    raise LookupError("changed its mind")


def _rows_of_table(connection: Any) -> list[int]:
    return list(connection.execute(text("SELECT item FROM shopping")).scalars())
