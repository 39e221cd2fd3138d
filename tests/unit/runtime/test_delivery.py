"""When the audit log is delivered: what fails is tried again, nothing is missed, and one at a time delivers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from sessile.engine.delivery import DeliveryEngine
from sessile.model.audit import AuditEvent
from sessile.ports import Transaction
from sessile.runtime import delivery as module
from sessile.runtime.delivery import Delivery, carry_aside, carry_here
from sessile.runtime.lane import drive
from sessile.runtime.sinks import SinkFailed
from sessile.stores.memory import MemoryStore
from sessile.testing import FakeClock


class Kept:
    """A sink that fails `failures` times, after it took what it was given if `takes_before` says so."""

    name = "kept"

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.failures = 0
        self.takes_before = False

    def deliver(self, events: Sequence[AuditEvent]) -> None:
        if self.failures and not self.takes_before:
            self.failures -= 1
            raise SinkFailed("it is down")
        self.got += [(event.stream, event.position) for event in events]
        if self.failures:
            self.failures -= 1
            raise SinkFailed("it said nothing")


class Site:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.sink = Kept()
        self.delivery = self.another()

    def another(self) -> Delivery:
        return Delivery(self.sink, DeliveryEngine(self.store, self.clock), self.clock, carry_here)

    def write(self, stream: str, count: int = 1, at: datetime | None = None) -> None:
        drive(self.store.write(_note, stream, at or self.clock.now(), count))

    def round(self, delivery: Delivery | None = None) -> list[tuple[str, int]]:
        """What it brought."""
        before = len(self.sink.got)
        drive((delivery or self.delivery).round())
        return self.sink.got[before:]


def _note(tx: Transaction, stream: str, at: datetime, count: int) -> None:
    tx.audit([AuditEvent(stream=stream, type="noted", at=at) for _ in range(count)])


def test_all_there_is_then_what_is_new_and_after_a_restart_from_there() -> None:
    site = Site()
    site.write("a", 130)
    site.write("b", 2)
    assert sorted(site.round()) == sorted([("a", n) for n in range(1, 131)] + [("b", 1), ("b", 2)])
    assert site.round() == []
    site.write("a")
    assert site.round() == [("a", 131)]
    restarted = site.another()
    assert site.round(restarted) == []
    site.write("b")
    assert site.round(restarted) == [("b", 3)]


def test_a_stream_keeps_its_order_where_two_nodes_clocks_differ() -> None:
    site = Site()
    now = site.clock.now()
    for seconds in (10, 0, 20):
        site.write("a", at=now + timedelta(seconds=seconds))
    site.write("b", at=now + timedelta(seconds=15))
    assert site.round() == [("a", 1), ("a", 2), ("b", 1), ("a", 3)]


def test_what_commits_late_is_not_missed() -> None:
    site = Site()
    began = site.clock.now()
    site.write("early")
    assert site.round()
    site.clock.advance(20)
    site.write("other")
    assert site.round()
    # A transaction that took its time at the beginning and commits only now, behind everything that was delivered since.
    site.write("late", at=began)
    assert site.round() == [("late", 1)]
    site.clock.advance(module.WHOLE_LOOK_S - 30)
    assert site.round() == []
    site.write("later than any horizon", at=began)
    assert site.round() == [], "not yet: that is what a look by time cannot see"
    site.clock.advance(10)
    assert site.round() == [("later than any horizon", 1)], "and the whole look does"


def test_a_sink_that_is_down_gets_everything_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    site.write("a", 3)
    site.sink.failures = 3
    waits = 0
    with caplog.at_level(logging.INFO, "sessile.audit"):
        while not site.sink.got:
            failed = site.sink.failures
            drive(site.delivery.round())
            if site.sink.failures == failed and not site.sink.got:
                waits += 1
            site.clock.advance(1)
            assert waits < 20
    assert site.sink.got == [("a", 1), ("a", 2), ("a", 3)]
    assert waits >= 3, "it is not asked in every round"
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3 + ["INFO"]


def test_the_wait_between_tries_grows_and_has_an_end() -> None:
    site = Site()
    site.write("a")
    site.sink.failures = 30
    for _ in range(30):
        drive(site.delivery.round())
        site.clock.advance(300)
    assert site.sink.failures == 0, "never more than five minutes"


def test_what_was_taken_and_not_answered_comes_again() -> None:
    site = Site()
    site.write("a", 2)
    site.sink.failures, site.sink.takes_before = 1, True
    assert site.round() == [("a", 1), ("a", 2)]
    site.clock.advance(5)
    assert site.round() == [("a", 1), ("a", 2)]
    assert site.round() == []


def test_another_process_takes_over_from_one_that_died() -> None:
    site = Site()
    site.write("a")
    dead, heir = site.another(), site.another()
    assert drive(DeliveryEngine(site.store, site.clock).claim("kept", dead._holder, module.LEASE_S))
    assert site.round(heir) == []
    for _ in range(5):
        site.clock.advance(16)
        drive(heir.round())
    assert site.sink.got == [("a", 1)]


def test_a_new_process_goes_on_soon_after_one_that_was_killed() -> None:
    site = Site()
    site.write("a")
    dead, heir = site.another(), site.another()
    assert drive(DeliveryEngine(site.store, site.clock).claim("kept", dead._holder, module.LEASE_S))
    waited_s = 0
    while not site.round(heir):
        site.clock.advance(1)
        waited_s += 1
    assert waited_s <= 33


def test_a_sink_that_takes_longer_than_a_turn_comes_through_all_the_same() -> None:
    """A second a message, and another process that takes the turn as soon as it is free."""
    site = Site()
    site.write("a", 130)
    rival = DeliveryEngine(site.store, site.clock)
    rounds = 0

    class Slow(Kept):
        def deliver(self, events: Sequence[AuditEvent]) -> None:
            super().deliver(events)
            for _ in events:
                site.clock.advance(1)
                if drive(rival.claim(self.name, "rival", 1)):
                    return

    site.sink = Slow()
    slow = site.another()
    while drive(DeliveryEngine(site.store, site.clock).next_batch("kept", None, 1)).positions:
        drive(slow.round())
        site.clock.advance(5)
        rounds += 1
        assert rounds < 40, "it does not come to an end"
    assert {position for _, position in site.sink.got} == set(range(1, 131))


def test_events_that_somebody_removed_are_told_and_hold_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    site.write("a", 2)
    assert len(site.round()) == 2
    site.write("a", 2)
    events = site.store._tables.streams
    events["a"] = events["a"][:2]
    site.clock.advance(module.WHOLE_LOOK_S)
    assert site.round() == []
    assert "2 audit events are gone" in caplog.text
    caplog.clear()
    site.write("a")
    assert site.round() == [("a", 5)]
    assert not caplog.records


def test_an_event_loop_does_not_wait_for_a_sink() -> None:
    """What it raises comes through; where nobody waits any more, nothing happens."""

    async def run() -> None:
        sink = Kept()
        event = AuditEvent(stream="a", type="noted", at=FakeClock().now(), position=1)
        await carry_aside(sink, [event])
        assert sink.got == [("a", 1)]
        sink.failures = 2
        with pytest.raises(SinkFailed):
            await carry_aside(sink, [event])
        left = asyncio.create_task(carry_aside(sink, [event]))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left

    asyncio.run(run())
