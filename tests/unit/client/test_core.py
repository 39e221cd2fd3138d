"""The rules of protocol/README.md one by one. All orders of them together: tests/model_sync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sessile.client.core import RETRY_DELAY_S, DocumentCore
from sessile.client.effects import (
    Acknowledged,
    ConflictOpened,
    Pending,
    RenewIdentity,
    RequestSync,
    Rewind,
    Settled,
    SnapshotTaken,
    Updated,
)
from sessile.model.canonical import state_hash
from sessile.model.document import Operation, Verdict
from sessile.testing import shows

ME, DOCUMENT = "device-me", "document-1"
AT = "2026-01-01T00:00:00.000Z"


def put(path: str, value: Any) -> list[Operation]:
    return [{"op": "set", "path": path, "value": value}]


def snapshot(
    state: Any, *, version: int = 0, epoch: str = "e", generation: int = 0, last_seq: int = 0, **more: Any
) -> Any:
    return {
        "type": "initial_state",
        "document_id": DOCUMENT,
        "epoch": epoch,
        "version": version,
        "generation": generation,
        "state": state,
        "hash": state_hash(state),
        "last_seq": last_seq,
        "conflicts": [],
        **more,
    }


def line(version: int, operations: Sequence[Operation], *, device_no: int = 2, seq: int | None = 1, **more: Any) -> Any:
    return {
        "version": version,
        "generation": 0,
        "device_no": device_no,
        "seq": seq,
        "operations": operations,
        "verdict": "applied",
        "at": AT,
        **more,
    }


def update(*lines: Any, epoch: str = "e") -> Any:
    first, last = lines[0]["version"], lines[-1]["version"]
    frame = {"type": "state_update", "document_id": DOCUMENT, "epoch": epoch, "generation": lines[-1]["generation"]}
    return {**frame, "from": first - 1, "to": last, "timestamp": AT, "changes": list(lines)}


def ack(seq: int, *verdicts: Any) -> Any:
    return {"type": "ack", "document_id": DOCUMENT, "epoch": "e", "seq": seq, "verdicts": list(verdicts)}


def nack(reason: str, expected: int, **more: Any) -> Any:
    return {"type": "nack", "document_id": DOCUMENT, "expected_seq": expected, "reason": reason, **more}


def opened_core(*, last_seq: int = 0, acknowledged: int = 0) -> DocumentCore:
    core = DocumentCore()
    assert core.opened({"document_id": DOCUMENT, "device_no": 1, "last_seq": last_seq}, ME, acknowledged) == []
    return core


def live(state: Any = None, *, version: int = 0) -> DocumentCore:
    core = opened_core()
    core.snapshot(snapshot(state or {}, version=version))
    return core


def make(core: DocumentCore, seq: int, operations: Sequence[Operation]) -> Pending:
    change = replace(core.draft(f"n{seq}", operations), device_id=ME, seq=seq)
    core.stored(change)
    return change


# -- rule 2: an update is applied only where it fits ----------------------------------------------------------------


def test_an_update_that_fits_is_applied() -> None:
    core = live({"a": 1})
    changes = update(line(1, put("/b", 2)), line(2, put("/c", 3), seq=2))
    assert core.update(changes) == [Updated(changes["changes"])]
    assert (core.version, core.state) == (2, {"a": 1, "b": 2, "c": 3})


def test_an_update_that_is_known_is_dropped() -> None:
    core = live(version=5)
    assert core.update(update(line(5, put("/b", 2)))) == []
    assert core.state == {}


@shows("G03", "python")
def test_a_gap_asks_for_what_is_missing_once() -> None:
    core = live(version=5)
    assert core.update(update(line(7, put("/b", 2)))) == [RequestSync("gap", ("e", 5))]
    assert core.update(update(line(8, put("/b", 3)))) == []
    assert (core.version, core.is_current) == (5, False)
    core.update(update(line(6, put("/a", 1)), line(7, put("/b", 2)), line(8, put("/b", 3))))
    assert (core.version, core.is_current) == (8, True)


def test_another_epoch_asks_for_a_snapshot() -> None:
    core = live(version=5)
    assert core.update(update(line(6, put("/b", 2)), epoch="other")) == [RequestSync("epoch", None)]
    core.snapshot(snapshot({"z": 1}, version=3, epoch="other"))
    assert (core.position, core.state) == (("other", 3), {"z": 1})


def test_what_was_not_applied_there_is_not_applied_here() -> None:
    core = live()
    core.update(update(line(1, put("/a", 1), verdict="rejected"), line(2, put("/b", 1), verdict="conflict")))
    assert (core.version, core.state) == (2, {})


def test_a_hash_that_differs_asks_for_a_snapshot_and_heals() -> None:
    core = live()
    assert core.update(update(line(1, put("/a", 1), hash="0" * 16))) == [RequestSync("hash", None)]
    assert core.diverged
    assert core.version == 0
    core.snapshot(snapshot({"a": 2}, version=1))
    assert (core.diverged, core.state) == (False, {"a": 2})


def test_an_operation_that_cannot_be_applied_asks_for_a_snapshot() -> None:
    core = live({"a": 1})
    assert core.update(update(line(1, [{"op": "append", "path": "/a", "item": {"id": "x"}}]))) == [
        RequestSync("hash", None)
    ]
    assert core.diverged


def test_a_snapshot_with_a_wrong_hash_is_shown_as_diverged_and_not_asked_for_again() -> None:
    core = opened_core()
    effects = core.snapshot({**snapshot({"a": 1}), "hash": "0" * 16})
    assert core.diverged
    assert effects == [SnapshotTaken()]


# -- rule 3: the view, and when a pending change leaves it ------------------------------------------------------------


def test_the_view_is_the_confirmed_state_with_pending_changes_on_top() -> None:
    core = live({"n": 1})
    make(core, 1, [{"op": "increment", "path": "/n", "by": 10}])
    assert (core.state, core.confirmed) == ({"n": 11}, {"n": 1})
    core.update(update(line(1, put("/n", 100))))
    assert (core.state, core.confirmed) == ({"n": 110}, {"n": 100})


def test_a_pending_change_that_does_not_fit_any_more_is_left_out_and_kept() -> None:
    core = live()
    make(core, 1, put("/a/b", 1))
    make(core, 2, put("/c", 2))
    core.update(update(line(1, put("/a", "text"))))
    assert core.state == {"a": "text", "c": 2}
    assert [change.seq for change in core.unanswered] == [1, 2]


def test_an_ack_does_not_take_a_change_out_of_the_view() -> None:
    core = live()
    make(core, 1, put("/a", 1))
    effects = core.ack(ack(1, {"seq": 1, "version": 1, "verdict": "applied"}))
    assert effects == [Acknowledged(ME, 1)]
    assert (core.state, core.confirmed, core.unanswered) == ({"a": 1}, {}, [])


def test_the_end_is_told_when_both_the_answer_and_the_state_are_here() -> None:
    for ack_first in (True, False):
        core = live()
        change = make(core, 1, put("/a", 1))
        frames = [
            lambda core=core: core.ack(ack(1, {"seq": 1, "version": 1, "verdict": "applied"})),
            lambda core=core: core.update(update(line(1, put("/a", 1), device_no=1))),
        ]
        effects = [effect for frame in (frames if ack_first else frames[::-1]) for effect in frame()]
        settled = [effect for effect in effects if isinstance(effect, Settled)]
        assert [(it.nonce, it.answer.version, it.answer.verdict) for it in settled] == [
            (change.nonce, 1, Verdict.APPLIED)
        ]
        assert core.pending == ()


def covered_by_snapshot() -> DocumentCore:
    core = opened_core(last_seq=1)
    for seq, path in ((1, "/a"), (2, "/b")):
        change = Pending(
            nonce=f"n{seq}", operations=put(path, seq), base_version=0, generation=0, device_id=ME, seq=seq
        )
        core.stored(change)
    assert not any(isinstance(it, Settled) for it in core.snapshot(snapshot({"a": 1}, version=1, last_seq=1)))
    return core


def test_a_snapshot_takes_what_it_contains_out_of_the_view_and_the_answer_ends_it() -> None:
    core = covered_by_snapshot()
    assert [change.nonce for change in core.pending] == ["n2"]
    assert core.state == {"a": 1, "b": 2}
    assert core.held({"n1", "n2"}) == []
    effects = core.ack(ack(1, {"seq": 1, "version": 1, "verdict": "applied"}))
    assert [(it.nonce, it.answer.version) for it in effects if isinstance(it, Settled)] == [("n1", 1)]


def test_a_change_that_another_process_had_acknowledged_ends_when_it_has_left_the_outbox() -> None:
    core = covered_by_snapshot()
    assert [it.nonce for it in core.held({"n2"}) if isinstance(it, Settled)] == ["n1"]
    assert core.held({"n2"}) == []


def test_a_number_that_a_copy_of_the_outbox_used_does_not_end_ours() -> None:
    """The page must not say "saved" of a change whose place another one took; the refusal that follows brings a new identity."""
    core = live()
    make(core, 1, put("/a", "mine"))
    effects = core.update(update(line(1, put("/a", "theirs"), device_no=1)))
    assert not any(isinstance(it, Settled) for it in effects)
    assert core.state == {"a": "mine"}
    assert len(core.unanswered) == 1


def test_a_resolve_is_known_again_with_what_it_caused() -> None:
    core = live()
    resolve: Operation = {"op": "resolve", "conflict_id": "c", "choice": "value", "value": 1}
    make(core, 1, [resolve])
    effects = core.update(update(line(1, [resolve, *put("/a", 1)], device_no=1, resolved=["c"])))
    assert [it.nonce for it in effects if isinstance(it, Settled)] == ["n1"]
    assert core.state == {"a": 1}


def test_an_ack_that_comes_after_the_state_ends_the_change() -> None:
    """Another process on the outbox may have sent it before this one knew its number."""
    core = live()
    core.update(update(line(1, put("/a", 1), device_no=1)))
    make(core, 1, put("/a", 1))
    effects = core.ack(ack(1, {"seq": 1, "version": 1, "verdict": "applied"}))
    assert [it.nonce for it in effects if isinstance(it, Settled)] == ["n1"]
    assert core.pending == ()


def test_an_ack_is_cumulative() -> None:
    core = live()
    for seq in (1, 2, 3):
        make(core, seq, put(f"/{seq}", seq))
    core.ack(ack(2, {"seq": 2, "version": 2, "verdict": "applied"}))
    assert [change.seq for change in core.unanswered] == [3]
    told = [effect for effect in core.ack(ack(2)) if isinstance(effect, Settled)]
    assert told == []  # once is enough


def test_a_change_answered_under_another_log_ends_with_it() -> None:
    """Its answer has come, its version will not: whoever waits must not wait for ever."""
    core = live(version=3)
    make(core, 1, put("/a", 1))
    core.ack(ack(1, {"seq": 1, "version": 9, "verdict": "applied"}))
    effects = core.snapshot(snapshot({}, version=2, epoch="other"))
    assert [effect.nonce for effect in effects if isinstance(effect, Settled)] == ["n1"]
    assert core.pending == ()


def test_a_change_of_an_older_generation_leaves_the_view_and_stays_pending() -> None:
    core = live({"a": 1})
    make(core, 1, put("/a", 2))
    core.update(update(line(1, [{"op": "replace", "value": {"a": 0}}], seq=None, generation=1)))
    assert core.state == {"a": 0}
    assert len(core.unanswered) == 1


def test_a_document_of_the_same_name_with_another_id_starts_over_and_keeps_what_is_unanswered() -> None:
    core = live({"a": 1}, version=4)
    make(core, 1, put("/b", 2))
    core.opened({"document_id": "document-2", "device_no": 1, "last_seq": 0}, ME, 0)
    assert core.position is None
    core.snapshot(snapshot({}, epoch="new"))
    assert core.state == {"b": 2}


# -- rule 5: refusals -------------------------------------------------------------------------------------------------


def test_a_gap_rewinds_at_once_and_then_more_slowly() -> None:
    core = live()
    assert core.nack(nack("gap", 3)) == [Rewind(2, 0.0)]
    assert core.nack(nack("gap", 3)) == [Rewind(2, RETRY_DELAY_S)]
    core.ack(ack(2))
    assert core.nack(nack("gap", 3)) == [Rewind(2, 0.0)]


def test_a_store_that_is_away_is_tried_again_when_it_says() -> None:
    core = live()
    assert core.nack(nack("unavailable", 3, retry_after_ms=2500)) == [Rewind(2, 2.5)]
    assert core.nack(nack("rate", 3)) == [Rewind(2, RETRY_DELAY_S)]


def test_a_reused_identity_is_renewed() -> None:
    assert live().nack(nack("identity_reused", 3)) == [RenewIdentity()]


def test_a_server_that_has_lost_what_it_acknowledged_needs_a_new_identity() -> None:
    core = DocumentCore()
    entry = {"document_id": DOCUMENT, "device_no": 1, "last_seq": 4}
    assert core.opened(entry, ME, 5) == [RenewIdentity()]
    assert core.opened(entry, ME, 4) == []


def test_after_a_new_identity_the_outbox_counts() -> None:
    core = live()
    for seq in (1, 2, 3):
        make(core, seq, put(f"/{seq}", seq))
    core.ack(ack(1, {"seq": 1, "version": 5, "verdict": "applied"}))  # answered, not confirmed: stays
    draft = core.draft("later", put("/4", 4))
    third = next(change for change in core.pending if change.seq == 3)
    effects = core.replace_stored([replace(third, device_id="new", seq=1)])
    assert [effect.nonce for effect in effects if isinstance(effect, Settled)] == ["n2"]  # another process had its ack
    assert [(change.nonce, change.device_id, change.seq) for change in core.pending] == [
        ("n1", ME, 1),
        ("n3", "new", 1),
        (draft.nonce, None, None),
    ]


# -- rule 6: heads ----------------------------------------------------------------------------------------------------


def test_a_head_that_is_ahead_asks_for_what_is_missing() -> None:
    core = live(version=5)
    assert core.head("e", 5) == []
    assert core.head("e", 7) == [RequestSync("gap", ("e", 5))]
    assert core.head("e", 7) == []  # under way
    assert core.head("e", 7) == [RequestSync("gap", ("e", 5))]  # not answered: once more


def test_a_head_of_another_epoch_asks_for_a_snapshot() -> None:
    core = live(version=5)
    assert core.head("other", 5) == [RequestSync("epoch", None)]


# -- conflicts --------------------------------------------------------------------------------------------------------


def conflict(conflict_id: str, path: str, **more: Any) -> Any:
    about = {
        "conflict_id": conflict_id,
        "path": path,
        "reason": "concurrent",
        "winner_device_no": 1,
        "loser_device_no": 2,
    }
    return {**about, "version": 1, "opened_at": AT, **more}


def test_conflicts_open_replace_each_other_by_path_and_close() -> None:
    core = live()
    effects = core.update(update(line(1, put("/a", 1), conflicts=[conflict("c1", "/a", loser=0)])))
    assert [effect.conflict.loser for effect in effects if isinstance(effect, ConflictOpened)] == [0]
    core.update(update(line(2, put("/a", 2), conflicts=[conflict("c2", "/a"), conflict("c3", "/b")])))
    assert [it.conflict_id for it in core.conflicts] == ["c2", "c3"]
    core.update(update(line(3, put("/a", 3), resolved=["c2"])))
    assert [it.conflict_id for it in core.conflicts] == ["c3"]


def test_a_conflict_that_is_being_resolved_is_not_shown() -> None:
    core = live()
    core.update(update(line(1, put("/a", 1), conflicts=[conflict("c1", "/a")])))
    make(core, 1, [{"op": "resolve", "conflict_id": "c1", "choice": "mine"}])
    assert core.conflicts == []
    core.forget("n1")
    assert [it.conflict_id for it in core.conflicts] == ["c1"]


def test_the_outbox_numbers_what_it_stores() -> None:
    core = live()
    with pytest.raises(ValueError, match="numbers"):
        core.stored(core.draft("n", put("/a", 1)))
