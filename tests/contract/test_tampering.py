"""Each way to tamper with the audit log is found, with the place, on each store and in each lane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sessile.model.audit import AuditEvent, AuditStream, chained
from sessile.testing.lab import Bench, Lab
from sessile.testing.lanes import LANES
from tests.contract.tampering import Change, drop_chain, move_chain, rewrite
from tests.contract.test_mutants import STORES

STREAM, OTHER = "user:ada", "user:eve"
CHANGED = "who it was about, or what it says, is not as it was written"
NOT_WRITTEN = "it is not as it was written"
NOT_BEHIND = "it does not follow the event before it"


def changed(position: int, **values: object) -> Change:
    """One event with other values, its hashes left as they are."""
    return lambda events: [replace(e, **values) if e.position == position else e for e in events]  # type: ignore[arg-type]


def without(position: int) -> Change:
    return lambda events: [event for event in events if event.position != position]


def swapped(events: list[AuditEvent]) -> list[AuditEvent]:
    first, second, third, fourth = events
    return [first, replace(third, position=2), replace(second, position=3), fourth]


def closed_up(events: list[AuditEvent]) -> list[AuditEvent]:
    """The second one is taken out, and the others move up."""
    return [events[0], *(replace(event, position=event.position - 1) for event in events[2:])]


def rewritten(events: list[AuditEvent]) -> list[AuditEvent]:
    """An event with another text, with hashes that fit it; those behind it are as they were."""
    second = chained(replace(events[1], data={"roles": ["none"]}), 2, events[0].hash, b"salt" * 4)
    return [events[0], second, *events[2:]]


def other_salt(events: list[AuditEvent]) -> list[AuditEvent]:
    return [replace(event, salt=b"another salt is here") if event.position == 3 else event for event in events]


EARLIER = timedelta(seconds=-1)
CASES: dict[str, tuple[Change, list[tuple[int, str]]]] = {
    "data": (changed(2, data={"roles": ["x"]}), [(2, CHANGED)]),
    "user": (changed(2, user_id="eve"), [(2, CHANGED)]),
    "salt": (other_salt, [(3, CHANGED)]),
    "type": (changed(3, type="principal_disabled"), [(3, NOT_WRITTEN)]),
    "time": (lambda events: changed(4, at=events[3].at + EARLIER)(events), [(4, NOT_WRITTEN)]),
    "session": (changed(1, session_id="01900000-0000-7000-8000-000000000000"), [(1, NOT_WRITTEN)]),
    "document": (changed(1, document_id="01900000-0000-7000-8000-000000000000"), [(1, NOT_WRITTEN)]),
    "erased": (changed(2, salt=None, user_id=None, data={}), []),
    "middle deleted": (without(2), [(3, "position 2 is missing")]),
    "first deleted": (without(1), [(2, "position 1 is missing")]),
    "last deleted": (without(4), [(0, "it ends at position 3 and not at 4 as written")]),
    "all deleted": (lambda _events: [], [(0, "it ends at position 0 and not at 4 as written")]),
    "closed up": (
        closed_up,
        [(2, NOT_BEHIND), (3, NOT_WRITTEN), (0, "it ends at position 3 and not at 4 as written")],
    ),
    "reordered": (swapped, [(2, NOT_BEHIND), (3, NOT_BEHIND), (4, NOT_BEHIND)]),
    "rewritten": (rewritten, [(3, NOT_BEHIND)]),
}
"""Erasing what is personal is no tampering: the chain holds without it."""


async def written(lab: Lab) -> Bench:
    bench = await lab.open()
    for user_id in ("ada", "eve"):
        for number in range(4):
            await bench.principals.change(user_id, None, [f"role{number}"])
            lab.clock.advance(10)
    return bench


def in_lab(store: str, lane: str, place: Path, body: Callable[[Lab], object]) -> None:
    contract = STORES[store]()
    lab = Lab(LANES[lane], contract.make_store, place)

    async def run() -> None:
        try:
            await body(lab)  # type: ignore[misc]
        finally:
            await lab.close()

    LANES[lane].run(run())


EVERYWHERE = pytest.mark.parametrize(("store", "lane"), [(store, lane) for store in STORES for lane in LANES])


@EVERYWHERE
@pytest.mark.parametrize("case", CASES)
def test_tampering_is_found(case: str, store: str, lane: str, tmp_path: Path) -> None:
    change, faults = CASES[case]

    async def body(lab: Lab) -> None:
        bench = await written(lab)
        assert (await bench.audits.verify(None)).faults == []
        rewrite(bench.store, STREAM, change(await bench.audit(STREAM)))
        for asked in (STREAM, None):
            found = (await bench.audits.verify(asked)).faults
            assert {fault.stream for fault in found} <= {STREAM}
            assert [(fault.position, fault.problem) for fault in found] == faults
        assert (await bench.audits.verify(OTHER)).faults == []

    in_lab(store, lane, tmp_path, body)


@EVERYWHERE
def test_a_chain_of_another_stream_is_found(store: str, lane: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        bench = await written(lab)
        theirs = [replace(event, stream=STREAM) for event in await bench.audit(OTHER)]
        last = theirs[-1]
        rewrite(bench.store, STREAM, theirs)
        move_chain(bench.store, AuditStream(STREAM, last.position, last.hash))
        found = (await bench.audits.verify(STREAM)).faults
        assert [(fault.position, fault.problem) for fault in found] == [(n, NOT_WRITTEN) for n in (1, 2, 3, 4)]

    in_lab(store, lane, tmp_path, body)


@EVERYWHERE
def test_a_chain_that_says_something_else_is_found(store: str, lane: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        bench = await written(lab)
        events = await bench.audit(STREAM)
        third = events[2]
        for said, position in (
            (AuditStream(STREAM, 4, third.hash), 0),
            (AuditStream(STREAM, 5, events[3].hash), 0),
            (AuditStream(STREAM, 4, events[3].hash, 1, third.hash), 2),
        ):
            move_chain(bench.store, said)
            assert position in {fault.position for fault in (await bench.audits.verify(STREAM)).faults}
        rewrite(bench.store, STREAM, events[1:])
        move_chain(bench.store, AuditStream(STREAM, 4, events[3].hash, 1, events[0].hash))
        assert (await bench.audits.verify(STREAM)).faults == [], "without its first event, as retention leaves it"
        drop_chain(bench.store, STREAM)
        assert (await bench.audits.verify(STREAM)).faults, "events of a stream that was never written"

    in_lab(store, lane, tmp_path, body)


@EVERYWHERE
def test_events_without_a_chain_are_found_among_all_streams(store: str, lane: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        bench = await written(lab)
        drop_chain(bench.store, STREAM)
        (fault,) = (await bench.audits.verify(None)).faults
        assert (fault.stream, fault.position) == (STREAM, 0)
        assert "no chain" in fault.problem

    in_lab(store, lane, tmp_path, body)


@EVERYWHERE
def test_a_tail_cut_off_with_its_end_is_found_with_a_note_from_elsewhere(store: str, lane: str, tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        bench = await written(lab)
        events = await bench.audit(STREAM)
        noted = AuditStream(STREAM, events[3].position, events[3].hash)
        rewrite(bench.store, STREAM, events[:2])
        move_chain(bench.store, AuditStream(STREAM, 2, events[1].hash))
        assert (await bench.audits.verify(None)).faults == [], "nobody can see it in the database alone"
        assert [fault.position for fault in (await bench.audits.verify(None, [noted])).faults] == [4]

    in_lab(store, lane, tmp_path, body)
