"""What is forgotten and when, in bounded batches, with everything that belongs to it and nothing else."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from sessile.model.document import Actor, CheckpointKind
from sessile.model.errors import CheckpointNotFound, DocumentNotFound, HandoffRefused, SessionNotFound
from sessile.model.session import EndReason
from sessile.ports import Transaction
from sessile.testing.lab import ADA, PHONE, RETENTION, Bench, Lab, put
from sessile.testing.store_contract.base import Contract
from sessile.testing.store_contract.handoffs import WRONG, offer, redeem

BATCH = RETENTION.batch
ENDED_S = RETENTION.ended.total_seconds()
AUDIT_S = RETENTION.audit.total_seconds()
DAY_S = 86_400.0
INSTANT_S = 0.000001


class RetentionContract(Contract):
    """Sessions, audit events, checkpoints, hand-offs, counts."""

    async def test_sessions_are_forgotten_when_they_ended_long_enough_ago(self, lab: Lab) -> None:
        bench = await lab.open()
        handles = [(await bench.sessions.create("ada")).session.session_id for _ in range(BATCH + 1)]
        for handle in handles:
            await bench.sessions.end(handle, EndReason.LOGOUT)
        expired = (await bench.sessions.create("ada")).session.session_id
        lab.clock.advance(ENDED_S)
        assert await bench.retention.forget_sessions() == 0, "strictly longer ago"
        await bench.sessions.sweep(10)
        live = (await bench.sessions.create("ada")).session.session_id
        lab.clock.advance(INSTANT_S)
        assert [await bench.retention.forget_sessions() for _ in range(3)] == [BATCH, 1, 0]
        for handle in handles:
            with pytest.raises(SessionNotFound):
                await bench.sessions.get(handle)
        kept = await bench.store.read(lambda tx: tx.sessions.get_many([*handles, expired, live]))
        assert set(kept) == {expired, live}, "what expired long ago ended when it was swept"
        told = [event.data for event in await bench.audit("system") if event.type == "sessions_forgotten"]
        assert [(data["sessions"], data["documents"], data["streams"]) for data in told] == [(BATCH, 0, 0), (1, 0, 0)]
        assert [e.type for e in await bench.audit(f"session:{handles[0]}")] == ["session_created", "session_ended"]

    async def test_those_longest_over_go_first(self, lab: Lab) -> None:
        bench = await lab.open()
        handles = [(await bench.sessions.create("ada")).session.session_id for _ in range(BATCH + 1)]
        for handle in reversed(handles):
            await bench.sessions.end(handle, EndReason.LOGOUT)
            lab.clock.advance(1)
        lab.clock.advance(ENDED_S)
        assert await bench.retention.forget_sessions() == BATCH
        assert set(await bench.store.read(lambda tx: tx.sessions.get_many(handles))) == {handles[0]}

    async def test_documents_of_an_anonymous_session_go_with_it(self, lab: Lab) -> None:
        bench = await lab.open()
        ada = (await bench.document({"mine": True})).document.document_id
        session = (await bench.sessions.create(None)).session
        visitor = Actor(session_id=session.session_id, device_id=PHONE.device_id)
        gone = [await _worked_on(bench, visitor, name) for name in ("form", "archived")]
        await bench.documents.archive(visitor, gone[1])
        await bench.sessions.end(session.session_id, EndReason.REVOKED)
        lab.clock.advance(ENDED_S + 1)
        assert await bench.retention.forget_sessions() == 1
        for document_id in gone:
            with pytest.raises(DocumentNotFound):
                await bench.documents.get(Actor.system(), document_id)
            assert await bench.store.read(_what_is_left, document_id) == [None, None, [], [], [], [], None]
        assert (await bench.documents.get(ADA, ada)).state == {"mine": True}
        told = (await bench.audit("system"))[-1]
        assert (told.type, told.data["sessions"], told.data["documents"]) == ("sessions_forgotten", 1, 2)
        assert (await bench.audit(f"document:{gone[0]}"))[0].type == "document_created"
        assert (await bench.audits.verify(None)).faults == []

    async def test_what_a_user_has_claimed_stays(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create(None)).session
        document_id = await _worked_on(bench, Actor(session_id=session.session_id, device_id=PHONE.device_id), "form")
        await bench.sessions.login(session.session_id, "ada")
        await bench.sessions.end(session.session_id, EndReason.LOGOUT)
        lab.clock.advance(ENDED_S + 1)
        assert await bench.retention.forget_sessions() == 1
        assert (await bench.documents.get(ADA, document_id)).state == {"a": 2}

    async def test_old_audit_events_go_and_the_rest_verifies(self, lab: Lab) -> None:
        bench = await lab.open()
        for number in range(3):
            await bench.principals.change("ada", {"n": number}, None)
        lab.clock.advance(AUDIT_S)
        await bench.principals.change("ada", {"n": 3}, None)
        assert await bench.retention.forget_audit() == 0, "strictly older"
        lab.clock.advance(INSTANT_S)
        assert [await bench.retention.forget_audit() for _ in range(2)] == [3, 0]
        assert [event.position for event in await bench.audit("user:ada")] == [4]
        report = await bench.audits.verify(None)
        assert (report.streams, report.events, report.faults) == (2, 2, [])
        told = (await bench.audit("system"))[-1]
        assert (told.type, told.data["events"], told.data["streams"]) == ("audit_forgotten", 3, 0)
        assert told.data["digest"] == hashlib.sha256().hexdigest()
        await bench.principals.change("ada", {"n": 4}, None)
        assert (await bench.audits.verify("user:ada")).faults == []

    async def test_chains_of_what_is_gone_are_closed_with_a_digest(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create(None)).session
        document_id = await _worked_on(bench, Actor(session_id=session.session_id, device_id=PHONE.device_id), "form")
        live = await bench.sessions.create("eve")
        await bench.sessions.end(session.session_id, EndReason.LOGOUT)
        chains = await bench.store.read(lambda tx: tx.audit_streams())
        lab.clock.advance(ENDED_S + 1)
        await bench.retention.forget_sessions()
        lab.clock.advance(AUDIT_S - ENDED_S)
        assert await bench.retention.forget_audit() == 4
        left = {chain.stream: chain for chain in await bench.store.read(lambda tx: tx.audit_streams())}
        assert set(left) == {f"session:{live.session.session_id}", "system"}
        assert left[f"session:{live.session.session_id}"].base_position == 1, "it could still be written to"
        closed = [c for c in chains if c.stream in (f"document:{document_id}", f"session:{session.session_id}")]
        whole = hashlib.sha256()
        for chain in sorted(closed, key=lambda chain: chain.stream):
            whole.update(f"{chain.stream}\0{chain.position}\0".encode() + chain.hash)
        told = (await bench.audit("system"))[-1].data
        assert told == {"events": 4, "streams": 2, "digest": whole.hexdigest()}
        assert (await bench.audits.verify(None)).faults == []

    async def test_a_chain_that_is_empty_already_goes_with_its_session(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create(None)).session
        document_id = await _worked_on(bench, Actor(session_id=session.session_id, device_id=PHONE.device_id), "form")
        await bench.sessions.end(session.session_id, EndReason.LOGOUT)
        lab.clock.advance(AUDIT_S + 1)
        assert await bench.retention.forget_audit() == 3
        assert len(await bench.store.read(lambda tx: tx.audit_streams())) == 3, "its rows are there"
        assert await bench.retention.forget_sessions() == 1
        assert (await bench.audit("system"))[-1].data["streams"] == 2
        left = {chain.stream for chain in await bench.store.read(lambda tx: tx.audit_streams())}
        assert left == {"system"}, f"nothing would ever name the chain of {document_id} again"

    async def test_audit_events_go_from_so_many_chains_at_a_time(self, lab: Lab) -> None:
        bench = await lab.open()
        for number in range(BATCH + 1):
            await bench.principals.change(f"user{number}", None, ["a"])
        lab.clock.advance(AUDIT_S + 1)
        assert [await bench.retention.forget_audit() for _ in range(3)] == [BATCH, 1, 0]

    async def test_passing_checkpoints_go_by_their_age(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"a": 1})).document.document_id
        manual = await bench.checkpoints.create(ADA, document_id, "", CheckpointKind.MANUAL, None, None)
        for seq in range(1, BATCH + 3):
            await bench.take(ADA, document_id, seq, seq - 1, put("/a", seq + 1))
            assert await bench.checkpoints.automatic(timedelta(days=1), 10) == 1
            lab.clock.advance(1)
        listed = await bench.checkpoints.list(ADA, document_id)
        assert RETENTION.checkpoints is not None
        lab.clock.advance(RETENTION.checkpoints.total_seconds() - 1)
        assert [await bench.retention.forget_passing() for _ in range(3)] == [BATCH, 1, 0], "strictly older"
        assert await bench.checkpoints.list(ADA, document_id) == [listed[0], listed[-1]]
        lab.clock.advance(1)
        assert [await bench.retention.forget_passing() for _ in range(2)] == [1, 0]
        assert [c.checkpoint_id for c in await bench.checkpoints.list(ADA, document_id)] == [manual.checkpoint_id]
        with pytest.raises(CheckpointNotFound):
            await bench.checkpoints.restore(ADA, document_id, listed[0].checkpoint_id, None, None, dry_run=True)

    async def test_hand_offs_and_counts_go_when_they_are_over(self, lab: Lab) -> None:
        bench = await lab.open()
        handoffs = [(await offer(bench))[1].handoff for _ in range(BATCH + 1)]
        for number in range(BATCH + 1):
            with pytest.raises(HandoffRefused):
                await bench.handoffs.redeem(WRONG, None, f"address {number}")
        lab.clock.set(handoffs[0].expires_at)
        assert [await bench.retention.forget_passing() for _ in range(3)] == [BATCH, 1, 0], "counts, in their window"
        lab.clock.advance(DAY_S)
        assert await bench.retention.forget_passing() == 0, "a day later, strictly"
        lab.clock.advance(INSTANT_S)
        _, later, _ = await redeem(bench)
        assert [await bench.retention.forget_passing() for _ in range(3)] == [BATCH, 1, 0]
        left = [await bench.store.read(_handoff, row.handoff_id) for row in handoffs]
        assert left == [None] * (BATCH + 1)
        assert await bench.store.read(_handoff, later.handoff.handoff_id) is not None


async def _worked_on(bench: Bench, visitor: Actor, name: str) -> str:
    """A document with a change, a conflict, a checkpoint and two devices."""
    document_id = (await bench.documents.open(visitor, name, {"a": 0})).document.document_id
    other = Actor(session_id=visitor.session_id, device_id=ADA.device_id)
    await bench.take(visitor, document_id, 1, 0, put("/a", 1))
    await bench.take(other, document_id, 1, 0, put("/a", 2))
    assert len(await bench.documents.conflicts(visitor, document_id)) == 1
    await bench.checkpoints.create(visitor, document_id, "", CheckpointKind.MANUAL, None, "request")
    return document_id


def _what_is_left(tx: Transaction, document_id: str) -> list[object]:
    rows = tx.documents
    return [
        rows.get(document_id),
        rows.log_base(document_id),
        rows.changes(document_id, after=0),
        rows.devices(document_id),
        rows.open_conflicts(document_id),
        rows.checkpoints(document_id),
        rows.checkpoint_by_request(document_id, "request"),
    ]


def _handoff(tx: Transaction, handoff_id: str) -> object:
    return tx.handoffs.get(handoff_id)
