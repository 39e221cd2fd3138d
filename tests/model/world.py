"""What is the case at one moment: the truth in SQL, the fence, the entries of the cache, and where each process is. One session only."""

from __future__ import annotations

from typing import NamedTuple

from tests.model.rules import Row

Entry = tuple[str, int] | tuple[()]
ABSENT: Entry = ()
VALUE, MARK, LEASE = "value", "mark", "lease"
"""A value has its version, marks and leases have their token."""

LOCKED = frozenset({"marking", "unmarked", "marked", "raising", "raised", "degraded"})
"""Where an operation holds the lock of the session's row: from W0 until the commit."""
OWING = frozenset({"remarking", "publishing", "published", "unsure", "cleaning", "waiting"})
"""Where a commit is done and its part in the cache is not."""
AGEING = LOCKED | {"queued", "publishing", "published"}
"""Where `look_age` grows. While waiting it shrinks."""


class Process(NamedTuple):
    """A process with at most one operation under way."""

    number: int = -1
    """Of the epoch that its last look showed; -1: nothing that still matters."""
    age: int = 0
    """Of that look in ticks; F: too old, F + 1: it was closed."""
    seen: int = 0
    """Ticks since this process first saw that number, at most F."""
    server: int = 0
    """At the other end of its connection to the cache."""
    at: str = "idle"
    version: int = 0
    """Read or committed by the operation."""
    epoch: int = -1
    """Whose keys the operation uses."""
    look_age: int = 0
    """Of the look that the operation began with. Waiting: ticks that are left."""
    token: int = -1
    lost: int = 0
    """The mark of this write was gone before its commit, or the commit fell into a newer open epoch: what P2b exempts if the writer dies."""


class Late(NamedTuple):
    """A call that is still under way after its caller gave up."""

    call: str
    server: int
    epoch: int
    version: int
    token: int


class World(NamedTuple):
    """Everything. `servers[n]` is the server that epoch n is bound to, `keys[s][n]` the key of epoch n on server s."""

    version: int
    number: int
    is_open: bool
    servers: tuple[int, ...]
    promised: int
    """No read that starts from now on may be older."""
    due: tuple[tuple[int, int], ...]
    """Promises that fall due: version, ticks."""
    keys: tuple[tuple[Entry, ...], ...]
    processes: tuple[Process, ...]
    late: Late | None = None
    is_residual: bool = False
    """The exempted thing of P2b has happened, and its effect is still possible."""
    is_forked: bool = False
    raised: int = 0
    """Ticks since the database wrote down a raise. Only a planted error looks at it."""


class Move(NamedTuple):
    """One thing that can happen next."""

    what: str
    world: World
    is_chance: bool = False
    """A fault, or a new write: P4 does not count on it."""
    broken: str = ""


def beginning(row: Row) -> World:
    """Epoch 0 is open on server 0, nothing is cached, nobody has looked."""
    keys = ((ABSENT,) * row.epochs,) * (2 if row.fork else 1)
    return World(0, 0, True, (0,), 0, (), keys, tuple(Process(age=row.life + 1) for _ in row.roles), raised=row.life)


def put(world: World, server: int, epoch: int, entry: Entry) -> World:
    keys = world.keys[server]
    changed = (*keys[:epoch], entry, *keys[epoch + 1 :])
    return world._replace(keys=(*world.keys[:server], changed, *world.keys[server + 1 :]))


def is_fence_locked(world: World) -> bool:
    """Somebody has raised it in a transaction that is not committed yet."""
    return any(process.at == "raising" for process in world.processes)


def can_raise(world: World, row: Row) -> bool:
    return world.number + 1 < row.epochs and not is_fence_locked(world)


def raised(world: World, server: int | None = None, since: int = 0) -> World:
    """RAISE, committed: the next epoch, closed, on `server` (None: the same as before)."""
    bound = world.servers[-1] if server is None else server
    return world._replace(number=world.number + 1, is_open=False, servers=(*world.servers, bound), raised=since)


def free_token(world: World) -> int:
    """The smallest that nobody has."""
    used = {entry[1] for keys in world.keys for entry in keys if entry and entry[0] != VALUE}
    used.update(process.token for process in world.processes)
    if world.late:
        used.add(world.late.token)
    token = 0
    while token in used:
        token += 1
    return token
