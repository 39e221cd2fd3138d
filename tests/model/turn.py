"""The moves of one process in one world: what the steps of the protocol are written with."""

from __future__ import annotations

from typing import Any

from tests.model.calls import execute
from tests.model.rules import Row
from tests.model.world import Late, Move, Process, World, can_raise, free_token, put, raised


class Turn:
    """Collects into `moves` what process `who` can do next."""

    __slots__ = ("closed", "moves", "process", "row", "who", "world")

    def __init__(self, world: World, row: Row, who: int, moves: list[Move]) -> None:
        self.world, self.row, self.who, self.moves = world, row, who, moves
        self.process = world.processes[who]
        self.closed = row.life + 1

    def go(
        self, what: str, process: Process, world: World | None = None, is_chance: bool = False, broken: str = ""
    ) -> None:
        """It may happen that this process becomes `process`, in `world` (None: nothing else changes)."""
        base = self.world if world is None else world
        others = base.processes
        following = base._replace(processes=(*others[: self.who], process, *others[self.who + 1 :]))
        self.moves.append(Move(f"p{self.who} {what}", following, is_chance, broken))

    def idle(self, **changes: Any) -> Process:
        """This process after its operation."""
        return self.process._replace(at="idle", version=0, epoch=-1, look_age=0, token=-1, lost=0, **changes)

    def looked(self) -> dict[str, Any]:
        """What a look would leave in the process now."""
        process, world = self.process, self.world
        seen = process.seen if process.number == world.number else 0
        return {"number": world.number, "age": 0 if world.is_open else self.closed, "seen": seen}

    def is_bound(self, epoch: int) -> bool:
        """Whether the server I am connected to is the one of that epoch."""
        return self.row.planted.no_identity or self.world.servers[epoch] == self.process.server

    def can_raise(self) -> bool:
        return can_raise(self.world, self.row)

    def raised(self, world: World | None = None, server: int | None = None, since: int = 0) -> World:
        world = self.world if world is None else world
        if self.row.planted.raise_keeps_number:
            return world._replace(is_open=False, raised=since)
        return raised(world, server, since)

    def after_raise(self, world: World, since: int = 0) -> dict[str, Any]:
        """What the answer to one's own raise, after its commit, leaves in the process."""
        return {"number": world.number, "age": self.closed, "seen": since}

    def call(
        self, call: str, answered: Process, unanswered: Process, version: int, token: int = -1, promises: bool = False
    ) -> None:
        """A call to the cache for the operation's epoch. It is answered (and then the operation returns, if it `promises`); or carried out
        without an answer; or not carried out; or later."""
        world, process = self.world, self.process
        if self.is_bound(process.epoch):
            slot = 0 if self.row.planted.no_epoch_in_key else process.epoch
            entry = world.keys[process.server][slot]
            after = execute(call, entry, version, token, self.row.planted)
            done = world if after == entry else put(world, process.server, slot, after)
            self.go(call, answered, done._replace(promised=max(done.promised, version)) if promises else done)
            if self.row.is_calm:
                return
            if not self.row.late:  # otherwise: late, but at once
                self.go(f"{call}, carried out, NO ANSWER", unanswered, done, is_chance=True)
            elif world.late is None:
                late = world._replace(late=Late(call, process.server, slot, version, token))
                self.go(f"{call}, NO ANSWER, still under way", unanswered, late, is_chance=True)
        self.go(f"{call} FAILS", unanswered, is_chance=self.is_bound(process.epoch))

    def free_token(self) -> int:
        return self.who if self.row.planted.tokens_reused else free_token(self.world)
