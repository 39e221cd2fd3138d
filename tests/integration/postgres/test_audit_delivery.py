"""A transaction that began earlier and commits later than others: the tail misses its events, and a sink does not."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from sessile.engine.delivery import DeliveryEngine
from sessile.model.audit import AuditEvent
from sessile.ports import Transaction
from sessile.runtime.delivery import Delivery, carry_here
from sessile.runtime.lane import drive
from sessile.testing import FakeClock
from sessile.testing.lab import Bench


class Kept:
    name = "kept"

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []

    def deliver(self, events: Sequence[AuditEvent]) -> None:
        self.got += [(event.stream, event.position) for event in events]


def _note(tx: Transaction, stream: str, at: datetime) -> None:
    tx.audit([AuditEvent(stream=stream, type="noted", at=at)])


def test_what_commits_behind_what_was_delivered_is_delivered(bench: Bench) -> None:
    sink, clock = Kept(), bench.clock
    assert isinstance(clock, FakeClock)
    one = Delivery(sink, DeliveryEngine(bench.store, clock), clock, carry_here)
    has_written, may_commit = threading.Event(), threading.Event()

    def late(tx: Transaction, at: datetime) -> None:
        _note(tx, "late", at)
        has_written.set()
        assert may_commit.wait(30)

    # One transaction holds its event; another, which began after it, commits before it and is delivered.
    slow = threading.Thread(target=lambda: drive(bench.store.write(late, clock.now())))
    slow.start()
    try:
        assert has_written.wait(30)
        clock.advance(5)
        drive(bench.store.write(_note, "quick", clock.now()))
        drive(one.round())
        assert sink.got == [("quick", 1)]
        mark = drive(bench.audits.tail(None, 10)).after
    finally:
        may_commit.set()
        slow.join(30)
    assert drive(bench.audits.tail(mark, 10)).events == [], "a mark on the time alone never sees it"
    drive(one.round())
    assert sink.got == [("quick", 1), ("late", 1)]
    drive(one.round())
    assert len(sink.got) == 2
