"""Two devices, one path: the policies, open conflicts and how they are closed."""

from __future__ import annotations

import pytest

from sessile.model.document import ABSENT, ConflictReason, Verdict
from sessile.model.errors import ChangeRejected
from sessile.model.limits import OPEN_CONFLICTS_MAX
from sessile.testing.lab import ADA, PHONE, Bench, Lab, change, only, put, remove
from sessile.testing.shows import shows
from sessile.testing.store_contract.base import Contract


class MergeContract(Contract):
    """Concurrent changes and their conflicts."""

    @shows("I02", "G07")
    async def test_different_paths_merge(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/o/a", 1))
        assert (await bench.take(PHONE, document_id, 1, 0, put("/o/b", 2))).verdict is Verdict.APPLIED
        patch = {"op": "merge", "path": "", "value": {"o": {"c": 3}}}
        await bench.take(PHONE, document_id, 2, 0, patch)
        assert (await bench.documents.get(ADA, document_id)).state == {"p": 0, "o": {"a": 1, "b": 2, "c": 3}}
        assert await bench.documents.conflicts(ADA, document_id) == []

    async def test_commuting_operations_merge(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        for actor in (ADA, PHONE):
            await bench.take(actor, document_id, 1, 0, {"op": "increment", "path": "/p", "by": 2})
            item = {"id": actor.device_id}
            await bench.take(actor, document_id, 2, 0, {"op": "append", "path": "/l", "item": item})
        state = (await bench.documents.get(ADA, document_id)).state
        assert (state["p"], [item["id"] for item in state["l"]]) == (4, [ADA.device_id, PHONE.device_id])
        assert await bench.documents.conflicts(ADA, document_id) == []

    @shows("G07")
    async def test_keep_both_applies_the_later_and_keeps_the_earlier_as_a_conflict(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", 1))
        logged = await bench.take(PHONE, document_id, 1, 0, put("/p", 2))
        assert (logged.verdict, logged.version) == (Verdict.APPLIED, 2)
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert list(logged.conflicts) == [conflict]
        assert (conflict.path, conflict.reason) == ("/p", ConflictReason.CONCURRENT)
        assert (conflict.base, conflict.winner, conflict.loser) == (0, 2, 1)
        assert (conflict.winner_device_no, conflict.loser_device_no, conflict.version) == (2, 1, 2)
        assert (await bench.documents.get(ADA, document_id)).state["p"] == 2
        again = await bench.take(PHONE, document_id, 1, 0, put("/p", 2))
        assert list(again.conflicts) == [conflict], "a repetition tells of the same conflict"

    async def test_the_same_value_twice_is_no_conflict(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", {"x": 1}))
        assert (await bench.take(PHONE, document_id, 1, 0, put("/p", {"x": 1}))).verdict is Verdict.NOOP
        assert await bench.documents.conflicts(ADA, document_id) == []

    async def test_a_value_that_was_seen_is_overwritten_without_a_conflict(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", 1))
        await bench.take(PHONE, document_id, 1, 1, put("/p", 2))
        assert await bench.documents.conflicts(ADA, document_id) == []

    async def test_a_device_does_not_conflict_with_itself(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        for seq in (1, 2, 3):
            await bench.take(ADA, document_id, seq, 0, put("/p", seq))
        await bench.take(ADA, document_id, 4, 0, put("/o/x/y", 1))
        await bench.take(ADA, document_id, 5, 0, remove("/o"))
        assert await bench.documents.conflicts(ADA, document_id) == []

    async def test_a_value_from_elsewhere_is_kept_although_the_device_wrote_beside_it_since(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(PHONE, document_id, 1, 0, put("/o/b", "theirs"))
        await bench.take(ADA, document_id, 1, 0, put("/o/a", "mine"))
        await bench.take(ADA, document_id, 2, 0, put("/o", {"a": "all mine"}))
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert (conflict.path, conflict.loser) == ("/o", {"a": "mine", "b": "theirs"})

    async def test_a_path_written_twice_in_one_change_keeps_the_value_from_elsewhere(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(PHONE, document_id, 1, 0, put("/p", "theirs"))
        await bench.take(ADA, document_id, 1, 0, put("/p", "m"), put("/p", "mi"))
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert (conflict.base, conflict.loser) == (0, "theirs")

    async def test_a_parent_conflicts_with_what_changed_below_it(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/o/a", 1))
        await bench.take(PHONE, document_id, 1, 0, remove("/o"))
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert (conflict.path, conflict.winner, conflict.loser) == ("/o", ABSENT, {"a": 1})
        assert "o" not in (await bench.documents.get(ADA, document_id)).state

    async def test_a_child_of_a_removed_parent_is_set_aside(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, remove("/o"))
        logged = await bench.take(PHONE, document_id, 1, 0, put("/q", 1), put("/o/b", 2))
        assert logged.detail is not None
        assert (logged.verdict, logged.detail["code"]) == (Verdict.CONFLICT, "parent_removed")
        conflicts = {c.path: c for c in await bench.documents.conflicts(ADA, document_id)}
        assert {path: c.loser for path, c in conflicts.items()} == {"/q": 1, "/o/b": 2}
        assert conflicts["/o/b"].reason is ConflictReason.PARENT_REMOVED
        assert conflicts["/o/b"].winner is ABSENT
        assert (await bench.documents.get(ADA, document_id)).state == {"p": 0}

    async def test_last_write_wins_in_silence(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/last/p", 1))
        await bench.take(PHONE, document_id, 1, 0, put("/last/p", 2))
        assert (await bench.documents.get(ADA, document_id)).state["last"] == {"p": 2}
        assert await bench.documents.conflicts(ADA, document_id) == []

    async def test_reject_refuses_the_later_and_shows_what_is_there(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/strict/p", 1))
        logged = await bench.take(PHONE, document_id, 1, 0, put("/q", 1), put("/strict/p", 2))
        assert logged.verdict is Verdict.CONFLICT
        assert logged.detail is not None
        assert (logged.detail["code"], logged.detail["path"], logged.detail["current"]) == (
            "concurrent_change", "/strict/p", 1,
        )  # fmt: skip
        state = (await bench.documents.get(ADA, document_id)).state
        assert (state["strict"], "q" in state) == ({"p": 1}, False)
        assert await bench.documents.conflicts(ADA, document_id) == []
        assert (await bench.take(PHONE, document_id, 2, 2, put("/strict/p", 2))).verdict is Verdict.APPLIED

    @pytest.mark.parametrize(
        ("test", "holds"),
        [
            ({"path": "/p", "equals": 0}, True),
            ({"path": "/p", "equals": False}, False),
            ({"path": "/nothing", "exists": False}, True),
            ({"path": "/p", "exists": False}, False),
            ({"version_at_most": 0}, False),
            ({"version_at_most": 1}, True),
        ],
        ids=str,
    )
    async def test_a_precondition_decides_the_whole_change(
        self, lab: Lab, test: dict[str, object], holds: bool
    ) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/q", 1))
        logged = await bench.take(PHONE, document_id, 1, 1, {"op": "test", **test}, put("/r", 1))
        assert ("r" in (await bench.documents.get(ADA, document_id)).state) is holds
        assert logged.verdict is (Verdict.APPLIED if holds else Verdict.CONFLICT)
        assert holds or (logged.detail is not None and logged.detail["code"] == "test_failed")

    @shows("G07")
    @pytest.mark.parametrize(("choice", "value"), [("mine", 1), ("theirs", 2), ("value", 3)])
    async def test_a_conflict_is_resolved_by_a_change(self, lab: Lab, choice: str, value: int) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", 1))
        conflict = only((await bench.take(PHONE, document_id, 1, 0, put("/p", 2))).conflicts)
        resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": choice, "value": 3}
        logged = await bench.take(ADA, document_id, 2, 2, resolve)
        assert (logged.verdict, list(logged.resolved)) == (Verdict.APPLIED, [conflict.conflict_id])
        assert (await bench.documents.get(ADA, document_id)).state["p"] == value
        assert logged.operations[-1] == put("/p", value), "the log carries what it caused"
        assert await bench.documents.conflicts(ADA, document_id) == []
        second = await bench.take(PHONE, document_id, 2, 3, resolve)
        assert second.detail is not None
        assert (second.verdict, second.detail["code"]) == (Verdict.REJECTED, "conflict_not_found")
        assert (await bench.take(ADA, document_id, 2, 2, resolve)).version == logged.version

    async def test_the_side_that_won_is_kept_as_it_stands_by_now(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", 1))
        conflict = only((await bench.take(PHONE, document_id, 1, 0, put("/p", 2))).conflicts)
        await bench.take(PHONE, document_id, 2, 2, put("/p", 20))
        resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": "mine"}
        await bench.take(PHONE, document_id, 3, 3, resolve)
        assert (await bench.documents.get(ADA, document_id)).state["p"] == 20
        assert await bench.documents.conflicts(ADA, document_id) == []

    async def test_somebody_who_made_neither_value_sends_the_value_itself(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", 1))
        conflict = only((await bench.take(PHONE, document_id, 1, 0, put("/p", 2))).conflicts)
        resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": "mine"}
        with pytest.raises(ChangeRejected) as caught:
            await bench.changes.change(ADA, document_id, [resolve], None, None)
        assert caught.value.detail["code"] == "choice_unknown"
        await bench.changes.change(ADA, document_id, [{**resolve, "choice": "value", "value": 9}], None, None)
        assert (await bench.documents.get(ADA, document_id)).state["p"] == 9

    async def test_one_conflict_a_path_with_the_first_base_and_the_latest_loser(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", 1))
        first = (await bench.take(PHONE, document_id, 1, 0, put("/p", 2))).conflicts[0]
        second = (await bench.take(ADA, document_id, 2, 1, put("/p", 3))).conflicts[0]
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert conflict == second
        assert (conflict.conflict_id, conflict.base) == (first.conflict_id, 0)
        assert (conflict.winner, conflict.loser) == (3, 2)

    async def test_resolving_and_writing_in_one_change_leaves_the_new_conflict_open(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        await bench.take(ADA, document_id, 1, 0, put("/p", 1))
        old = only((await bench.take(PHONE, document_id, 1, 0, put("/p", 2))).conflicts)
        resolve = {"op": "resolve", "conflict_id": old.conflict_id, "choice": "theirs"}
        for seq, operations in ((2, [resolve, put("/p", 4)]), (3, [put("/p", 6)])):
            logged = await bench.take(ADA, document_id, seq, 1, *operations)
            assert logged.verdict is Verdict.APPLIED
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert conflict.conflict_id != old.conflict_id
        assert (conflict.winner, conflict.loser) == (4, 2)

    async def test_open_conflicts_have_a_limit(self, lab: Lab) -> None:
        bench, document_id = await _two_devices(lab)
        mine = [change(ADA, n, 0, put(f"/f/{n}", "mine")) for n in range(1, OPEN_CONFLICTS_MAX + 2)]
        theirs = [change(PHONE, n, 0, put(f"/f/{n}", "theirs")) for n in range(1, OPEN_CONFLICTS_MAX + 2)]
        await bench.send(ADA, document_id, *mine)
        outcome = await bench.send(PHONE, document_id, *theirs)
        assert [c.verdict for c in outcome.logged] == [Verdict.APPLIED] * OPEN_CONFLICTS_MAX + [Verdict.REJECTED]
        last = outcome.logged[-1]
        assert last.detail is not None
        assert last.detail["code"] == "too_many_conflicts"
        assert len(await bench.documents.conflicts(ADA, document_id)) == OPEN_CONFLICTS_MAX
        state = (await bench.documents.get(ADA, document_id)).state
        assert state["f"][str(OPEN_CONFLICTS_MAX + 1)] == "mine"


async def _two_devices(lab: Lab) -> tuple[Bench, str]:
    bench = await lab.open()
    opened = await bench.document({"p": 0, "o": {}})
    await bench.document(actor=PHONE)
    return bench, opened.document.document_id
