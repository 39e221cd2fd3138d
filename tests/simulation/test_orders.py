"""Orders of steps in which a protocol with one rule less serves what it must not. Each is played step by step on the real code, right and with that rule
taken out: the errors that chance finds too rarely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from sessile.model.session import Session
from tests.simulation.plants import PLANTS
from tests.simulation.play import SESSION_ID, Play
from tests.simulation.world import PERIOD_S, Operation, Process

_STEPS_MAX: Final = 500


class Order:
    """Two processes whose steps a test orders; nothing happens by itself. `writer` ends the session, `reader` reads it."""

    def __init__(self) -> None:
        self.play = Play(0)
        self.world = self.play.world
        self.world.is_faulty = False
        self.writer, self.reader = self.play.processes[0], self.play.processes[1]

    def start(self, process: Process, coroutine: Any) -> Operation:
        results: list[Any] = []
        operation = Operation(process.name, coroutine, results.append, 0.0)
        operation.results = results  # type: ignore[attr-defined]
        return operation

    def ending(self) -> Operation:
        return self.start(self.writer, self.writer.store.write(self.play.end_work()))

    def reading(self) -> Operation:
        return self.start(self.reader, self.reader.cached.get(SESSION_ID))

    def until(self, operation: Operation, is_reached: Callable[[], bool]) -> None:
        for _ in range(_STEPS_MAX):
            if is_reached():
                return
            assert not operation.go_on(), "it is over before that"
        raise AssertionError("it never gets there")

    def finish(self, operation: Operation) -> Any:
        """Its result; time passes while it waits."""
        for _ in range(_STEPS_MAX):
            if operation.go_on():
                return operation.results[0]  # type: ignore[attr-defined]
            self.world.now += PERIOD_S / 50
        raise AssertionError("it never ends")

    def step_over(self, operation: Operation, call: str, process: Process) -> None:
        """The call, and its answer."""
        self.until(operation, lambda: process.cache.about_to == call)
        operation.go_on()
        operation.go_on()

    def know(self, process: Process) -> None:
        self.finish(self.start(process, process.looks.look()))

    def is_accepted(self) -> bool:
        found: Session = self.finish(self.reading())
        return found.ended_at is None

    def evict(self) -> None:
        for server in self.world.servers:
            server.flush()

    def late_filler(self) -> tuple[Operation, Operation]:
        """The writer has marked, the mark is evicted, the reader has leased and read what was there before, the writer has committed."""
        self.know(self.writer)
        self.know(self.reader)
        ending, reading = self.ending(), self.reading()
        self.until(ending, lambda: self.writer.store.is_about_to_commit)
        self.evict()
        self.until(reading, lambda: self.reader.cache.about_to == "fill")
        self.until(ending, lambda: self.writer.cache.about_to == "publish")
        return ending, reading


def lease_before_the_publication(order: Order) -> bool:
    ending, reading = order.late_filler()
    order.finish(ending)
    order.finish(reading)
    return order.is_accepted()


def value_before_the_publication(order: Order) -> bool:
    ending, reading = order.late_filler()
    order.finish(reading)
    order.finish(ending)
    return order.is_accepted()


def publication_is_lost(order: Order) -> bool:
    ending, reading = order.late_filler()
    order.finish(reading)
    order.writer.cache.faults["publish"] = "lost"
    order.finish(ending)
    return order.is_accepted()


def epoch_is_replaced_before_the_commit(order: Order) -> bool:
    """The writer marks in one epoch and stands still; meanwhile others begin the next one, open it, and read what was there before."""
    order.know(order.writer)
    ending = order.ending()
    order.until(ending, lambda: order.writer.store.is_about_to_commit)
    order.know(order.reader)
    last = order.reader.looks.last
    assert last is not None
    order.world.is_locked = False  # a fence is another row than a session
    order.finish(order.start(order.reader, order.reader.looks.raise_(last.fence.number)))
    order.world.now += PERIOD_S * 1.1
    order.finish(order.start(order.reader, order.reader.cached.keep()))
    order.know(order.reader)
    reading = order.reading()
    order.until(reading, lambda: order.reader.cache.about_to == "fill")
    order.finish(ending)
    order.finish(reading)
    return order.is_accepted()


def commit_with_an_old_look(order: Order) -> bool:
    """A look that was long on its way shows an epoch as open that is over: it must count from when it was asked for."""
    looking = order.start(order.reader, order.reader.looks.look())
    looking.go_on()
    looking.go_on()  # read, the answer is under way
    order.know(order.reader)
    filling = order.reading()
    order.finish(filling)
    order.writer.cache.is_cut_off = True
    order.know(order.writer)
    order.writer.cache.faults["mark"] = "lost"
    order.finish(order.ending())
    order.finish(looking)
    return order.is_accepted()


def another_epoch_is_opened(order: Order) -> bool:
    """The reader has an open look at one epoch, and what was there before is in the cache. The next epoch begins, and the writer opens and uses it."""
    order.know(order.reader)
    order.finish(order.reading())
    last = order.reader.looks.last
    assert last is not None
    order.finish(order.start(order.writer, order.writer.looks.raise_(last.fence.number)))
    order.finish(order.start(order.writer, order.writer.cached.keep()))
    order.finish(order.ending())
    return order.is_accepted()


def epoch_opens_before_the_commit(order: Order) -> bool:
    """The writer sees the epoch closed and does not mark; before it commits, the epoch is opened, and what was there before gets into the cache."""
    order.know(order.reader)
    last = order.reader.looks.last
    assert last is not None
    order.finish(order.start(order.reader, order.reader.looks.raise_(last.fence.number)))
    ending = order.ending()
    order.until(ending, lambda: order.writer.store.is_about_to_commit)
    order.world.is_locked = False  # a fence is another row than a session
    order.world.now += PERIOD_S * 1.1
    order.finish(order.start(order.reader, order.reader.cached.keep()))
    order.finish(order.reading())
    order.finish(ending)
    order.know(order.reader)
    return order.is_accepted()


def another_server_answers(order: Order) -> bool:
    """The reader reaches a server that has an old copy of all entries."""
    order.know(order.writer)
    order.know(order.reader)
    order.finish(order.reading())
    first, second = order.world.servers
    second.entries = dict(first.entries)
    order.finish(order.ending())
    order.reader.cache.at = second
    return order.is_accepted()


def writer_dies_before_the_commit(order: Order) -> bool:
    """What is read meanwhile was never committed."""
    order.know(order.writer)
    order.know(order.reader)
    ending = order.ending()
    order.until(ending, lambda: order.writer.store.is_about_to_commit)
    found: Session = order.finish(order.reading())
    ending.coroutine.close()
    return found.ended_at is not None


ORDERS: Final[dict[str, tuple[Callable[[Order], bool], str]]] = {
    "a lease from before": (lease_before_the_publication, "a publication keeps a lease"),
    "a value from before": (value_before_the_publication, "a publication keeps a value"),
    "the publication is lost": (publication_is_lost, "a failed publication is ignored"),
    "the epoch is replaced": (epoch_is_replaced_before_the_commit, "an old look is good enough for a writer"),
    "the epoch opens before the commit": (epoch_opens_before_the_commit, "no second look after the commit"),
    "another epoch is opened": (another_epoch_is_opened, "opened at once"),
    "another server answers": (another_server_answers, "any server is believed"),
    "the writer dies before the commit": (writer_dies_before_the_commit, "published before the commit"),
    "a look that was long on its way": (commit_with_an_old_look, "a look ages from its answer"),
}


@pytest.mark.parametrize("name", ORDERS)
def test_the_truth_is_served(name: str) -> None:
    assert not ORDERS[name][0](Order())


@pytest.mark.parametrize("name", ORDERS)
def test_without_the_rule_it_is_not(name: str) -> None:
    play, plant = ORDERS[name]
    with PLANTS[plant]():
        assert play(Order())
