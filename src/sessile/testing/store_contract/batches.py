"""A batch of changes: what a transaction holds, what it reads around that, what it writes; and what a process remembers for the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from sessile.model.batch import Progress
from sessile.model.document import Document, LoggedChange, Submission, Verdict
from sessile.model.errors import StoreUnavailable, VersionConflict
from sessile.model.session import EndReason, Session
from sessile.ports import Transaction
from sessile.testing.lab import ADA, PHONE, Bench, Lab, change, put
from sessile.testing.store_contract.base import Contract

NOTHING = "01900000-0000-7000-8000-000000000000"


class BatchContract(Contract):
    """Many documents in one transaction, by one device or several."""

    async def test_a_batch_writes_each_of_its_documents(self, lab: Lab) -> None:
        bench = await lab.open()
        ids = [(await bench.documents.open(ADA, f"d{n}", {"n": 0})).document.document_id for n in range(5)]
        for seq in (1, 2):
            batch = [Submission(key, [change(ADA, seq, seq - 1, put("/n", n + seq))], ADA) for n, key in enumerate(ids)]
            outcomes = await bench.changes.submit(batch)
            assert [outcome.document_id for outcome in outcomes] == ids
            assert {outcome.logged[0].version for outcome in outcomes} == {seq}
        for n, document_id in enumerate(ids):
            assert (await bench.documents.get(ADA, document_id)).state == {"n": n + 2}
            device = await bench.store.read(lambda tx, key=document_id: tx.documents.device(key, ADA.device_id or ""))
            assert device is not None
            assert (device.last_seq, device.is_primary) == (2, True)

    async def test_what_a_transaction_holds(self, lab: Lab) -> None:
        bench = await lab.open()
        live, over = (await bench.sessions.create("ada")).session, (await bench.sessions.create("ada")).session
        await bench.sessions.end(over.session_id, EndReason.LOGOUT)
        document = (await bench.document({"a": 1})).document
        ids = sorted([live.session_id, over.session_id])
        sessions, documents = await bench.store.write(
            lambda tx: tx.hold([*ids, NOTHING], [document.document_id, NOTHING], with_state=True)
        )
        assert sessions.keys() == set(ids)
        assert sessions[live.session_id].expires_at == live.expires_at
        assert (sessions[over.session_id].ended_at, sessions[over.session_id].end_reason) == (
            lab.clock.now(),
            EndReason.LOGOUT,
        )
        assert documents == {document.document_id: document}
        sessions, documents = await bench.store.write(lambda tx: tx.hold([], [document.document_id], with_state=False))
        assert sessions == {}
        assert replace(documents[document.document_id], state={}) == replace(document, state={})

    async def test_what_lies_around_documents(self, lab: Lab) -> None:
        bench = await lab.open()
        first = (await bench.document({})).document.document_id
        other = (await bench.documents.open(PHONE, "other", {})).document.document_id
        await bench.document(actor=PHONE)
        await bench.take(ADA, first, 1, 0, put("/a", 1))
        collided = await bench.take(PHONE, first, 1, 0, put("/a", 2))
        await bench.take(ADA, first, 2, 2, put("/b", 1))
        around = await bench.store.read(lambda tx: tx.documents.surroundings({first: 1, other: None}))
        assert [line.version for line in around[first].log] == [2, 3]
        assert [device.device_id for device in around[first].devices] == [ADA.device_id, PHONE.device_id]
        assert list(around[first].conflicts) == list(collided.conflicts)
        assert (list(around[other].log), list(around[other].conflicts)) == ([], [])
        assert [device.device_id for device in around[other].devices] == [PHONE.device_id]
        assert await bench.store.read(lambda tx: tx.documents.surroundings({})) == {}

    @pytest.mark.parametrize("clash", ["version", "seq", "key"])
    async def test_a_change_that_is_in_the_log_already_leaves_nothing_of_its_batch(self, lab: Lab, clash: str) -> None:
        bench = await lab.open()
        document = (await bench.document({"a": 0})).document
        first = _line(document, 1, seq=1, key="key")
        await bench.store.write(lambda tx: tx.documents.record([_progress(document, first)]))
        again = {
            "version": _line(document, 1, seq=2, key=None),
            "seq": _line(document, 2, seq=1, key=None),
            "key": _line(document, 2, seq=None, key="key"),
        }[clash]
        with pytest.raises(VersionConflict):
            await bench.store.write(lambda tx: tx.documents.record([_progress(document, again)]))
        log = await bench.store.read(lambda tx: tx.documents.changes(document.document_id, after=0))
        assert [line.version for line in log] == [1]
        assert (await bench.documents.get(ADA, document.document_id)).version == 1
        await bench.store.write(lambda tx: tx.documents.record([]))

    async def test_what_another_process_did_is_noticed_at_the_next_change(self, lab: Lab) -> None:
        self.shared_only()
        here, there = await lab.open(), await lab.open()
        document_id = (await here.document({"a": 0, "b": 0})).document.document_id
        await here.document(actor=PHONE)
        await here.take(ADA, document_id, 1, 0, put("/a", 1))
        await there.take(PHONE, document_id, 1, 1, put("/a", 2))
        late = await here.take(ADA, document_id, 2, 1, put("/b", 1), put("/a", 3))
        assert late.version == 3
        assert [(conflict.path, conflict.loser) for conflict in late.conflicts] == [("/a", 2)]
        assert (await there.documents.get(ADA, document_id)).state == {"a": 3, "b": 1}
        assert (await there.take(PHONE, document_id, 2, 3, put("/b", 2))).version == 4

    async def test_what_was_rolled_back_is_not_remembered(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"a": 0})).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/a", 1))
        write = bench.store.write

        def spoiled(work: object, tx: Transaction, *args: object) -> object:
            work(tx, *args)  # type: ignore[operator]
            raise StoreUnavailable

        bench.store.write = lambda work, *args: write(partial(spoiled, work), *args)  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await bench.take(ADA, document_id, 2, 1, put("/a", 2))
        bench.store.write = write  # type: ignore[method-assign]
        assert (await bench.take(ADA, document_id, 2, 1, put("/b", 3))).version == 2
        assert (await bench.documents.get(ADA, document_id)).state == {"a": 1, "b": 3}

    async def test_another_document_of_the_same_version_is_not_taken_for_the_one_that_is_remembered(
        self, lab: Lab
    ) -> None:
        bench = await lab.open()
        document = (await bench.document({"a": 0})).document
        await bench.take(ADA, document.document_id, 1, 0, put("/a", 1))
        await bench.store.write(partial(_from_a_backup, document, lab))
        assert (await bench.take(ADA, document.document_id, 2, 1, put("/b", 2))).version == 2
        assert (await bench.documents.get(ADA, document.document_id)).state == {"a": "of the backup", "b": 2}

    async def test_touches_together_each_follow_their_own_row(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = [await bench.sessions.create(f"user {n}") for n in range(4)]
        lab.clock.advance(300)
        seen = [bench.sessions.touched(one.session) for one in issued]
        await bench.sessions.end(issued[1].session.session_id, EndReason.LOGOUT)
        rotated = (await bench.sessions.rotate(issued[2].session.session_id)).session
        await bench.sessions.touch([session for session in seen if session is not None])
        rows = await _rows(bench, [one.session.session_id for one in issued])
        moved = lab.clock.now()
        assert [row.last_seen_at for row in rows] == [moved, issued[1].session.last_seen_at, moved, moved]
        assert [row.token_seen_at for row in rows] == [moved, None, None, moved], "a newer token was not seen by that"
        assert rows[2].token_hash == rotated.token_hash
        await bench.sessions.touch([])


async def _rows(bench: Bench, handles: list[str]) -> list[Session]:
    found = await bench.store.read(lambda tx: tx.sessions.get_many(handles))
    return [found[handle] for handle in handles]


def _progress(document: Document, line: LoggedChange) -> Progress:
    moved = replace(document, version=line.version, state={"a": line.version}, state_version=line.version)
    return Progress(moved, True, [line], [], [])


def _line(document: Document, version: int, *, seq: int | None, key: str | None) -> LoggedChange:
    return LoggedChange(
        document_id=document.document_id,
        version=version,
        generation=0,
        base_version=version - 1,
        operations=[put("/a", version)],
        verdict=Verdict.APPLIED,
        device_id=None if seq is None else ADA.device_id,
        device_no=1,
        seq=seq,
        idempotency_key=key,
        created_at=document.created_at,
    )


def _from_a_backup(document: Document, lab: Lab, tx: Transaction) -> None:
    other = lab.clock.now() + timedelta(seconds=1)
    row = replace(document, version=1, state_version=1, state={"a": "of the backup"}, updated_at=other)
    tx.documents.update([row], with_state=[True])
