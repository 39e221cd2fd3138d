"""CPU of one GET through our own client and through redis-py.

Both in one process, against one server, in turns; user and system time of this process, so what the server and other jobs use does not count.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import redis
import redis.asyncio
import uvloop

from sessile.model.fence import CachePlace
from sessile.runtime.lane import drive
from sessile.stores.redis.cache import AsyncRedisCache, BlockingRedisCache
from sessile.testing.servers import free_port

VALUE = b"V" + bytes(1000)
KEY = "sessile:bench:s"
START_TIMEOUT_S = 10.0

Read = Callable[[], Awaitable[Any]]
Rounds = dict[str, list[float]]


@contextmanager
def server() -> Iterator[str]:
    """A redis-server of its own on a free port; its URL. Stopped by its pid."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", folder, "--bind", "127.0.0.1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            url = f"redis://127.0.0.1:{port}"
            _put_value(url)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _put_value(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.set(KEY, VALUE)
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


async def cpu_us(read: Read, reads: int, at_once: int) -> float:
    """Of one read, with so many under way at any time."""

    async def repeat() -> None:
        for _ in range(reads // at_once):
            await read()

    started_s = time.process_time()
    await asyncio.gather(*(repeat() for _ in range(at_once)))
    return (time.process_time() - started_s) / (reads // at_once * at_once) * 1e6


async def asyncio_rounds(url: str, rounds: int, reads: int, at_once: int) -> Rounds:
    own = AsyncRedisCache(url)
    place = CachePlace(await own.server(), "bench")
    other = redis.asyncio.Redis.from_url(url, max_connections=at_once)

    async def read_own() -> Any:
        return await own.get(place, "s")

    async def read_other() -> Any:
        return await other.get(KEY)

    variants: dict[str, Read] = {"own": read_own, "redis-py": read_other}
    found: Rounds = {name: [] for name in variants}
    for read in variants.values():
        await cpu_us(read, at_once * 10, at_once)
    for number in range(rounds):
        for name in _order(variants, number):
            found[name].append(await cpu_us(variants[name], reads, at_once))
    await other.aclose()
    await own.close()
    return found


def blocking_rounds(url: str, rounds: int, reads: int) -> Rounds:
    own = BlockingRedisCache(url)
    place = CachePlace(drive(own.server()), "bench")
    with redis.Redis.from_url(url) as other:
        variants: dict[str, Callable[[], Any]] = {
            "own": lambda: drive(own.get(place, "s")),
            "redis-py": lambda: other.get(KEY),
        }
        found: Rounds = {name: [] for name in variants}
        for number in range(rounds):
            for name in _order(variants, number):
                read, started_s = variants[name], time.process_time()
                for _ in range(reads):
                    read()
                found[name].append((time.process_time() - started_s) / reads * 1e6)
    drive(own.close())
    return found


def _order(variants: dict[str, Any], number: int) -> list[str]:
    return list(variants) if number % 2 == 0 else list(reversed(variants))


def row(variant: str, found: Rounds) -> dict[str, Any]:
    """Medians in microseconds of CPU, and how many times as much redis-py takes (least, median, most over the rounds)."""
    ratios = sorted(other / own for own, other in zip(found["own"], found["redis-py"], strict=True))
    return {
        "variant": variant,
        "own_us": round(median(found["own"]), 1),
        "redis_py_us": round(median(found["redis-py"]), 1),
        "ratio_min": round(ratios[0], 2),
        "ratio_median": round(median(ratios), 2),
        "ratio_max": round(ratios[-1], 2),
    }


def measure(rounds: int, reads: int = 2000) -> list[dict[str, Any]]:
    """One row a lane and number of reads at once."""
    rows = []
    with server() as url:
        for loop, factory in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
            for at_once in (1, 32):
                with asyncio.Runner(loop_factory=factory) as runner:
                    found = runner.run(asyncio_rounds(url, rounds, reads, at_once))
                rows.append(row(f"{loop}, {at_once} at once", found))
        rows.append(row("blocking", blocking_rounds(url, rounds, reads)))
    return rows
