"""What an open console costs the server: CPU and bytes with none, one that shows the usual page, and one that shows every session.

    python -m benchmarks.console_feed [--sessions 10000] [--changes 200] [--seconds 20]

A process serves 10,000 live sessions on SQLite while 200 of them change each second; what is measured is its CPU time as the kernel counts it, and what the feed
sends. The changes are made inside that process, so no client's requests are in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from sessile.model.errors import StoreUnavailable
from sessile.model.operator_access import Role
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import create_app
from sessile.server.serving import address_of, make_server

USUAL = "watch=overview,sessions&limit=100"
CASES: dict[str, list[str]] = {
    "no console": [],
    "one, overview": ["watch=overview"],
    "one, overview and 100 sessions": [USUAL],
    "five, overview and 100 sessions": [USUAL] * 5,
    "one, 1,000 sessions": ["watch=overview,sessions&limit=1000"],
    "one, 10,000 sessions": ["watch=overview,sessions&limit=10000"],
}
MADE = "made"
TICKS = os.sysconf("SC_CLK_TCK")


async def serve(folder: str, sessions: int, changes: float) -> None:
    """The server's process: prints its port and a token when everybody is there."""
    settings = Settings(database_url=f"sqlite:///{folder}/sessile.db", console=True)
    manager = AsyncSessionManager(settings)
    service = create_app(manager, standalone=True)
    await service.start()
    handles: list[str] = []
    for first in range(0, sessions, 200):
        made = (
            manager.create_session(f"user{number}", device={"label": "Firefox on Linux"})
            for number in range(first, min(first + 200, sessions))
        )
        handles += [one.session.session_id for one in await asyncio.gather(*made)]
    tokens = [
        (await manager.operator_access.issue_token("ada", Role.ADMIN, lifetime_s=3600)).token
        for _ in range(len(CASES) + 1)
    ]
    server = make_server(service, host="127.0.0.1", port=0, drain=service.drain)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.05)
    sys.stdout.write(json.dumps({"port": address_of(server)[1], "tokens": tokens}) + "\n")
    sys.stdout.flush()
    chosen = random.Random(20261127)
    loop = asyncio.get_running_loop()
    due = loop.time()
    done, progress = 0, Path(folder, MADE)
    try:
        while not serving.done():
            due += 0.05
            some = chosen.sample(handles, int(changes * 0.05))
            await asyncio.gather(*(manager.extend_session(handle) for handle in some))
            done += len(some)
            note(progress, done)
            await asyncio.sleep(max(0.0, due - loop.time()))
    except StoreUnavailable:
        pass  # the server was stopped
    await serving


def note(progress: Path, done: int) -> None:
    progress.write_text(str(done))


def changes_of(progress: Path) -> int:
    return int(progress.read_text() or 0)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def read(http: httpx.AsyncClient, query: str, counted: dict[str, int]) -> None:
    headers = {"accept": "text/event-stream"}
    async with http.stream("GET", f"/api/console/events?{query}", headers=headers, timeout=60) as stream:
        stream.raise_for_status()
        async for piece in stream.aiter_raw():
            counted["bytes"] += len(piece)
            counted["batches"] += 1


async def measure(origin: str, pid: int, made: Path, token: str, queries: list[str], seconds: float) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=origin) as http:
        answer = await http.post("/console/login", data={"token": token}, headers={"origin": origin})
        assert answer.status_code == 303, answer.text
        counted = {"bytes": 0, "batches": 0}
        readers = [asyncio.create_task(read(http, query, counted)) for query in queries]
        await asyncio.sleep(6)  # the first, whole answer is not what it costs to stay
        first = counted["bytes"]
        counted.update(bytes=0, batches=0)
        cpu, changes, began = cpu_s(pid), changes_of(made), time.monotonic()
        await asyncio.sleep(seconds)
        taken = time.monotonic() - began
        told = {
            "cpu_percent": round((cpu_s(pid) - cpu) / taken * 100, 1),
            "changes_s": round((changes_of(made) - changes) / taken, 1),
            "bytes_s": round(counted["bytes"] / taken),
            "batches_s": round(counted["batches"] / taken, 1),
            "first_bytes": first,
        }
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        return told


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--changes", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--serve", default="")
    given = parser.parse_args()
    if given.serve:
        await serve(given.serve, given.sessions, given.changes)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "benchmarks.console_feed",
            "--serve",
            folder,
            "--sessions",
            str(given.sessions),
            "--changes",
            str(given.changes),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - before anything else runs
            try:
                assert process.stdout is not None
                ready = json.loads(process.stdout.readline())
                origin, of_one = f"http://127.0.0.1:{ready['port']}", 0.0
                for (name, queries), token in zip(CASES.items(), ready["tokens"], strict=False):
                    told = await measure(origin, process.pid, Path(folder, MADE), token, queries, given.seconds)
                    # A machine that is busy otherwise makes fewer changes: what each of them takes is known from the run without a console.
                    of_one = of_one or told["cpu_percent"] / told["changes_s"]
                    told["console_percent"] = round(told["cpu_percent"] - of_one * told["changes_s"], 1)
                    sys.stdout.write(f"{name:<34} {json.dumps(told)}\n")
                    sys.stdout.flush()
            finally:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    asyncio.run(main())
