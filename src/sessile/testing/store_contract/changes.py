"""Changes of devices: sequences without gaps, durable verdicts, repetitions, batches, and writers that are no device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sessile.model.canonical import state_hash
from sessile.model.document import Actor, CheckpointKind, DocumentDevice, Submission, Verdict
from sessile.model.errors import ChangeRejected, IdentityReused, SequenceGap, SessionEnded, SessionExpired
from sessile.model.limits import DEPTH_MAX, HASH_EVERY_VERSIONS, NUMBER_MAX, STATE_BYTES_MAX
from sessile.model.session import EndReason
from sessile.testing.lab import ADA, EVE, PHONE, Lab, change, put, remove
from sessile.testing.shows import shows
from sessile.testing.store_contract.base import Contract

ITEMS = {"l": [{"id": "a"}, {"id": "b"}], "n": 5, "o": {"x": 1}, "s": "text"}
EFFECTS: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    (put("/o/y", None), {"o": {"x": 1, "y": None}}),
    (put("/new/deep", [1]), {"new": {"deep": [1]}}),
    (put("", {"l": [], "n": 0, "o": 1, "s": 2}), {"l": [], "n": 0, "o": 1, "s": 2}),
    (remove("/o/x"), {"o": {}}),
    ({"op": "merge", "path": "/o", "value": {"x": None, "z": {"k": None, "v": 1}}}, {"o": {"z": {"v": 1}}}),
    ({"op": "increment", "path": "/n", "by": -1.5}, {"n": 3.5}),
    ({"op": "increment", "path": "/m", "by": 2}, {"m": 2}),
    ({"op": "max", "path": "/n", "value": 9}, {"n": 9}),
    ({"op": "min", "path": "/n", "value": 2}, {"n": 2}),
    ({"op": "append", "path": "/l", "item": {"id": "c"}}, {"l": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}),
    ({"op": "insert", "path": "/l", "item": {"id": 7}, "after": None}, {"l": [{"id": 7}, {"id": "a"}, {"id": "b"}]}),
    ({"op": "insert", "path": "/l", "item": {"id": 7}, "after": "a"}, {"l": [{"id": "a"}, {"id": 7}, {"id": "b"}]}),
    ({"op": "move", "path": "/l", "id": "b", "after": None}, {"l": [{"id": "b"}, {"id": "a"}]}),
    ({"op": "remove_item", "path": "/l", "id": "a"}, {"l": [{"id": "b"}]}),
    ({"op": "test", "path": "/n", "equals": 5}, {}),
]
DEEP: dict[str, Any] = {}
for _ in range(DEPTH_MAX - 1):
    DEEP = {"d": DEEP}
FAULTS: list[tuple[str, Mapping[str, Any]]] = [
    ("not_an_object", put("/s/x", 1)),
    ("path_in_list", put("/l/0", 1)),
    ("path_in_list", remove("/l/a/b")),
    ("not_a_number", {"op": "increment", "path": "/s", "by": 1}),
    ("not_a_number", {"op": "max", "path": "/o", "value": 1}),
    ("number_out_of_range", {"op": "increment", "path": "/n", "by": NUMBER_MAX}),
    ("not_a_list", {"op": "append", "path": "/o", "item": {"id": 1}}),
    ("too_deep", put("/o/x", DEEP)),
    ("conflict_not_found", {"op": "resolve", "conflict_id": "unknown", "choice": "mine"}),
]


class ChangeContract(Contract):
    """Submissions and changes by server code."""

    @shows("I02")
    @pytest.mark.parametrize(("operation", "effect"), EFFECTS, ids=lambda value: value.get("op", ""))
    async def test_an_operation_has_its_effect(
        self, lab: Lab, operation: Mapping[str, Any], effect: Mapping[str, Any]
    ) -> None:
        bench = await lab.open()
        document_id = (await bench.document(ITEMS)).document.document_id
        logged = await bench.take(ADA, document_id, 1, 0, operation)
        assert logged.verdict is (Verdict.APPLIED if effect else Verdict.NOOP)
        document = await bench.documents.get(ADA, document_id)
        assert (document.version, document.state) == (1, {**ITEMS, **effect})
        stored = await bench.store.read(lambda tx: tx.documents.changes(document_id, after=0))
        assert [(c.version, c.seq, c.device_no, list(c.operations)) for c in stored] == [(1, 1, 1, logged.operations)]

    @pytest.mark.parametrize(("code", "operation"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
    async def test_a_fault_is_a_durable_verdict_and_leaves_the_state(
        self, lab: Lab, code: str, operation: Mapping[str, Any]
    ) -> None:
        bench = await lab.open()
        document_id = (await bench.document(ITEMS)).document.document_id
        logged = await bench.take(ADA, document_id, 1, 0, put("/first", 1), operation, put("/last", 1))
        assert (logged.verdict, logged.version) == (Verdict.REJECTED, 1)
        assert logged.detail is not None
        assert logged.detail["code"] == code
        document = await bench.documents.get(ADA, document_id)
        assert (document.version, document.state) == (1, ITEMS), "a change is atomic; its verdict uses up a version"
        assert (await bench.take(ADA, document_id, 2, 1, put("/a", 1))).version == 2
        again = await bench.take(ADA, document_id, 1, 0, put("/first", 1), operation, put("/last", 1))
        assert (again.verdict, again.detail) == (logged.verdict, logged.detail)

    async def test_a_repetition_gets_the_stored_verdict(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        count = {"op": "increment", "path": "/n", "by": 1}
        first = await bench.take(ADA, document_id, 1, 0, count)
        bench.told.clear()
        assert (await bench.take(ADA, document_id, 1, 0, count)).version == first.version
        outcome = await bench.send(ADA, document_id, change(ADA, 1, 0, count), change(ADA, 2, 1, count))
        assert [(c.seq, c.version) for c in outcome.logged] == [(1, 1), (2, 2)]
        outcome = await bench.send(ADA, document_id, change(ADA, 3, 2, count), change(ADA, 3, 2, count))
        assert [(c.seq, c.version) for c in outcome.logged] == [(3, 3), (3, 3)], "also within one submission"
        assert (await bench.documents.get(ADA, document_id)).state == {"n": 3}
        assert [len(event.changes) for event in bench.told] == [1, 1]

    async def test_a_gap_is_refused_with_the_number_to_go_on_with(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        outcome = await bench.send(
            ADA, document_id, change(ADA, 1, 0, put("/a", 1)), change(ADA, 3, 1, put("/a", 3)), change(ADA, 2, 1, put("/a", 2))
        )  # fmt: skip
        assert isinstance(outcome.error, SequenceGap)
        assert outcome.error.expected_seq == 2
        assert [c.seq for c in outcome.logged] == [1], "what came before the gap stays"
        assert (await bench.documents.get(ADA, document_id)).state == {"a": 1}

    async def test_a_number_used_for_something_else_is_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/a", 1))
        with pytest.raises(IdentityReused) as caught:
            await bench.take(ADA, document_id, 1, 0, put("/a", 2))
        assert caught.value.expected_seq == 2
        assert (await bench.documents.get(ADA, document_id)).state == {"a": 1}
        assert (await bench.take(PHONE, document_id, 1, 1, put("/b", 2))).seq == 1, "another device counts for itself"

    async def test_a_repetition_of_a_number_that_was_compacted_away_is_known(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document()
        device = DocumentDevice(
            document_id=opened.document.document_id,
            device_id=ADA.device_id or "",
            device_no=1,
            last_seq=7,
            last_active_at=lab.clock.now(),
        )
        await bench.store.write(lambda tx: tx.documents.put_devices([device]))
        logged = await bench.take(ADA, opened.document.document_id, 3, 0, put("/a", 1))
        assert (logged.verdict, logged.detail and logged.detail["code"]) == (Verdict.NOOP, "known")
        assert (await bench.documents.get(ADA, opened.document.document_id)).version == 0

    @shows("G06")
    async def test_the_device_that_wrote_last_is_the_primary_one(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document()
        await bench.document(actor=PHONE)
        document_id = opened.document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/a", 1))
        await bench.take(PHONE, document_id, 1, 1, put("/a", 2))
        await bench.take(PHONE, document_id, 2, 2, put("/a", 3))
        devices = await bench.store.read(lambda tx: tx.documents.devices(document_id))
        assert [(d.device_no, d.last_seq, d.is_primary) for d in devices] == [(1, 1, False), (2, 2, True)]

    async def test_a_batch_is_judged_in_its_order_and_one_poor_submission_does_not_harm_the_others(
        self, lab: Lab
    ) -> None:
        bench = await lab.open()
        form = (await bench.document()).document.document_id
        other = (await bench.documents.open(ADA, "other", {})).document.document_id
        batch = [
            Submission(form, [change(ADA, 1, 0, put("/a", 1))], ADA),
            Submission(form, [change(EVE, 1, 0, put("/a", 2))], EVE),
            Submission(other, [change(ADA, 5, 0, put("/a", 3))], ADA),
            Submission(form, [change(PHONE, 1, 0, put("/b", 4))], PHONE),
            Submission(other, [change(ADA, 1, 0, put("/a", 5))], ADA),
        ]
        bench.told.clear()
        outcomes = await bench.changes.submit(batch)
        assert [[c.version for c in outcome.logged] for outcome in outcomes] == [[1], [], [], [2], [1]]
        assert [type(outcome.error).__name__ for outcome in outcomes] == [
            "NoneType", "DocumentNotFound", "SequenceGap", "NoneType", "NoneType",
        ]  # fmt: skip
        assert sorted((event.key, len(event.changes)) for event in bench.told) == sorted([(form, 2), (other, 1)])

    async def test_a_submission_without_changes_has_no_verdicts(self, lab: Lab) -> None:
        bench = await lab.open()
        outcome = await bench.send(ADA, (await bench.document()).document.document_id)
        assert (list(outcome.logged), outcome.error) == ([], None)

    async def test_a_session_that_is_over_writes_nothing(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        ended, expired = [(await bench.sessions.create("ada")).session for _ in range(2)]
        for session in (ended, expired):
            actor = replace(ADA, session_id=session.session_id)
            assert (await bench.take(actor, document_id, 1, 0, put("/a", 1))).session_id == ended.session_id
        await bench.sessions.end(ended.session_id, EndReason.REVOKED)
        lab.clock.set(expired.idle_expires_at)
        kept = (await bench.checkpoints.create(ADA, document_id, "", CheckpointKind.MANUAL, None, None)).checkpoint_id
        before = await bench.documents.get(ADA, document_id)
        for session, error in ((ended, SessionEnded), (expired, SessionExpired)):
            actor = replace(ADA, session_id=session.session_id)
            for refused in (
                partial(bench.take, actor, document_id, 2, 1, put("/a", 2)),
                partial(bench.changes.change, actor, document_id, [put("/a", 2)], None, None),
                partial(bench.checkpoints.create, actor, document_id, "", CheckpointKind.MANUAL, None, None),
                partial(bench.checkpoints.restore, actor, document_id, kept, None, None, dry_run=False),
                partial(bench.documents.rename, actor, document_id, "other"),
                partial(bench.documents.archive, actor, document_id),
                partial(bench.documents.open, replace(actor, device_id=None), "new", None),
            ):
                with pytest.raises(error):
                    await refused()
        assert await bench.documents.get(ADA, document_id) == before
        assert [document.name for document in await bench.documents.list(ADA)] == [before.name]

    async def test_server_code_writes_with_an_idempotency_key(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        count = [{"op": "increment", "path": "/n", "by": 1}]
        first = await bench.changes.change(ADA, document_id, count, None, "job 1")
        assert (await bench.changes.change(ADA, document_id, count, None, "job 1")).version == first.version
        await bench.changes.change(Actor.system(), document_id, count, None, "job 2")
        await bench.changes.change(ADA, document_id, count, None, None)
        assert (await bench.documents.get(ADA, document_id)).state == {"n": 3}
        assert (first.device_id, first.device_no, first.seq) == (None, 0, None)

    async def test_server_code_is_told_when_its_change_is_not_applied(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"strict": {"a": 0}})).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/strict/a", 1))
        with pytest.raises(ChangeRejected) as caught:
            await bench.changes.change(ADA, document_id, [put("/strict/a", 2)], 0, "job")
        assert (caught.value.verdict, caught.value.detail["code"]) == ("conflict", "concurrent_change")
        with pytest.raises(ChangeRejected):
            await bench.changes.change(ADA, document_id, [put("/strict/a", 2)], 0, "job")
        assert (await bench.documents.get(ADA, document_id)).version == 2

    async def test_a_state_over_the_limit_is_rejected_and_one_at_the_limit_is_not(self, lab: Lab) -> None:
        bench = await lab.open()
        room = STATE_BYTES_MAX - len('{"a":"","b":""}')
        document_id = (await bench.document({"a": "x" * (room - 10), "b": ""})).document.document_id
        full = await bench.take(ADA, document_id, 1, 0, put("/b", "y" * 10))
        assert full.verdict is Verdict.APPLIED
        over = await bench.take(ADA, document_id, 2, 1, put("/b", "y" * 11))
        assert over.detail is not None
        assert (over.verdict, over.detail["code"]) == (Verdict.REJECTED, "state_too_large")
        assert (await bench.take(ADA, document_id, 3, 2, put("/b", "z" * 10))).verdict is Verdict.APPLIED
        assert (await bench.documents.get(ADA, document_id)).state["b"] == "z" * 10

    async def test_every_so_many_versions_the_log_carries_the_hash_of_the_state(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        changes = [change(ADA, seq, seq - 1, put("/n", seq)) for seq in range(1, HASH_EVERY_VERSIONS + 2)]
        await bench.send(ADA, document_id, *changes)
        log = await bench.store.read(lambda tx: tx.documents.changes(document_id, after=0))
        hashes = {logged.version: logged.state_hash for logged in log if logged.state_hash is not None}
        assert hashes == {HASH_EVERY_VERSIONS: state_hash({"n": HASH_EVERY_VERSIONS})}
