"""Every world that can be reached, breadth first, each once; what must hold in it; and the shortest way to what does not."""

from __future__ import annotations

import gc
import time
from collections import deque
from dataclasses import dataclass

from tests.model.canonical import canonical
from tests.model.faults import faults
from tests.model.protocol import steps
from tests.model.rules import Row
from tests.model.world import OWING, VALUE, Move, World, beginning, can_raise

Parents = dict[World, tuple[str, World] | None]

KNOWN_MAX = 300_000


@dataclass(frozen=True)
class Result:
    """What was found (empty: nothing), by which steps, how many worlds were seen, and whether these are all. `duration_s` is of processor time."""

    row: str
    found: str
    trace: tuple[str, ...]
    states: int
    is_exhausted: bool
    duration_s: float

    @property
    def broken(self) -> str:
        """The property alone: P1, P2, P2b, P3, P4, or empty."""
        return self.found.split(" ")[0]

    def __str__(self) -> str:
        figures = f"{self.states} states, {self.duration_s:.1f} s"
        if self.found:
            numbered = "".join(f"\n  {number:2} {what}" for number, what in enumerate(self.trace, 1))
            return f"{self.row}: {self.found}, {len(self.trace)} steps ({figures}){numbered}"
        return f"{self.row}: nothing found ({figures}{'' if self.is_exhausted else ', NOT exhausted'})"


def moves_of(world: World, row: Row) -> list[Move]:
    """All that can happen next."""
    moves: list[Move] = []
    for who in range(len(world.processes)):
        steps(world, row, who, moves)
    faults(world, row, moves)
    return moves


def explore(row: Row, states_max: int = 10_000_000) -> Result:
    """Until something is found, all is seen, or there are too many."""
    gc.disable()  # millions of small tuples, none of them in a circle
    try:
        return Search(row).run(states_max)
    finally:
        gc.enable()


class Search:
    """One exploration."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.started = time.process_time()
        self.start = canonical(beginning(row), row)
        self.parents: Parents = {self.start: None}
        self.known: dict[World, World] = {}
        self.before: dict[World, list[World]] = {}
        self.serving: list[World] = []

    def run(self, states_max: int) -> Result:
        queue = deque([self.start])
        while queue:
            world = queue.popleft()
            if broken := invariant(world, self.row):
                return self.result(broken, self.way(world))
            if self.row.checks_return and serves_truth(world, self.row):
                self.serving.append(world)
            for move in moves_of(world, self.row):
                if move.broken:
                    return self.result(move.broken, (*self.way(world), move.what))
                following = self.canonical(move.world)
                if following not in self.parents:
                    self.parents[following] = (move.what, world)
                    queue.append(following)
                if self.row.checks_return and not move.is_chance:
                    self.before.setdefault(following, []).append(world)
            if len(self.parents) > states_max:
                return self.result("", (), is_exhausted=False)
        lost = self.without_return() if self.row.checks_return else None
        return self.result("P4 never serves from the cache again", self.way(lost)) if lost else self.result("", ())

    def canonical(self, world: World) -> World:
        """Remembered, as most worlds are reached in several ways."""
        known = self.known.get(world)
        if known is None:
            if len(self.known) > KNOWN_MAX:
                self.known.clear()
            known = self.known[world] = canonical(world, self.row)
        return known

    def without_return(self) -> World | None:
        """The first world from which no fault-free way leads back to serving the truth."""
        good = set(self.serving)
        while self.serving:
            for world in self.before.get(self.serving.pop(), ()):
                if world not in good:
                    good.add(world)
                    self.serving.append(world)
        return next((world for world in self.parents if world not in good and not is_at_end(world, self.row)), None)

    def way(self, world: World) -> tuple[str, ...]:
        trace: list[str] = []
        step = self.parents[world]
        while step is not None:
            trace.append(step[0])
            step = self.parents[step[1]]
        return tuple(reversed(trace))

    def result(self, found: str, trace: tuple[str, ...], is_exhausted: bool = True) -> Result:
        duration_s = time.process_time() - self.started
        return Result(self.row.name, found, trace, len(self.parents), is_exhausted, duration_s)


def is_at_end(world: World, row: Row) -> bool:
    """Two servers, and the model has no number left with which the other one could be chosen."""
    return row.fork and not can_raise(world, row)


def serves_truth(world: World, row: Row) -> bool:
    """Some process would serve the truth from the cache now."""
    entry = world.keys[world.servers[-1]][world.number]
    return entry == (VALUE, world.version) and any(
        process.number == world.number and process.age < row.life and process.server == world.servers[-1]
        for process in world.processes
    )


def invariant(world: World, row: Row) -> str:
    """P2b and P3, which are no promises to a caller: when no writer owes the cache anything, the entry that can be reached is the truth."""
    if row.promises_only:
        return ""
    for keys in world.keys:
        for entry in keys:
            if entry and entry[0] == VALUE and entry[1] > world.version:
                return "P3 an entry that SQL never held"
    entry = world.keys[world.servers[-1]][0 if row.planted.no_epoch_in_key else world.number]
    if not entry or entry[0] != VALUE or entry[1] >= world.version or (world.is_residual and not row.no_residual):
        return ""
    if any(process.at in OWING for process in world.processes):
        return ""
    return "P2b stale, and no writer is left who would mend it"
