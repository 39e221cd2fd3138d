"""The past of a document: rebuilt, compared, told in one list, and forgotten by rule without losing what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest

from sessile.engine.history import state_at
from sessile.engine.ownership import find
from sessile.model.activity import Activity
from sessile.model.document import ABSENT, CheckpointKind, ConflictReason, Document, State, Verdict
from sessile.model.errors import CheckpointNotFound, DocumentNotFound, InvalidChange, VersionNotKept
from sessile.model.limits import ACTIVITY_DATA_BYTES_MAX, JUDGED_CHANGES_MAX
from sessile.ports import Transaction
from sessile.testing.lab import ADA, COMPACTION, EVE, PHONE, Bench, Lab, change, failed, only, put
from sessile.testing.shows import shows
from sessile.testing.store_contract.base import Contract

MANUAL: Final = CheckpointKind.MANUAL
DAY_S: Final = 86_400
KEPT: Final = COMPACTION.versions_kept


class HistoryContract(Contract):
    """Any version that is kept, differences, activity, compaction, and changes based on what is long past."""

    async def test_every_version_that_is_kept_can_be_rebuilt(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, states = await _written(bench, 6, text="x" * 20_000)
        await bench.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        await bench.send(ADA, document_id, change(ADA, 7, 6, put("/n", 7)), change(ADA, 8, 7, put("/o", {"deep": 8})))
        states += [{**states[-1], "n": 7}, {**states[-1], "n": 7, "o": {"deep": 8}}]
        for version, state in enumerate(states):
            assert await _at(bench, document_id, version) == state
        for version in (-1, len(states)):
            with pytest.raises(InvalidChange):
                await _at(bench, document_id, version)

    async def test_two_points_are_compared(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"a": 1, "o": {"x": 1}})).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/a", 2), put("/o/y", 2))
        made = await bench.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        await bench.take(ADA, document_id, 2, 1, put("/a", 3))
        expected: list[tuple[Any, Any, list[tuple[str, Any, Any]]]] = [
            (0, 1, [("/a", 1, 2), ("/o/y", ABSENT, 2)]),
            (made.checkpoint_id, "now", [("/a", 2, 3)]),
            ("now", 0, [("/a", 3, 1), ("/o/y", 2, ABSENT)]),
            (2, "now", []),
        ]
        for a, b, differences in expected:
            found = await bench.history.diff(ADA, document_id, a, b)
            assert [(d.path, d.current, d.restored) for d in found] == differences
        with pytest.raises(CheckpointNotFound):
            await bench.history.diff(ADA, document_id, EVE.device_id or "", "now")
        with pytest.raises(InvalidChange):
            await bench.history.diff(ADA, document_id, 0, 3)
        with pytest.raises(DocumentNotFound):
            await bench.history.diff(EVE, document_id, 0, 1)

    @shows("I07")
    async def test_activity_is_one_list_page_by_page(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        for seq in (1, 2, 3):
            lab.clock.advance(1)
            await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
            lab.clock.advance(1)
            await bench.checkpoints.create(ADA, document_id, str(seq), MANUAL, None, None)
            lab.clock.advance(1)
            event = await bench.activity.log(ADA, document_id, "app.note", {"n": seq})
            assert (event.data, event.position) == ({"n": seq}, seq + 1)
        pages: list[Sequence[Activity]] = []
        before = None
        while len(pages) < 5:
            page = await bench.activity.page(ADA, document_id, before, 4)
            pages.append(page.entries)
            before = page.before
            if before is None:
                break
        assert [len(entries) for entries in pages] == [4, 4, 2]
        assert [_told(entry) for entries in pages for entry in entries] == [
            ("app.note", 3), ("checkpoint", "3"), ("change", 3), ("app.note", 2), ("checkpoint", "2"), ("change", 2),
            ("app.note", 1), ("checkpoint", "1"), ("change", 1), ("document_created", None),
        ]  # fmt: skip
        with pytest.raises(InvalidChange):
            await bench.activity.page(ADA, document_id, "nonsense", 4)
        with pytest.raises(DocumentNotFound):
            await bench.activity.page(EVE, document_id, None, 4)

    @shows("I07")
    async def test_only_an_applications_own_events_can_be_added(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        for kind, data in (
            ("document_restored", {}),
            ("app.", {}),
            ("app.X", {}),
            ("app.x", {"n": float("nan")}),
            ("app.x", {"n": "x" * ACTIVITY_DATA_BYTES_MAX}),
        ):
            with pytest.raises(InvalidChange):
                await bench.activity.log(ADA, document_id, kind, data)
        with pytest.raises(DocumentNotFound):
            await bench.activity.log(EVE, document_id, "app.x", {})
        assert [event.type for event in await bench.audit(f"document:{document_id}")] == ["document_created"]

    async def test_old_lines_are_forgotten_in_bounded_batches_and_the_rest_stays_whole(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, states = await _written(bench, 10)
        checkpoint = await bench.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        before = await bench.documents.get(ADA, document_id)
        assert await bench.history.compact(10) == 0, "younger than a day"
        lab.clock.advance(DAY_S + 1)
        forgotten = [await bench.history.compact(10) for _ in range(4)]
        assert forgotten == [3, 3, 0, 0], "ten versions less four, three at a time"
        log = await bench.documents.log(ADA, document_id, None, 100)
        assert [line.version for line in log] == [10, 9, 8, 7]
        for version in range(10 - KEPT, 11):
            assert await _at(bench, document_id, version) == states[version]
        with pytest.raises(VersionNotKept) as fault:
            await bench.history.diff(ADA, document_id, 10 - KEPT - 1, "now")
        assert fault.value.oldest_version == 10 - KEPT
        assert await bench.history.diff(ADA, document_id, checkpoint.checkpoint_id, "now") == []
        assert await bench.documents.get(ADA, document_id) == before
        delta = await bench.documents.since(ADA, document_id, before.epoch, 2)
        assert (delta.snapshot, delta.document.state) == (True, states[10])
        assert not (await bench.documents.since(ADA, document_id, before.epoch, 10 - KEPT)).snapshot

    async def test_young_lines_are_kept_however_many_there_are(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, _ = await _written(bench, 10)
        lab.clock.advance(DAY_S + 1)
        for seq in range(11, 11 + KEPT + 2):
            await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
        while await bench.history.compact(10):
            pass
        log = (await bench.documents.log(ADA, document_id, None, 100))[::-1]
        assert [line.version for line in log] == list(range(11, 11 + KEPT + 2))

    async def test_a_checkpoint_before_the_log_still_tells_its_version(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, states = await _written(bench, 2)
        await bench.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        for seq in range(3, 9):
            await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
        lab.clock.advance(DAY_S + 1)
        while await bench.history.compact(10):
            pass
        assert await _at(bench, document_id, 2) == states[2]
        with pytest.raises(VersionNotKept):
            await _at(bench, document_id, 3)

    async def test_a_repetition_of_a_forgotten_change_is_known(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, states = await _written(bench, 8)
        lab.clock.advance(DAY_S + 1)
        while await bench.history.compact(10):
            pass
        again = await bench.take(ADA, document_id, 2, 1, put("/n", 2))
        assert again.detail is not None
        assert (again.verdict, again.detail["code"]) == (Verdict.NOOP, "known")
        assert (await bench.documents.get(ADA, document_id)).state == states[8]
        assert (await bench.take(ADA, document_id, 9, 8, put("/n", 9))).version == 9

    async def test_what_an_open_conflict_needs_is_kept(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, _ = await _written(bench, 2)
        await bench.take(PHONE, document_id, 1, 1, put("/n", "mine"))
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        for seq in range(3, 12):
            await bench.take(ADA, document_id, seq, seq, put("/m", seq))
        lab.clock.advance(DAY_S + 1)
        while await bench.history.compact(10):
            pass
        log = await bench.documents.log(ADA, document_id, None, 100)
        assert log[-1].version == conflict.version
        resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": "mine"}
        assert (await bench.take(PHONE, document_id, 2, 12, resolve)).verdict is Verdict.APPLIED
        assert await bench.history.compact(10) == 3, "nothing holds them any more"

    async def test_a_state_that_lags_behind_keeps_the_lines_it_needs(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, states = await _written(bench, 8, text="x" * 20_000)
        lab.clock.advance(DAY_S + 1)
        assert await bench.history.compact(10) == 0, "the row is at version 0 still"
        assert (await bench.documents.get(ADA, document_id)).state == states[8]

    async def test_a_change_based_on_what_is_forgotten_collides_where_it_differs(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id, _ = await _written(bench, 8)
        await bench.document(actor=PHONE)
        lab.clock.advance(DAY_S + 1)
        while await bench.history.compact(10):
            pass
        logged = await bench.take(PHONE, document_id, 1, 1, put("/first", "mine"), put("/n", 8), put("/new", 1))
        assert logged.verdict is Verdict.APPLIED
        assert {(c.path, c.reason, c.loser) for c in logged.conflicts} == {
            ("/first", ConflictReason.CONCURRENT, 1), ("/new", ConflictReason.CONCURRENT, ABSENT),
        }  # fmt: skip
        own = await bench.take(PHONE, document_id, 2, 1, put("/first", "mine too"))
        assert own.conflicts == [], "a device never conflicts with what it wrote itself"
        near = await bench.take(ADA, document_id, 9, 8, put("/first2", 1))
        assert near.conflicts == []

    async def test_a_change_is_compared_with_so_many_lines_at_most(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"first": 0})).document.document_id
        await bench.document(actor=PHONE)
        lines = [change(ADA, seq, seq - 1, put("/n", seq)) for seq in range(1, JUDGED_CHANGES_MAX + 2)]
        await bench.send(ADA, document_id, *lines)
        within = await bench.take(PHONE, document_id, 1, 1, put("/first", 1))
        assert within.conflicts == []
        beyond = await bench.take(PHONE, document_id, 2, 1, put("/second", 1))
        assert [conflict.path for conflict in beyond.conflicts] == ["/second"]

    async def test_forgetting_while_others_write_loses_nothing(self, lab: Lab) -> None:
        first = await lab.open()
        other = await lab.open() if self.is_shared else first
        document_id, _ = await _written(first, 12)
        lab.clock.advance(DAY_S + 1)

        async def write() -> int:
            for seq in range(13, 21):
                await first.take(ADA, document_id, seq, seq - 1, put("/n", seq))
            return 0

        async def forget() -> int:
            return sum([await other.history.compact(10) for _ in range(8)])

        outcomes = await lab.together(write, forget, forget)
        assert failed(outcomes) == []
        while await first.history.compact(10):
            pass
        log = (await first.documents.log(ADA, document_id, None, 100))[::-1]
        assert [line.version for line in log] == list(range(13, 21)), "those are younger than a day"
        document = await first.documents.get(ADA, document_id)
        assert (document.version, document.state["n"]) == (20, 20)
        assert (await _at(first, document_id, 12))["n"] == 12
        assert await _at(first, document_id, 19) == {**document.state, "n": 19}


async def _written(bench: Bench, versions: int, **state: Any) -> tuple[str, list[State]]:
    """A document with that many changes by Ada's device, and its state at every version."""
    first: State = {"first": 1, **state}
    document_id = (await bench.document(first)).document.document_id
    states = [first]
    for seq in range(1, versions + 1):
        await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
        states.append({**states[-1], "n": seq})
    return document_id, states


async def _at(bench: Bench, document_id: str, version: int) -> State:
    def look(tx: Transaction) -> State:
        document: Document = find(tx, ADA, document_id)
        return state_at(tx, document, version).state

    return await bench.store.read(look)


def _told(entry: Activity) -> tuple[str, Any]:
    if entry.change is not None:
        return entry.type, entry.change.version
    if entry.checkpoint is not None:
        return entry.type, entry.checkpoint.label
    assert entry.event is not None
    return entry.type, entry.event.data.get("n")
