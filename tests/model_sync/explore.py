"""Two ways through the model: every order of steps, each world once; and seeded walks that go further with more of everything."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from dataclasses import dataclass

from tests.model_sync.device import Device
from tests.model_sync.world import Step, Violation, World

HEAL_STEPS_MAX = 2_000


@dataclass(frozen=True)
class Explored:
    worlds: int
    at_rest: int
    is_complete: bool


def exhaust(start: World, worlds_max: int) -> Explored:
    """Every world that can be reached from `start`, breadth first. Each where nothing is under way is healed and looked at. Raises
    Violation, whose steps are then among the fewest that lead to it."""
    seen = {key(start)}
    queue = deque([start])
    at_rest = 0
    while queue:
        world = queue.popleft()
        steps = list(world.steps())
        if not any(True for _ in world.progress()):
            at_rest += 1
            heal(world)
        for step in steps:
            following = world.take(step)
            digest = key(following)
            if digest not in seen:
                seen.add(digest)
                queue.append(following)
        if len(seen) >= worlds_max:
            return Explored(len(seen), at_rest, is_complete=False)
    return Explored(len(seen), at_rest, is_complete=True)


def walk(start: World, rng: random.Random, steps_max: int) -> World:
    """One random way, then healing. Raises Violation."""
    world = start
    for _ in range(steps_max):
        steps = list(world.steps())
        if not steps:
            break
        faults = [step for step in steps if step[0] in FAULTS]
        progress = [step for step in steps if step[0] not in FAULTS]
        pool = faults if faults and (not progress or rng.random() < FAULT_SHARE) else progress
        world = world.take(rng.choice(pool))
    return heal(world)


FAULT_SHARE = 0.12
FAULTS = frozenset(
    {
        "cut",
        "kill_device",
        "kill_server",
        "lose",
        "double",
        "overtake",
        "refuse_commit",
        "unknown_commit",
        "restore",
        "roll_back",
    }
)


def heal(world: World) -> World:
    """Lets everything happen that happens by itself, then what pings set off, and looks at the rest. Raises Violation."""
    world = settle(world)
    if not world.news_were_lost:
        world.check_at_rest(after_pings=False)  # without any ping: nothing was lost that only a ping could find
    for _ in range(4):
        for number in range(len(world.devices)):
            world = world.take(("ping", number))
        world = settle(world)
    world.check_at_rest(after_pings=True)
    return world


def settle(world: World) -> World:
    """Steps without faults, always the first that is possible, until there is none."""
    for _ in range(HEAL_STEPS_MAX):
        step: Step | None = next(world.progress(), None)
        if step is None:
            return world
        world = world.take(step)
    raise Violation("it never comes to rest", " ".join(f"{name}{number}" for name, number in world.trace[-40:]))


def key(world: World) -> bytes:
    """What distinguishes a world from another, as a digest. The way that led to it does not."""
    parts = (
        [(c.device_id, c.seq, c.version, str(c.verdict), c.generation) for c in world.backend.log],
        sorted((d.device_id, d.device_no, d.last_seq) for d in world.backend.tables.devices.values()),
        [_device(device) for device in world.devices],
        world.boxes,
        world.conns,
        [(at, s.actor.device_id, [c.seq for c in s.changes]) for at, s in world.batch],
        world.answers,
        [[c.version for c in logged] for logged in world.untold],
        world.budgets,
        sorted(world.acknowledged),
        world.news_were_lost,
        world.went_back,
        world.former is not None and len(world.former.log),
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def _device(device: Device) -> object:
    core = {name: value for name, value in vars(device.core).items() if name != "_view"}
    return sorted(core.items()), vars(device.flow), device.up, device.wants_restart, sorted(device.settled)
