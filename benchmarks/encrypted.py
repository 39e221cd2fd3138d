"""What encryption at rest costs: the same work on the same kind of file with a key and without one, in turns."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.durable import Write, run_slice, typists
from benchmarks.telling import Tell, ratios
from sessile import AsyncSessionManager, Settings

PLAIN: Final = "without encryption"
ENCRYPTED: Final = "with encryption"
AT_ONCE: Final = 8
_DATA: Final = {f"key{number}": "what an application keeps of somebody" for number in range(20)}
"""About 1 KB of JSON."""

Work = Callable[[AsyncSessionManager, int], Awaitable[Sequence[Write]]]


async def readers(manager: AsyncSessionManager, count: int) -> list[Write]:
    """From a token to its session, data and all."""
    tokens = [(await manager.create_session(str(uuid.uuid4()), data=_DATA)).token for _ in range(count)]

    def reader(token: str) -> Write:
        async def read() -> None:
            await manager.authenticate(token)

        return read

    return [reader(token) for token in tokens]


async def session_writers(manager: AsyncSessionManager, count: int) -> list[Write]:
    """One value of a session's data, durable."""
    made = [(await manager.create_session("somebody", data=_DATA)).session for _ in range(count)]

    def writer(handle: str) -> Write:
        number = 0

        async def write() -> None:
            nonlocal number
            number += 1
            await manager.change_session_data(handle, [("set", ("key1",), f"value {number}")], user_id="somebody")

        return write

    return [writer(session.session_id) for session in made]


WORK: Final[dict[str, Work]] = {
    "a session is read": readers,
    "a value of a session is written": session_writers,
    "a document is changed": typists,
}


@asynccontextmanager
async def opened(url: str, *, encrypted: bool) -> AsyncIterator[AsyncSessionManager]:
    keys = [f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"] if encrypted else []
    async with AsyncSessionManager(Settings(database_url=url, encryption_keys=keys)) as manager:
        yield manager


async def on_sqlite(folder: Path, rounds: int, duration_s: float, tell: Tell) -> list[dict[str, Any]]:
    """Eight at once, each with a session or document of its own."""
    rows: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(opened(f"sqlite:///{folder / 'plain.db'}", encrypted=False))
        sealed = await stack.enter_async_context(opened(f"sqlite:///{folder / 'sealed.db'}", encrypted=True))
        for name, work in WORK.items():
            tell(f"encryption: {name}")
            writers = {PLAIN: await work(plain, AT_ONCE), ENCRYPTED: await work(sealed, AT_ONCE)}
            rows += await _in_turns(name, writers, rounds, duration_s)
    return rows


async def _in_turns(
    work: str, writers: dict[str, Sequence[Write]], rounds: int, duration_s: float
) -> list[dict[str, Any]]:
    """CPU for each piece of work; a ratio is of two slices of one round. How many were done in a second says less: it is the machine's other work, too."""
    cpu: dict[str, list[float]] = {name: [] for name in writers}
    rates: dict[str, list[float]] = {name: [] for name in writers}
    for number in range(-1, rounds):
        for name in list(writers) if number % 2 == 0 else list(reversed(writers)):
            rate, cpu_s, _ = await run_slice(writers[name], duration_s)
            if number >= 0:  # the round before the first one only warms up
                cpu[name].append(cpu_s)
                rates[name].append(rate)
    return [
        {
            "variant": f"{work}, {name}",
            "cpu_us": round(median(cpu[name]) * 1e6),
            **ratios(cpu[name], cpu[PLAIN]),
            "best_per_s": round(max(rates[name])),
        }
        for name in writers
    ]
