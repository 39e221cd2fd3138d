"""Forgets what can no longer matter, so that worlds which can do the same are the same: dead looks, keys no call can reach, the names of tokens, the
order of equal processes."""

from __future__ import annotations

from tests.model.rules import Planted, Row
from tests.model.world import ABSENT, VALUE, Entry, Late, Process, World

Keys = tuple[tuple[Entry, ...], ...]


def canonical(world: World, row: Row) -> World:
    """One world for all that can do the same."""
    planted, keys, late = row.planted, world.keys, world.late
    processes = tuple([forgetful(process, world, row) for process in world.processes])
    if not (planted.no_epoch_in_key or planted.no_identity):
        used = {world.number}
        for process in processes:
            used.add(process.number)
            used.add(process.epoch)
        keys = reachable(keys, world.servers, used)
        late = late if late and late.epoch in used else None
    if len(set(row.roles)) < len(processes):
        processes = in_order(processes, row.roles)
    if not planted.tokens_reused:
        keys, processes, late = renamed(keys, processes, late)
    due = world.due
    if due:
        due = tuple(promise for promise in due if promise[0] > world.promised)
    raised = world.raised if planted.open_from_raised_at and not world.is_open else 0
    is_residual = world.is_residual and is_residual_possible(world, keys, processes, late)
    version, number, is_open, servers, promised = world[:5]
    return World(
        version, number, is_open, servers, promised, due, keys, processes, late, is_residual, world.is_forked, raised
    )


def forgetful(process: Process, world: World, row: Row) -> Process:
    """A number matters while its look is open, or while it is the present closed one: for opening it, and for waiting."""
    planted, life = row.planted, row.life
    number, age, seen, server, at, version, epoch, look_age, token, lost = process
    if age >= life and not planted.serve_without_age:
        age = life + 1
    if number != world.number or world.is_open:
        if not has_old_seen(planted):
            seen = 0
        if age > life and not (seen and number >= 0):
            number, seen = -1, 0
    if at == "raising" and not (planted.wait_from_statement or planted.open_from_raised_at):
        look_age = 0
    if number == process.number and age == process.age and seen == process.seen and look_age == process.look_age:
        return process
    return Process(number, age, seen, server, at, version, epoch, look_age, token, lost)


def has_old_seen(planted: Planted) -> bool:
    """Errors that act on what was seen of a number that is not the present closed one."""
    return (
        planted.open_without_number
        or planted.raise_keeps_number
        or planted.no_look_after_degraded
        or planted.raise_apart_before
    )


def reachable(keys: Keys, servers: tuple[int, ...], used: set[int]) -> Keys:
    """Without entries of epochs that nobody uses, and entries on a server that is not the one of their epoch."""
    for server, entries in enumerate(keys):
        for epoch, entry in enumerate(entries):
            if entry and (epoch not in used or servers[epoch] != server):
                kept = (*keys[server][:epoch], ABSENT, *keys[server][epoch + 1 :])
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
    keys: Keys, processes: tuple[Process, ...], late: Late | None
) -> tuple[Keys, tuple[Process, ...], Late | None]:
    """Tokens are numbered in the order in which they are found."""
    found = [entry[1] for entries in keys for entry in entries if entry and entry[0] != VALUE]
    found += [process.token for process in processes if process.token >= 0]
    if late and late.token >= 0:
        found.append(late.token)
    names = {-1: -1}
    for token in found:
        if token not in names:
            names[token] = len(names) - 1
    if all(token == name for token, name in names.items()):
        return keys, processes, late
    keys = tuple(
        tuple((entry[0], names[entry[1]]) if entry and entry[0] != VALUE else entry for entry in entries)
        for entries in keys
    )
    processes = tuple(process._replace(token=names[process.token]) for process in processes)
    return keys, processes, late and late._replace(token=names[late.token])


def is_residual_possible(world: World, keys: Keys, processes: tuple[Process, ...], late: Late | None) -> bool:
    """Whether what a dead writer left can still be, or become, a stale entry: the entry itself, or somebody who is about to put an old version."""
    current = world.version
    if any(entry and entry[0] == VALUE and entry[1] < current for entry in keys[world.servers[-1]]):
        return True
    if late and late.call in {"fill", "publish"} and late.version < current:
        return True
    return any(process.at in {"filling", "publishing"} and process.version < current for process in processes)
