"""The protocol as steps, R1 to W7 of docs/explanation/cache.md. Between any two steps of a process everything else can happen.

Steps are drawn together where that changes nothing that can be seen: a read starts, gets its value, judges the age of its look and serves at one
moment (a read that started earlier has the weaker promise, one that judges later serves less); the row's lock is taken when the look is judged (what
others do between the two does not concern this row); a failed publish looks at the fence and raises it at one moment (the raise names the number that
the look showed, and an open epoch of that number cannot close). Reading the truth from SQL is right at any time and no step of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.model.reading import fill, lease, read, read_sql
from tests.model.rules import Row
from tests.model.turn import Turn
from tests.model.world import LOCKED, OWING, Move, World, is_fence_locked
from tests.model.writing import (
    begin_write,
    clean,
    commit_after_raise,
    commit_degraded,
    commit_marked,
    commit_raise,
    has_open_look,
    is_row_locked,
    judge,
    mark,
    publish,
    queued,
    remark,
    settle,
    touch,
    unmarked,
    waited,
)


def steps(world: World, row: Row, who: int, moves: list[Move]) -> None:
    """What this process can do next of its own will."""
    turn = Turn(world, row, who, moves)
    at = turn.process.at
    if at != "idle":
        STEPS[at](turn)
        if row.busy_looks:
            fence(turn)
        return
    fence(turn)
    roles = row.roles[who]
    if "R" in roles:
        read(turn)
    if "W" in roles:
        begin_write(turn)
    if "T" in roles:
        begin_touch(turn)


def fence(turn: Turn) -> None:
    """Looks; opens the epoch that it has seen closed for F; raises the fence when it is bound to another server than the one I reach."""
    process, world = turn.process, turn.world
    look(turn)
    if not world.is_open and not is_fence_locked(world) and may_open(turn):
        turn.go("OPEN", process, world._replace(is_open=True))
    if world.is_forked and process.number == world.number and not turn.is_bound(world.number) and turn.can_raise():
        following = turn.raised(server=process.server)
        turn.go("RAISE onto the other server", process._replace(**turn.after_raise(following)), following)


def look(turn: Turn) -> None:
    process = turn.process
    if turn.row.planted.look_aged_from_reply and process.at == "idle":
        turn.go(
            "look is asked", process._replace(at="looking", epoch=turn.world.number, version=int(turn.world.is_open))
        )
        return
    turn.go("looks: open" if turn.world.is_open else "looks: closed", process._replace(**turn.looked()))


def take_look(turn: Turn) -> None:
    """A planted error only: the age begins when the reply is there."""
    process = turn.process
    age = 0 if process.version else turn.closed
    seen = process.seen if process.number == process.epoch else 0
    turn.go("look is answered", turn.idle(number=process.epoch, age=age, seen=seen))


def may_open(turn: Turn) -> bool:
    """By what I have seen, on my own clock."""
    process, world, planted = turn.process, turn.world, turn.row.planted
    if not turn.is_bound(world.number):
        return False
    if planted.open_from_raised_at:
        return process.number == world.number and world.raised >= turn.row.life
    if process.number != world.number and not (planted.open_without_number and process.number >= 0):
        return False
    return process.seen >= turn.row.life or planted.open_at_once


def begin_touch(turn: Turn) -> None:
    """SQL only, then a publish without token: touching. It takes the row's lock for a moment."""
    process, world = turn.process, turn.world
    if has_open_look(turn) and not is_row_locked(turn):
        turn.go("touches", process._replace(at="touching", epoch=process.number, version=world.version), is_chance=True)


STEPS: dict[str, Callable[[Turn], None]] = {
    "leasing": lease,
    "reading": read_sql,
    "filling": fill,
    "queued": queued,
    "marking": mark,
    "unmarked": unmarked,
    "remarking": remark,
    "marked": commit_marked,
    "raising": commit_raise,
    "raised": commit_after_raise,
    "degraded": commit_degraded,
    "publishing": publish,
    "published": judge,
    "unsure": settle,
    "cleaning": clean,
    "waiting": waited,
    "touching": touch,
    "looking": take_look,
}
assert set(STEPS) > LOCKED | OWING
