"""What is broken in a cell: each is a generator that breaks it, yields while it lasts, and mends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sessile.testing.fault_proxy import FaultProxy, Faults
from tests.faults.conftest import HOLD_S, World
from tests.faults.nodes import Node

Cell = Callable[[World], Iterator[None]]
CALL_TIMEOUT_S: Final = 0.25
"""What the client of Redis allows a call (`Limits`)."""


def redis_ways(world: World) -> list[FaultProxy]:
    return [node.redis for node in world.nodes if node.redis is not None]


def sql_ways(world: World) -> list[FaultProxy]:
    return [node.sql for node in world.nodes if node.sql is not None]


def on(ways: Callable[[World], list[FaultProxy]], *breakings: Callable[[Faults], None]) -> Cell:
    """A fault of the network on all these ways. Afterwards it must have hit something."""

    def cell(world: World) -> Iterator[None]:
        for way in ways(world):
            for breaking in breakings:
                breaking(way.faults)
        yield
        for way in ways(world):
            way.faults.heal()
        assert any(sum(way.counts.faults.values()) for way in ways(world)), "the fault has hit nothing"

    return cell


def reset_often(ways: Callable[[World], list[FaultProxy]], bytes_each: int) -> Cell:
    """Each connection is reset after so many bytes of requests, in the middle of a command."""
    return on(ways, lambda faults: faults.reset_after(bytes_each))


def is_mark(request: bytes) -> bool:
    """Whether Redis is asked to put a mark; a lease is put only where there is nothing."""
    return b"\r\nSET\r\n" in request and b"\r\nNX\r\n" not in request


def loses_reply(ways: Callable[[World], list[FaultProxy]], matching: Any, count: int = 20) -> Cell:
    """The command is carried out, its reply is lost and the connection closes; the next `count` times on each way."""
    return on(ways, lambda faults: faults.drop_reply(matching, count))


# -- Redis itself -------------------------------------------------------------------------------------------------------------------------


def redis_killed(world: World) -> Iterator[None]:
    world.redis.kill()
    yield
    world.redis.start()


def redis_restarted_at_once(world: World) -> Iterator[None]:
    world.redis.kill()
    world.redis.start()
    yield


def redis_restarted_empty(world: World) -> Iterator[None]:
    world.redis.restart_empty()
    yield


def redis_emptied(world: World) -> Iterator[None]:
    """Again and again, while it runs: its identity stays."""
    with repeated(world.redis.flush, 0.05):
        yield


def redis_full(world: World) -> Iterator[None]:
    """Every write is refused with OOM; what is there is still read."""
    world.redis.run("CONFIG", "SET", "maxmemory-policy", "noeviction")
    world.redis.run("CONFIG", "SET", "maxmemory", "1")
    yield
    world.redis.run("CONFIG", "SET", "maxmemory", "0")


def redis_evicts(world: World) -> Iterator[None]:
    """It has hardly any memory, and throws out what it was given."""
    used = int(world.redis.info("memory")["used_memory"])
    world.redis.run("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    world.redis.run("CONFIG", "SET", "maxmemory", used - 100_000)
    yield
    world.redis.run("CONFIG", "SET", "maxmemory", "0")
    world.redis.run("CONFIG", "SET", "maxmemory-policy", "noeviction")


def redis_read_only(world: World) -> Iterator[None]:
    """It has become a replica of somebody who is away."""
    world.redis.run("REPLICAOF", "127.0.0.1", "1")
    yield
    world.redis.run("REPLICAOF", "NO", "ONE")


def redis_stopped(world: World) -> Iterator[None]:
    """SIGSTOP: it takes connections and answers nothing."""
    world.redis.pause()
    yield
    world.redis.resume()


def redis_busy(world: World) -> Iterator[None]:
    """A script of somebody else keeps it busy, and it answers nothing in that time."""
    script = "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1] - t[1]) * 1000000 + n[2] - t[2] > 600000"
    thread = threading.Thread(target=world.redis.run, args=("EVAL", script, 0))
    thread.start()
    yield
    thread.join()


# -- partitions ---------------------------------------------------------------------------------------------------------------------------


def of_one(number: int, *breakings: Callable[[Node], None]) -> Cell:
    """Only this node is cut off."""

    def cell(world: World) -> Iterator[None]:
        for breaking in breakings:
            breaking(world.nodes[number])
        yield
        heal(world.nodes[number])

    return cell


def heal(node: Node) -> None:
    for way in (node.redis, node.sql):
        if way is not None:
            way.faults.heal()


def redis_away(node: Node) -> None:
    assert node.redis is not None
    node.redis.faults.half_open()


def redis_gone(node: Node) -> None:
    assert node.redis is not None
    node.redis.faults.refuse()


def redis_hears(node: Node) -> None:
    """Redis gets and does what it is told, and its answers are lost."""
    assert node.redis is not None
    node.redis.faults.one_way("up")


def redis_talks(node: Node) -> None:
    """Redis is told nothing; only what it says gets through."""
    assert node.redis is not None
    node.redis.faults.one_way("down")


def sql_gone(node: Node) -> None:
    assert node.sql is not None
    node.sql.faults.refuse()


def sql_away(node: Node) -> None:
    assert node.sql is not None
    node.sql.faults.half_open()


def taking_turns(world: World) -> Iterator[None]:
    """The nodes lose Redis one after the other, again and again."""
    number = iter(range(10**6))

    def turn() -> None:
        n = next(number)
        heal(world.nodes[n % len(world.nodes)])
        redis_gone(world.nodes[(n + 1) % len(world.nodes)])

    with repeated(turn, HOLD_S / 5):
        yield
    for node in world.nodes:
        heal(node)


@contextmanager
def repeated(work: Callable[[], object], every_s: float) -> Iterator[None]:
    """Does it now and then every so many seconds, in a thread."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            work()
            time.sleep(every_s)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
