"""Ten million sessions on PostgreSQL: `python -m benchmarks many --sessions N`.

Generates them (one user has 30,000, a tenth is expired), then measures through the asyncio facade: creating, reading, listing that user's sessions in
pages, and sweeping what is expired, with the times of reads and writes meanwhile. Needs about 1.2 GB of disk for each million, and some minutes.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from sessile import AsyncSessionManager, Settings
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer

USER: Final = "heavy"
OF_USER: Final = 30_000
EXPIRED_SHARE: Final = 10
"""Each tenth one."""
READS: Final = 3000
CREATIONS: Final = 1000
_STEP: Final = 500_000
_PAGE: Final = 100
_SWEEP_BATCH: Final = 100
"""As by default: what reads and writes wait for is one batch."""
_DAY_US: Final = 86_400 * 1_000_000

# The token of the n-th: a handle and a secret that both follow from n, so that any of them can be used.
_FILL: Final = """
INSERT INTO sessile.sessions (session_id, user_id, device, public, data, version, created_at, last_seen_at, idle_expires_at, absolute_expires_at,
  token_hash, retired_tokens, is_remembered)
SELECT '01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'),
  CASE WHEN n %% {every} = 1 AND n / {every} < {of_user} THEN '{user}' ELSE 'user-' || (n %% ({total} / 3)) END,
  '{{}}', '{{"name": "Somebody"}}', '\\x7b226e223a317d', 1, {now} - 3600000000, {now} - 60000000,
  CASE WHEN n %% {expired} = 0 THEN {now} - 1000000 ELSE {now} + {day} END, {now} + 2 * {day},
  sha256(convert_to(lpad(n::text, 43, 'A'), 'UTF8')), '[]', false
FROM generate_series({first}, {last}) AS n
""".replace("%%", "%")


def token(number: int) -> str:
    """Of the n-th session."""
    return f"01900000-0000-7000-8000-{number:012x}.{str(number).rjust(43, 'A')}"


def fill(server: PostgresServer, database: str, total: int) -> None:
    """Writes them, in steps, and tells how far it is."""
    for first in range(1, total + 1, _STEP):
        last = min(total, first + _STEP - 1)
        values = {
            "every": max(2, total // OF_USER),
            "of_user": OF_USER,
            "user": USER,
            "total": total,
            "expired": EXPIRED_SHARE,
        }
        server.run_sql(
            _FILL.format(**values, now=int(time.time() * 1_000_000), day=_DAY_US, first=first, last=last), database
        )
        print(f"\r{last:,} of {total:,} sessions", end="", file=sys.stderr, flush=True)
    server.run_sql("VACUUM ANALYZE sessile.sessions", database)
    print(file=sys.stderr)


def told(times_s: list[float]) -> dict[str, Any]:
    """Counts, and milliseconds."""
    ordered = sorted(times_s)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {
        "count": len(ordered),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(p99 * 1000, 2),
        "max_ms": round(ordered[-1] * 1000, 2),
    }


async def timed(work: Callable[[], Awaitable[Any]], count: int) -> list[float]:
    """Seconds of each of `count` calls, one after another."""
    times: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return times


class Measured:
    """One manager on the database, and what is asked of it."""

    def __init__(self, manager: AsyncSessionManager, total: int) -> None:
        self._manager = manager
        self._total = total
        self._rng = random.Random(7)

    async def read(self) -> None:
        number = self._rng.randrange(1, self._total)
        await self._manager.authenticate(token(number + (number % EXPIRED_SHARE == 0)))

    async def create(self) -> None:
        await self._manager.create_session(f"new-{self._rng.randrange(10**6)}")

    async def pages(self) -> list[float]:
        """Seconds of each page of the one user's sessions."""
        times, after = [], None
        while True:
            began = time.perf_counter()
            page = await self._manager.list_sessions(USER, after=after, limit=_PAGE)
            times.append(time.perf_counter() - began)
            if not page:
                return times
            after = page[-1].session_id

    async def sweep(self) -> dict[str, Any]:
        """All that is expired, with reads and writes beside it."""
        is_over = asyncio.Event()
        reads, writes = (
            asyncio.create_task(self._until(is_over, self.read)),
            asyncio.create_task(self._until(is_over, self.create)),
        )
        began, swept = time.perf_counter(), 0
        while ended := await self._manager.cleanup_expired_sessions():
            swept += ended
            print(f"\r{swept:,} swept", end="", file=sys.stderr, flush=True)
        seconds = time.perf_counter() - began
        is_over.set()
        print(file=sys.stderr)
        return {
            "swept": swept,
            "seconds": round(seconds, 1),
            "per_s": round(swept / seconds),
            "reads_meanwhile": told(await reads),
            "creates_meanwhile": told(await writes),
        }

    async def _until(self, is_over: asyncio.Event, work: Callable[[], Awaitable[Any]]) -> list[float]:
        times: list[float] = []
        while not is_over.is_set():
            times += await timed(work, 1)
            await asyncio.sleep(0.005)
        return times


async def measure(url: str, total: int) -> dict[str, Any]:
    """The figures, by what was done."""
    settings = Settings(database_url=url, sweep_batch=_SWEEP_BATCH, sweep_interval_s=86400, retention_interval_s=86400)
    async with AsyncSessionManager(settings) as manager:
        measured = Measured(manager, total)
        await timed(measured.read, 200)
        found: dict[str, Any] = {
            "read": told(await timed(measured.read, READS)),
            "create": told(await timed(measured.create, CREATIONS)),
            f"page of {_PAGE}": told(await measured.pages()),
        }
        found["sweep"] = await measured.sweep()
        return found


def generated(total: int) -> dict[str, Any]:
    """All of it, on a server of its own."""
    server = PostgresServer()
    try:
        server.start()
        url = server.create_database("many")
        upgrade(url)
        began = time.perf_counter()
        fill(server, "many", total)
        filled_s = time.perf_counter() - began
        found = asyncio.run(measure(url, total))
        return {"generated_s": round(filled_s, 1), **found}
    finally:
        server.close()


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """As a table: what was done, how often, and the times of one."""
    swept = found["sweep"]
    times = {
        "read": found["read"],
        "create": found["create"],
        f"list a page of {_PAGE} of {OF_USER:,}": found[f"page of {_PAGE}"],
        "read, while expired ones are swept": swept["reads_meanwhile"],
        "create, while expired ones are swept": swept["creates_meanwhile"],
    }
    return [{"variant": name, **one} for name, one in times.items()]
