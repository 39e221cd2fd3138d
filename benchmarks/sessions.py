"""Requests per second with a session on SQLite, against the same handler without one."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.servers import server

CONNECTIONS = 32


async def rate(port: int, path: str, cookie: str | None, duration_s: float) -> float:
    """Requests per second over keep-alive connections, each with one request under way."""
    ends_at = time.perf_counter() + duration_s
    counts = await asyncio.gather(*(_connection(port, path, cookie, ends_at) for _ in range(CONNECTIONS)))
    return sum(counts) / duration_s


async def _connection(port: int, path: str, cookie: str | None, ends_at: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    request = (head + (f"Cookie: {cookie}\r\n" if cookie else "") + "\r\n").encode()
    count = 0
    while time.perf_counter() < ends_at:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path} answered {answer.splitlines()[0]!r}")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    await writer.wait_closed()
    return count


def session_cookie(port: int) -> str:
    """A cookie of a session that has data in it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/write", timeout=5) as answer:
        cookie: str = answer.headers["set-cookie"].split(";")[0]
        return cookie


def measure(folder: Path, rounds: int, duration_s: float) -> list[dict[str, Any]]:
    """One row a variant: median requests per second and the ratio to bare Starlette (least, median, most over the rounds)."""
    with ExitStack() as stack:
        bare = stack.enter_context(server("bare", folder, ready_path="/bare"))
        session = stack.enter_context(server("session", folder, ready_path="/bare"))
        cookie = session_cookie(session)
        variants = {
            "bare Starlette": (bare, "/bare", None),
            "Sessile installed, session not used": (session, "/bare", None),
            "Sessile, session read": (session, "/read", cookie),
            "Sessile, session written": (session, "/write", session_cookie(session)),
        }
        found: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(rounds):
            order = list(variants) if number % 2 == 0 else list(reversed(variants))
            for name in order:
                port, path, sent = variants[name]
                found[name].append(asyncio.run(rate(port, path, sent, duration_s)))
    base = found["bare Starlette"]
    rows = []
    for name, rates in found.items():
        ratios = sorted(mine / other for mine, other in zip(rates, base, strict=True))
        rows.append(
            {
                "variant": name,
                "requests_per_s": round(median(rates)),
                "ratio_min": round(ratios[0], 3),
                "ratio_median": round(median(ratios), 3),
                "ratio_max": round(ratios[-1], 3),
            }
        )
    return rows
