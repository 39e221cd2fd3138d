"""Snapshots and the way back: each whole in itself, a restore is a new version, and nothing pending is lost by it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from sessile.model.document import ABSENT, Actor, CheckpointKind, ConflictReason, State, Verdict
from sessile.model.errors import ChangeRejected, CheckpointNotFound, DocumentNotFound, InvalidChange, VersionConflict
from sessile.model.events import EventKind
from sessile.model.limits import CHECKPOINTS_AUTOMATIC_KEPT, LABEL_LENGTH_MAX
from sessile.model.operations import apply
from sessile.testing.lab import ADA, EVE, PHONE, Bench, Lab, change, failed, only, put, succeeded
from sessile.testing.shows import shows
from sessile.testing.store_contract.base import Contract

MANUAL = CheckpointKind.MANUAL
DAY = timedelta(days=1)


class CheckpointContract(Contract):
    """Make, list, keep, restore."""

    @shows("I03")
    async def test_a_checkpoint_is_a_snapshot_of_now(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"a": 1})).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/a", 2))
        bench.told.clear()
        made = await bench.checkpoints.create(ADA, document_id, "before lunch", CheckpointKind.STEP, 3, None)
        assert (made.version, made.kind, made.label, made.step, made.device_no) == (
            1, CheckpointKind.STEP, "before lunch", 3, 1,
        )  # fmt: skip
        await bench.take(ADA, document_id, 2, 1, put("/a", 3))
        listed = only(await bench.checkpoints.list(ADA, document_id))
        assert (listed.checkpoint_id, listed.state) == (made.checkpoint_id, {}), "a list carries no states"
        stored = await bench.store.read(lambda tx: tx.documents.checkpoint(document_id, made.checkpoint_id))
        assert stored == made
        assert made.state == {"a": 2}
        assert [(e.kind, e.detail, e.checkpoint) for e in bench.told[:1]] == [
            (EventKind.CHECKPOINT_SAVED, made.checkpoint_id, made)
        ]

    async def test_the_same_request_gives_the_same_checkpoint(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        other_id = (await bench.documents.open(ADA, "other", {})).document.document_id
        first = await bench.checkpoints.create(ADA, document_id, "x", MANUAL, None, "request")
        assert await bench.checkpoints.create(ADA, document_id, "x", MANUAL, None, "request") == first
        other = await bench.checkpoints.create(ADA, other_id, "x", MANUAL, None, "request")
        assert other.document_id == other_id
        assert len(await bench.checkpoints.list(ADA, document_id)) == 1

    async def test_strangers_and_bad_labels_are_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        made = await bench.checkpoints.create(ADA, document_id, "x" * LABEL_LENGTH_MAX, MANUAL, None, None)
        with pytest.raises(InvalidChange):
            await bench.checkpoints.create(ADA, document_id, "x" * (LABEL_LENGTH_MAX + 1), MANUAL, None, None)
        for refused in (
            partial(bench.checkpoints.create, EVE, document_id, "", MANUAL, None, None),
            partial(bench.checkpoints.list, EVE, document_id),
            partial(bench.checkpoints.restore, EVE, document_id, made.checkpoint_id, None, None, dry_run=True),
            partial(bench.checkpoints.restore, EVE, document_id, made.checkpoint_id, None, None, dry_run=False),
        ):
            with pytest.raises(DocumentNotFound):
                await refused()
        eves = (await bench.document(actor=EVE)).document.document_id
        for document, checkpoint in ((eves, made.checkpoint_id), (eves, "01900000-0000-7000-8000-000000000000")):
            with pytest.raises(CheckpointNotFound):
                await bench.checkpoints.restore(EVE, document, checkpoint, None, None, dry_run=False)

    @shows("I04")
    async def test_automatic_ones_are_made_of_what_changed_since(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        assert await bench.checkpoints.automatic(DAY, 10) == 0, "nothing changed yet"
        await bench.take(ADA, document_id, 1, 0, put("/a", 1))
        assert await bench.checkpoints.automatic(DAY, 10) == 1
        assert await bench.checkpoints.automatic(DAY, 10) == 0
        await bench.take(ADA, document_id, 2, 1, put("/a", 2))
        await bench.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        assert await bench.checkpoints.automatic(DAY, 10) == 0, "the manual one covers it"
        await bench.take(ADA, document_id, 3, 2, put("/a", 3))
        lab.clock.advance(DAY.total_seconds() + 1)
        assert await bench.checkpoints.automatic(DAY, 10) == 0, "nobody was there for a day"
        await bench.take(ADA, document_id, 4, 3, put("/a", 4))
        await bench.documents.archive(ADA, document_id)
        assert await bench.checkpoints.automatic(DAY, 10) == 0
        kinds = [c.kind for c in await bench.checkpoints.list(ADA, document_id)]
        assert sorted(kinds) == [CheckpointKind.AUTOMATIC, MANUAL]

    async def test_the_newest_automatic_ones_are_kept_and_every_manual_one(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        manual = await bench.checkpoints.create(ADA, document_id, "mine", MANUAL, None, None)
        for seq in range(1, CHECKPOINTS_AUTOMATIC_KEPT + 4):
            await bench.take(ADA, document_id, seq, seq - 1, put("/a", seq))
            lab.clock.advance(30)
            assert await bench.checkpoints.automatic(DAY, 10) == 1
        listed = await bench.checkpoints.list(ADA, document_id)
        versions = [c.version for c in listed if c.kind is CheckpointKind.AUTOMATIC]
        newest = CHECKPOINTS_AUTOMATIC_KEPT + 3
        assert versions == list(range(newest, newest - CHECKPOINTS_AUTOMATIC_KEPT, -1))
        assert listed[-1].checkpoint_id == manual.checkpoint_id

    @shows("I05")
    async def test_a_restore_is_a_new_version_with_the_old_state(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, checkpoint_id = await _two_states(bench)
        lab.clock.advance(5)
        bench.told.clear()
        restored = await bench.checkpoints.restore(ADA, document_id, checkpoint_id, None, 2, dry_run=False)
        assert (restored.document.version, restored.document.generation) == (3, 1)
        assert restored.document.state == {"a": 1, "o": {"x": 1}}
        assert {d.path: (d.current, d.restored) for d in restored.differences} == {
            "/a": (2, 1), "/o/x": (2, 1), "/o/y": (2, ABSENT),
        }  # fmt: skip
        assert await bench.documents.get(ADA, document_id) == restored.document
        assert restored.before is not None
        assert (restored.before.kind, restored.before.version) == (CheckpointKind.BEFORE_RESTORE, 2)
        assert restored.before.state == {"a": 2, "o": {"x": 2, "y": 2}}
        assert [e.kind for e in bench.told] == [EventKind.CHECKPOINT_SAVED, EventKind.DOCUMENT_RESTORED]
        assert bench.told[-1].restored == restored
        log = await bench.documents.log(ADA, document_id, None, 10)
        assert [(c.version, c.generation) for c in log] == [(3, 1), (2, 0), (1, 0)], "history is never cut"
        back = await bench.checkpoints.restore(
            ADA, document_id, restored.before.checkpoint_id, None, None, dry_run=False
        )
        assert (back.document.state, back.document.generation) == ({"a": 2, "o": {"x": 2, "y": 2}}, 2)
        audited = [event.type for event in await bench.audit(f"document:{document_id}")]
        assert audited == ["document_created", "document_restored", "document_restored"]

    @shows("I05")
    async def test_chosen_paths_are_restored_and_the_rest_stays(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, checkpoint_id = await _two_states(bench)
        restored = await bench.checkpoints.restore(
            ADA, document_id, checkpoint_id, ["/o/x", "/o/y"], None, dry_run=False
        )
        assert restored.document.state == {"a": 2, "o": {"x": 1}}
        assert {d.path for d in restored.differences} == {"/o/x", "/o/y"}
        delta = await bench.documents.since(ADA, document_id, restored.document.epoch, 2)
        assert [c.operations for c in delta.changes] == [[put("/o/x", 1), {"op": "remove", "path": "/o/y"}]]

    async def test_a_dry_run_only_tells(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, checkpoint_id = await _two_states(bench)
        before = await bench.documents.get(ADA, document_id)
        bench.told.clear()
        preview = await bench.checkpoints.restore(ADA, document_id, checkpoint_id, ["/a"], None, dry_run=True)
        assert [(d.path, d.current, d.restored) for d in preview.differences] == [("/a", 2, 1)]
        assert (preview.before, preview.document) == (None, before)
        assert await bench.documents.get(ADA, document_id) == before
        assert len(await bench.checkpoints.list(ADA, document_id)) == 1
        assert bench.told == []

    async def test_a_restore_that_cannot_be_leaves_everything_as_it_was(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, checkpoint_id = await _two_states(bench)
        before = await bench.documents.get(ADA, document_id)
        with pytest.raises(VersionConflict) as caught:
            await bench.checkpoints.restore(ADA, document_id, checkpoint_id, None, 1, dry_run=False)
        assert caught.value.current == {"version": 2}
        with pytest.raises(InvalidChange) as invalid:
            await bench.checkpoints.restore(ADA, document_id, checkpoint_id, ["/a", "b"], None, dry_run=False)
        assert invalid.value.path == "/paths/1"
        await bench.take(ADA, document_id, 3, 2, put("/o", "text"))
        with pytest.raises(ChangeRejected):
            await bench.checkpoints.restore(ADA, document_id, checkpoint_id, ["/o/x"], None, dry_run=False)
        assert (await bench.documents.get(ADA, document_id)).state == {**before.state, "o": "text"}
        assert len(await bench.checkpoints.list(ADA, document_id)) == 1, "no before_restore checkpoint either"

    async def test_what_was_pending_before_a_restore_becomes_a_conflict(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, checkpoint_id = await _two_states(bench)
        await bench.document(actor=PHONE)
        await bench.checkpoints.restore(ADA, document_id, checkpoint_id, None, None, dry_run=False)
        logged = await bench.take(PHONE, document_id, 1, 2, put("/a", 9), put("/o/x", 1))
        assert logged.detail is not None
        assert (logged.verdict, logged.detail["code"]) == (Verdict.CONFLICT, "superseded")
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert (conflict.path, conflict.reason) == ("/a", ConflictReason.SUPERSEDED)
        assert (conflict.winner, conflict.loser, conflict.loser_device_no) == (1, 9, 2)
        assert (await bench.documents.get(ADA, document_id)).state["a"] == 1
        resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": "mine"}
        outcome = await bench.send(PHONE, document_id, change(PHONE, 2, 4, resolve, generation=1))
        assert [c.verdict for c in outcome.logged] == [Verdict.APPLIED]
        assert (await bench.documents.get(ADA, document_id)).state["a"] == 9

    async def test_where_the_last_write_wins_nothing_pending_is_kept_over_a_restore(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, checkpoint_id = await _two_states(bench)
        await bench.document(actor=PHONE)
        await bench.checkpoints.restore(ADA, document_id, checkpoint_id, None, None, dry_run=False)
        first = await bench.take(PHONE, document_id, 1, 2, put("/last/p", 9), put("/a", 9))
        assert [conflict.path for conflict in first.conflicts] == ["/a"]
        second = await bench.take(PHONE, document_id, 2, 2, put("/last/p", 9))
        assert (second.verdict, list(second.conflicts)) == (Verdict.NOOP, [])
        assert "last" not in (await bench.documents.get(ADA, document_id)).state

    async def test_a_large_state_is_in_its_checkpoint_at_its_version(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"text": "x" * 20_000, "n": 0})).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/n", 1))
        made = await bench.checkpoints.create(Actor.system(), document_id, "", MANUAL, None, None)
        assert (made.version, made.state["n"], made.device_no) == (1, 1, None)
        await bench.take(ADA, document_id, 2, 1, put("/n", 2))
        restored = await bench.checkpoints.restore(ADA, document_id, made.checkpoint_id, None, None, dry_run=False)
        assert (restored.document.state["n"], restored.before and restored.before.state["n"]) == (1, 2)
        last = await bench.send(ADA, document_id, change(ADA, 3, 3, put("/m", 3), generation=1))
        assert [c.verdict for c in last.logged] == [Verdict.APPLIED]
        state = (await bench.documents.get(ADA, document_id)).state
        assert (state["n"], state["m"], len(state["text"])) == (1, 3, 20_000)

    async def test_of_two_restores_that_expect_the_same_version_one_happens(self, lab: Lab) -> None:
        first, second = await self._benches(lab)
        document_id, one, other = await _two_checkpoints(first)
        outcomes = await lab.together(
            partial(first.checkpoints.restore, ADA, document_id, one, None, 2, dry_run=False),
            partial(second.checkpoints.restore, PHONE, document_id, other, None, 2, dry_run=False),
        )
        winner, loser = only(succeeded(outcomes)), only(failed(outcomes))
        assert isinstance(loser, VersionConflict)
        assert loser.current == {"version": 3}
        document = await first.documents.get(ADA, document_id)
        assert (document.version, document.generation) == (3, 1)
        assert document.state == winner.document.state
        before = [c for c in await first.checkpoints.list(ADA, document_id) if c.kind is CheckpointKind.BEFORE_RESTORE]
        assert [checkpoint.version for checkpoint in before] == [2]

    async def test_restores_at_once_that_expect_nothing_stay_one_line_of_history(self, lab: Lab) -> None:
        first, second = await self._benches(lab)
        document_id, one, other = await _two_checkpoints(first)
        outcomes = await lab.together(
            *(
                partial(
                    (first, second)[n % 2].checkpoints.restore,
                    ADA,
                    document_id,
                    (one, other)[n % 2],
                    None,
                    None,
                    dry_run=False,
                )
                for n in range(4)
            )
        )
        assert failed(outcomes) == []
        by_version = sorted(succeeded(outcomes), key=lambda restored: restored.document.version)
        assert [restored.document.version for restored in by_version] == [3, 4, 5, 6]
        assert [restored.document.generation for restored in by_version] == [1, 2, 3, 4]
        log = await first.store.read(lambda tx: tx.documents.changes(document_id, after=0))
        assert [(line.version, line.generation) for line in log] == [(1, 0), (2, 0), (3, 1), (4, 2), (5, 3), (6, 4)]
        state: State = {"a": 0}
        states = [state]
        for line in log:
            state = apply(state, line.operations).state
            states.append(state)
        assert (await second.documents.get(ADA, document_id)).state == state
        for restored in by_version:
            assert restored.before is not None
            assert restored.before.state == states[restored.before.version], "what it went over is kept"
            assert restored.before.version == restored.document.version - 1

    async def _benches(self, lab: Lab) -> tuple[Bench, Bench]:
        first = await lab.open()
        return first, await lab.open() if self.is_shared else first


async def _two_states(bench: Bench) -> tuple[str, str]:
    """A document at version 2, and a checkpoint of its version 1."""
    document_id = (await bench.document()).document.document_id
    await bench.take(ADA, document_id, 1, 0, put("/a", 1), put("/o", {"x": 1}))
    checkpoint = await bench.checkpoints.create(ADA, document_id, "one", MANUAL, None, None)
    await bench.take(ADA, document_id, 2, 1, put("/a", 2), put("/o", {"x": 2, "y": 2}))
    return document_id, checkpoint.checkpoint_id


async def _two_checkpoints(bench: Bench) -> tuple[str, str, str]:
    """A document at version 2, and checkpoints of two earlier states."""
    document_id = (await bench.document({"a": 0})).document.document_id
    made = []
    for seq in (1, 2):
        made.append(await bench.checkpoints.create(ADA, document_id, "", MANUAL, None, None))
        await bench.take(ADA, document_id, seq, seq - 1, put("/a", seq))
    return document_id, made[0].checkpoint_id, made[1].checkpoint_id
