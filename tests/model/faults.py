"""What can happen besides the steps of the protocol: at any point, as often as it likes."""

from __future__ import annotations

from tests.model.calls import execute
from tests.model.rules import Row
from tests.model.world import ABSENT, AGEING, MARK, Move, Process, World, can_raise, put, raised


def faults(world: World, row: Row, moves: list[Move]) -> None:
    """Crashes, lost keys, calls that arrive late, a second server, raises by writers of other sessions, and time."""
    for who, process in enumerate(world.processes):
        if process.at != "idle":
            if not row.is_calm:
                crash(world, row, who, moves)
        elif world.is_forked:
            other = process._replace(server=1 - process.server)
            moves.append(Move(f"p{who} RECONNECTS", replaced(world, who, other), is_chance=True))
    if not row.is_calm:
        lose(world, row, moves)
    if world.late:
        call, server, epoch, version, token = world.late
        entry = execute(call, world.keys[server][epoch], version, token, row.planted)
        moves.append(Move(f"late {call} is carried out", put(world, server, epoch, entry)._replace(late=None)))
    if row.fork and not world.is_forked:
        forked = world._replace(is_forked=True, keys=(world.keys[0], world.keys[0]))
        moves.append(Move("FORK: a second server with what the first one has", forked, is_chance=True))
    if can_raise(world, row) and not row.planted.raise_keeps_number:
        moves.append(Move("RAISE by a writer of another session", raised(world), is_chance=True))
    moves.append(Move("tick", tick(world, row)))


def replaced(world: World, who: int, process: Process) -> World:
    others = world.processes
    return world._replace(processes=(*others[:who], process, *others[who + 1 :]))


def crash(world: World, row: Row, who: int, moves: list[Move]) -> None:
    """The operation ends; an open transaction is rolled back. What the process knew it may keep: a process that forgets can do no more."""
    process = world.processes[who]
    gone = process._replace(at="idle", version=0, epoch=-1, look_age=0, token=-1, lost=0)
    residual = world.is_residual or bool(process.lost)
    moves.append(Move(f"p{who} CRASHES", replaced(world, who, gone)._replace(is_residual=residual), is_chance=True))


def lose(world: World, row: Row, moves: list[Move]) -> None:
    """A key is evicted, flushed, or lapses."""
    for server, keys in enumerate(world.keys):
        for epoch, entry in enumerate(keys):
            if not entry:
                continue
            is_mark = entry[0] == MARK
            if is_mark and row.planted.mark_forever:
                continue
            processes = world.processes
            if is_mark:
                processes = tuple(
                    process._replace(lost=1) if process.at == "marked" and process.epoch == epoch else process
                    for process in processes
                )
            following = put(world, server, epoch, ABSENT)._replace(processes=processes)
            moves.append(Move(f"LOSE {entry[0]} of epoch {epoch}", following))


def tick(world: World, row: Row) -> World:
    life = row.life
    processes = tuple(aged(process, life) for process in world.processes)
    kept = []
    promised = world.promised
    for version, left in world.due:
        if left == 1:
            promised = max(promised, version)
        else:
            kept.append((version, left - 1))
    late = min(life, world.raised + 1)
    return world._replace(processes=processes, promised=promised, due=tuple(kept), raised=late)


def aged(process: Process, life: int) -> Process:
    age = process.age + 1 if process.age < life else process.age
    look_age = process.look_age
    if process.at in AGEING:
        look_age = min(life, look_age + 1)
    elif process.at == "waiting":
        look_age = max(0, look_age - 1)
    return process._replace(age=age, seen=min(life, process.seen + 1), look_age=look_age)
