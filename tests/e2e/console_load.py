"""Load for the console: `python -m tests.e2e.console_load DATABASE_URL SESSIONS CHANGES_PER_S`. Makes the sessions, prints `ready`, then changes drawn ones at
that pace until its input is closed, and prints how many it changed and in how many seconds."""

from __future__ import annotations

import asyncio
import random
import sys
import time

from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings

SEED = 20261127
AT_ONCE = 250
TICK_S = 0.05
DEVICES = ("Firefox on Linux", "Chrome on Android", "Safari on iPhone", "Edge on Windows")


async def load(database_url: str, count: int, changes_s: float) -> None:
    drawn = random.Random(SEED)
    async with AsyncSessionManager(Settings(database_url=database_url)) as manager:
        handles: list[str] = []
        for first in range(0, count, AT_ONCE):
            made = (
                manager.create_session(f"user-{number}", device={"label": drawn.choice(DEVICES)})
                for number in range(first, min(first + AT_ONCE, count))
            )
            handles += [issued.session.session_id for issued in await asyncio.gather(*made)]
        print("ready", flush=True)
        over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
        began, changed = time.monotonic(), 0
        while not over.done():
            due = int((time.monotonic() - began) * changes_s) - changed
            await asyncio.gather(*(manager.extend_session(drawn.choice(handles)) for _ in range(due)))
            changed += due
            await asyncio.sleep(TICK_S)
        print(changed, time.monotonic() - began, flush=True)


if __name__ == "__main__":
    asyncio.run(load(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
