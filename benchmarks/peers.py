"""Requests with a session on Redis: Sessile beside its peers and beside no session at all, interleaved in one run.

The ratio that counts is that of CPU time of the server for a request: it is what a full core serves, and other jobs on the machine disturb it least.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.servers import cpu_s, server_process
from benchmarks.sessions import rate, session_cookie
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer

PEERS = ("starsessions", "litestar")
_WARM_S = 2.0
Variant = tuple[int, int, str, str | None]


def measure(folder: Path, rounds: int, duration_s: float) -> list[dict[str, Any]]:
    """One row a variant: median requests/s and CPU microseconds a request; how many times the CPU of Sessile's same request it takes (least, median, most)."""
    with ExitStack() as stack:
        variants = _variants(stack, folder)
        for port, _pid, path, cookie in variants.values():
            asyncio.run(rate(port, path, cookie, _WARM_S))
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
        for number in range(rounds):
            order = list(variants) if number % 2 == 0 else list(reversed(variants))
            for name in order:
                found[name].append(_one(*variants[name], duration_s))
    return [_row(name, found) for name in found]


def _variants(stack: ExitStack, folder: Path) -> dict[str, Variant]:
    postgres, redis = PostgresServer(), RedisServer()
    stack.callback(postgres.close)
    stack.callback(redis.close)
    postgres.start()
    redis.start()
    url = postgres.create_database("bench")
    upgrade(url)
    sessile = ("--database", url, "--redis", redis.url())
    found: dict[str, Variant] = {}

    def add(label: str, variant: str, *extra: str, with_session: bool) -> None:
        port, pid = stack.enter_context(server_process(variant, folder, *extra, ready_path="/bare"))
        if not with_session:
            found[label] = (port, pid, "/bare", None)
            return
        found[f"{label}, read"] = (port, pid, "/read", session_cookie(port))
        found[f"{label}, written"] = (port, pid, "/write", session_cookie(port))

    add("bare Starlette", "bare", with_session=False)
    add("Sessile", "session", *sessile, with_session=True)
    if find_spec("starsessions"):
        add("starsessions", "starsessions", "--redis", redis.url(), with_session=True)
    if find_spec("litestar"):
        add("bare litestar", "litestar-bare", with_session=False)
        add("litestar", "litestar", "--redis", redis.url(), with_session=True)
    return found


def _one(port: int, pid: int, path: str, cookie: str | None, duration_s: float) -> tuple[float, float]:
    before = cpu_s(pid)
    requests_per_s = asyncio.run(rate(port, path, cookie, duration_s))
    return requests_per_s, (cpu_s(pid) - before) / (requests_per_s * duration_s) * 1e6


def _row(name: str, found: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    base = found["Sessile, written" if name.endswith("written") else "Sessile, read"]
    ratios = sorted(mine[1] / other[1] for mine, other in zip(found[name], base, strict=True))
    return {
        "variant": name,
        "requests_per_s": round(median(one[0] for one in found[name])),
        "cpu_us": round(median(one[1] for one in found[name])),
        "times_sessile_min": round(ratios[0], 2),
        "times_sessile_median": round(median(ratios), 2),
        "times_sessile_max": round(ratios[-1], 2),
    }
