"""Durable changes per second through the public facade, against one transaction for each change: the same machine, database and payload."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from benchmarks.one_by_one import AIOSQLITE, SQLALCHEMY, aiosqlite_writers, sqlalchemy_writers
from benchmarks.telling import Tell, ratios
from sessile import Actor, AsyncSessionManager, Settings
from sessile.model.document import Change, Submission

WRITERS: Final = (1, 8, 64)
FIELDS: Final = 20
STATE: Final = {f"field{number}": "what stands in a field of a form, so far" for number in range(FIELDS)}
"""About 1 KB of JSON."""
SESSILE: Final = "Sessile, the facade"

Write = Callable[[], Awaitable[None]]
"""One change, durable when it returns."""
Variant = Callable[[int], Awaitable[Sequence[Write]]]
"""That many writers, each with a document of its own."""


class Typist:
    """Somebody who changes one field after the other."""

    def __init__(self, manager: AsyncSessionManager, actor: Actor, document_id: str) -> None:
        self._documents = manager.documents
        self._actor = actor
        self._document_id = document_id
        self._seq = 0

    async def write(self) -> None:
        self._seq += 1
        change = Change(
            operations=[{"op": "set", "path": f"/field{self._seq % FIELDS}", "value": f"what was typed, {self._seq}"}],
            base_version=self._seq - 1,
            generation=0,
            device_id=self._actor.device_id,
            seq=self._seq,
        )
        outcome = await self._documents.submit(Submission(self._document_id, [change], self._actor))
        if outcome.error is not None or outcome.logged[0].verdict != "applied":
            raise RuntimeError(f"refused: {outcome}")


async def typists(manager: AsyncSessionManager, count: int) -> list[Write]:
    """Writers with a session, a device and a document each."""
    made: list[Write] = []
    for _ in range(count):
        session = (await manager.create_session(f"user {uuid.uuid4()}")).session
        actor = Actor(user_id=session.user_id, session_id=session.session_id, device_id=str(uuid.uuid4()))
        opened = await manager.documents.open(actor, "form", default=STATE)
        made.append(Typist(manager, actor, opened.document.document_id).write)
    return made


async def run_slice(writers: Sequence[Write], duration_s: float) -> tuple[float, float, list[float]]:
    """Changes per second, CPU of this process per change in seconds, and the wait for each change in seconds."""
    waits_s: list[float] = []

    async def run(write: Write, ends_at: float) -> None:
        began = time.perf_counter()
        while began < ends_at:
            await write()
            now = time.perf_counter()
            waits_s.append(now - began)
            began = now

    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(run(write, began + duration_s) for write in writers))
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    return len(waits_s) / took_s, cpu_s / len(waits_s), waits_s


async def compare(
    variants: dict[str, Variant], base: str, count: int, rounds: int, duration_s: float
) -> list[dict[str, Any]]:
    """One row a variant. Slices alternate; a ratio is of two slices of one round."""
    writers = {name: await make(count) for name, make in variants.items()}
    rates: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    waits: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(-1, rounds):
        for name in list(variants) if number % 2 == 0 else list(reversed(variants)):
            rate, cpu_s, waits_s = await run_slice(writers[name], duration_s)
            if number >= 0:  # the round before the first one only warms up
                rates[name].append(rate)
                cpu[name].append(cpu_s)
                waits[name] += waits_s
    return [
        {
            "variant": name,
            "writers": count,
            "changes_per_s": round(median(rates[name])),
            **ratios(rates[name], rates[base]),
            "p50_ms": round(median(waits[name]) * 1000, 2),
            "p99_ms": round(quantiles(waits[name], n=100)[98] * 1000, 2),
            "cpu_us": round(median(cpu[name]) * 1e6),
        }
        for name in variants
    ]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncSessionManager]:
    async with AsyncSessionManager(Settings(database_url=url)) as manager:
        yield manager


async def on_postgres(rounds: int, duration_s: float, tell: Tell, writers: Sequence[int]) -> list[dict[str, Any]]:
    """A server of its own, as it is installed here, with durable commits. Raises ServerMissing."""
    from sessile.stores.sql.postgres import upgrade
    from sessile.testing.servers import PostgresServer

    rows = []
    server = PostgresServer()
    try:
        server.start()
        url, other = server.create_database("sessile"), server.create_database("other")
        upgrade(url)
        async with AsyncExitStack() as stack:
            manager = await stack.enter_async_context(opened(url))
            one_by_one = await stack.enter_async_context(sqlalchemy_writers(other, STATE))
            variants: dict[str, Variant] = {SQLALCHEMY: one_by_one, SESSILE: lambda count: typists(manager, count)}
            for count in writers:
                tell(f"durable changes on PostgreSQL, {count} writers")
                rows += await compare(variants, SQLALCHEMY, count, rounds, duration_s)
    finally:
        server.close()
    return rows


async def on_sqlite(
    folder: Path, rounds: int, duration_s: float, tell: Tell, writers: Sequence[int]
) -> list[dict[str, Any]]:
    """A file with `synchronous=FULL` for each variant."""
    rows = []
    async with AsyncExitStack() as stack:
        manager = await stack.enter_async_context(opened(f"sqlite:///{folder / 'sessile.db'}"))
        one_by_one = await stack.enter_async_context(aiosqlite_writers(folder / "other.db", STATE))
        variants: dict[str, Variant] = {AIOSQLITE: one_by_one, SESSILE: lambda count: typists(manager, count)}
        for count in writers:
            tell(f"durable changes on SQLite, {count} writers")
            rows += await compare(variants, AIOSQLITE, count, rounds, duration_s)
    return rows
