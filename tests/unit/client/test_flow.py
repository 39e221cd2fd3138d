from __future__ import annotations

import json

from sessile.client.effects import Pending
from sessile.client.flow import FRAME_BYTES_AIM, IN_FLIGHT_MAX, Flow
from sessile.model.limits import CHANGES_PER_FRAME_MAX, FRAME_BYTES_MAX


def entries(first: int, last: int, *, size: int = 1, generation: int | None = 0) -> list[Pending]:
    value = "x" * size
    return [
        Pending(
            nonce=str(seq),
            operations=[{"op": "set", "path": "/a", "value": value}],
            base_version=seq,
            generation=generation,
            device_id="d",
            seq=seq,
        )
        for seq in range(first, last + 1)
    ]


def opened() -> Flow:
    flow = Flow()
    flow.open()
    return flow


def test_nothing_goes_out_before_the_document_is_open() -> None:
    assert Flow().room == 0
    assert opened().room > 0


def test_changes_go_out_once_and_in_order() -> None:
    flow = opened()
    assert [change["seq"] for change in flow.next_frame(entries(1, 3), 0)] == [1, 2, 3]
    assert flow.sent == 3
    assert [change["seq"] for change in flow.next_frame(entries(4, 4), 0)] == [4]
    assert list(flow.in_flight) == [1, 2, 3, 4]
    flow.acknowledged(3)
    assert list(flow.in_flight) == [4]


def test_unanswered_changes_are_bounded() -> None:
    flow = opened()
    first = 1
    while (room := flow.room) > 0:
        flow.next_frame(entries(first, first + room - 1), 0)
        first = flow.sent + 1
    assert len(flow.in_flight) == IN_FLIGHT_MAX
    flow.acknowledged(150)
    assert flow.room == CHANGES_PER_FRAME_MAX


def test_a_frame_fits_into_the_limit_of_the_server() -> None:
    flow = opened()
    changes = flow.next_frame(entries(1, 5, size=30_000), 0)
    assert len(changes) == 2
    assert len(json.dumps(changes)) < FRAME_BYTES_AIM < FRAME_BYTES_MAX


def test_a_change_that_fills_a_frame_alone_goes_out_alone() -> None:
    flow = opened()
    assert [change["seq"] for change in flow.next_frame(entries(1, 2, size=FRAME_BYTES_AIM), 0)] == [1]


def test_changes_made_before_the_document_was_seen_wait_for_its_generation() -> None:
    flow = opened()
    waiting = [*entries(1, 1, generation=4), *entries(2, 2, generation=None), *entries(3, 3, generation=5)]
    assert [change["generation"] for change in flow.next_frame(waiting, None)] == [4]
    assert [change["generation"] for change in flow.next_frame(waiting[1:], 7)] == [7, 5]


def test_a_new_connection_sends_everything_again_and_forgets_old_reads() -> None:
    flow = opened()
    flow.next_frame(entries(1, 3), 0)
    term = flow.term
    flow.open()
    assert (flow.sent, flow.in_flight) == (0, ())
    assert flow.term != term


def test_a_rewind_goes_back_and_keeps_everything() -> None:
    flow = opened()
    flow.next_frame(entries(1, 9), 0)
    flow.rewind(4)
    assert flow.sent == 4
    assert flow.in_flight == ()
    assert [change["seq"] for change in flow.next_frame(entries(5, 9), 0)] == [5, 6, 7, 8, 9]
