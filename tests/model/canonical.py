"""Forgets what can no longer matter, so that worlds which can do the same are the same: dead looks, keys no call can reach, the names of tokens, the
order of equal processes."""

from __future__ import annotations

from tests.model.rules import Row
from tests.model.world import ABSENT, VALUE, Entry, Late, Process, World


def canonical(world: World, row: Row) -> World:
    planted = row.planted
    processes = tuple(forgetful(process, world, row) for process in world.processes)
    keys, late = world.keys, world.late
    if not (planted.no_epoch_in_key or planted.no_identity):
        used = {world.number, *(process.number for process in processes), *(process.epoch for process in processes)}
        keys = reachable(keys, world.servers, used)
        late = late if late and late.epoch in used else None
    if len(set(row.roles)) < len(processes):
        processes = in_order(processes, row.roles)
    keys, processes, late = renamed(keys, processes, late)
    due = tuple(promise for promise in world.due if promise[0] > world.promised)
    residual = world.is_residual and is_residual_possible(world._replace(keys=keys, processes=processes, late=late), row)
    raised = world.raised if planted.open_from_raised_at and not world.is_open else 0
    return world._replace(keys=keys, processes=processes, late=late, due=due, is_residual=residual, raised=raised)


def forgetful(process: Process, world: World, row: Row) -> Process:
    """A number matters while its look is open, or while it is the present closed one: for opening it, and for waiting."""
    planted, life = row.planted, row.life
    number, age, seen = process.number, process.age, process.seen
    if age >= life and not planted.serve_without_age:
        age = life + 1
    is_present = number == world.number and not world.is_open
    if not is_present:
        if not (planted.open_without_number or planted.raise_keeps_number or planted.no_look_after_degraded):
            seen = 0
        if age > life and not (seen and number >= 0):
            number, seen = -1, 0
    if (number, age, seen) == process[:3] and (process.at != "raising" or not process.look_age):
        return process
    look_age = process.look_age
    if process.at == "raising" and not (planted.wait_from_statement or planted.open_from_raised_at):
        look_age = 0
    return process._replace(number=number, age=age, seen=seen, look_age=look_age)


def reachable(
    keys: tuple[tuple[Entry, ...], ...], servers: tuple[int, ...], used: set[int]
) -> tuple[tuple[Entry, ...], ...]:
    """Without entries of epochs that nobody uses, and entries on a server that is not the one of their epoch."""
    for server, entries in enumerate(keys):
        kept = tuple(
            entry if entry and epoch in used and servers[epoch] == server else ABSENT
            for epoch, entry in enumerate(entries)
        )
        if kept != entries:
            keys = (*keys[:server], kept, *keys[server + 1 :])
    return keys


def in_order(processes: tuple[Process, ...], roles: tuple[str, ...]) -> tuple[Process, ...]:
    """Processes of the same role are interchangeable. Roles stand in the row's order; the names of tokens do not count."""
    ordered = list(processes)
    for role in set(roles):
        places = [place for place, other in enumerate(roles) if other == role]
        if len(places) > 1:
            same = sorted((processes[place] for place in places), key=lambda p: (p[:8], p[9], p.token >= 0))
            for place, process in zip(places, same, strict=True):
                ordered[place] = process
    return tuple(ordered)


def renamed(
    keys: tuple[tuple[Entry, ...], ...], processes: tuple[Process, ...], late: Late | None
) -> tuple[tuple[tuple[Entry, ...], ...], tuple[Process, ...], Late | None]:
    """Tokens are numbered in the order in which they are found."""
    names: dict[int, int] = {-1: -1}
    for entries in keys:
        for entry in entries:
            if entry and entry[0] != VALUE:
                names.setdefault(entry[1], len(names) - 1)
    for process in processes:
        names.setdefault(process.token, len(names) - 1)
    if late:
        names.setdefault(late.token, len(names) - 1)
    if all(token == name for token, name in names.items()):
        return keys, processes, late
    keys = tuple(
        tuple((entry[0], names[entry[1]]) if entry and entry[0] != VALUE else entry for entry in entries)
        for entries in keys
    )
    processes = tuple(process._replace(token=names[process.token]) for process in processes)
    return keys, processes, late and late._replace(token=names[late.token])


def is_residual_possible(world: World, row: Row) -> bool:
    """Whether what a dead writer left can still be, or become, a stale entry: the entry itself, or somebody who is about to put an old version."""
    if any(entry and entry[0] == VALUE and entry[1] < world.version for entry in world.keys[world.servers[-1]]):
        return True
    if world.late and world.late.call in {"fill", "publish"} and world.late.version < world.version:
        return True
    return any(process.at in {"filling", "publishing"} and process.version < world.version for process in world.processes)
