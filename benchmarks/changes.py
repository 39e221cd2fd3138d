"""Durable changes per second through WebSockets, with and without group commit: every one acknowledged after its commit."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
import uuid
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.servers import server

SOCKETS = 32
SERVICE_KEY = "a key for measuring only: 3Wq8Zt"


def new_session(port: int, user_id: str) -> str:
    """The token of a new session, made as a trusted service would."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v0/sessions",
        data=json.dumps({"user_id": user_id}).encode(),
        headers={"authorization": f"Bearer {SERVICE_KEY}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        token: str = json.load(answer)["token"]
        return token


class Device:
    """One socket with one document of its own; `under_way` changes are sent before the first ack is waited for."""

    def __init__(self, socket: ClientConnection, under_way: int) -> None:
        self._socket = socket
        self._under_way = under_way
        self._seq = 0
        self._document_id = ""

    async def open(self, token: str) -> None:
        hello = {
            "type": "hello",
            "protocol": 1,
            "device_id": str(uuid.uuid4()),
            "tab_id": "1",
            "visible": True,
            "token": token,
            "documents": [{"name": f"benchmark {uuid.uuid4()}", "default": {}}],
        }
        await self._socket.send(json.dumps(hello))
        while not self._document_id:
            frame = json.loads(await self._socket.recv())
            if frame["type"] == "welcome":
                self._document_id = frame["documents"][0]["document_id"]

    async def run(self, ends_at: float, waits_s: list[float]) -> int:
        """Changes acknowledged before `ends_at`; the wait for each ack is appended to `waits_s`."""
        sent: dict[int, float] = {}
        done = 0
        while time.perf_counter() < ends_at:
            while len(sent) < self._under_way:
                self._seq += 1
                sent[self._seq] = time.perf_counter()
                await self._socket.send(self._change())
            frame = json.loads(await self._socket.recv())
            if frame["type"] == "nack":
                raise RuntimeError(f"refused: {frame}")
            if frame["type"] == "ack":
                now = time.perf_counter()
                for verdict in frame["verdicts"]:
                    waits_s.append(now - sent.pop(verdict["seq"]))
                    done += 1
        while sent:
            frame = json.loads(await self._socket.recv())
            if frame["type"] == "ack":
                for verdict in frame["verdicts"]:
                    sent.pop(verdict["seq"])
        return done

    def _change(self) -> str:
        operation = {"op": "set", "path": f"/field{self._seq % 20}", "value": f"what a person typed, {self._seq}"}
        change = {"seq": self._seq, "base_version": self._seq - 1, "generation": 0, "operations": [operation]}
        return json.dumps({"type": "change", "document_id": self._document_id, "changes": [change]})


async def run_round(port: int, under_way: int, duration_s: float) -> tuple[float, list[float]]:
    """Changes per second, and the waits for their acks in seconds."""
    waits_s: list[float] = []
    async with asyncio.TaskGroup() as group:
        opening = [group.create_task(_open(port, under_way)) for _ in range(SOCKETS)]
    opened = [task.result() for task in opening]
    ends_at = time.perf_counter() + duration_s
    counts = await asyncio.gather(*(device.run(ends_at, waits_s) for _, device in opened))
    for socket, _ in opened:
        await socket.close()
    return sum(counts) / duration_s, waits_s


async def _open(port: int, under_way: int) -> tuple[ClientConnection, Device]:
    token = await asyncio.to_thread(new_session, port, f"user {uuid.uuid4()}")
    socket = await connect(
        f"ws://127.0.0.1:{port}/ws", compression=None, ping_interval=None, subprotocols=[Subprotocol("sessile.v1")]
    )
    device = Device(socket, under_way)
    await device.open(token)
    return socket, device


def measure(folder: Path, rounds: int, duration_s: float) -> list[dict[str, Any]]:
    """One row a variant: median changes per second, p50 and p99 of the ack, and the ratio to no group commit."""
    rows = []
    with ExitStack() as stack:
        ports = {
            "group commit": _start(stack, folder, 256),
            "a commit for each submission": _start(stack, folder, 1),
        }
        for under_way in (1, 8):
            rates: dict[str, list[float]] = {name: [] for name in ports}
            waits: dict[str, list[float]] = {name: [] for name in ports}
            for number in range(rounds):
                for name in list(ports) if number % 2 == 0 else list(reversed(ports)):
                    rate, waits_s = asyncio.run(run_round(ports[name], under_way, duration_s))
                    rates[name].append(rate)
                    waits[name] += waits_s
            without = median(rates["a commit for each submission"])
            for name in ports:
                cuts = quantiles(waits[name], n=100)
                rows.append(
                    {
                        "variant": f"{name}, {SOCKETS} sockets, {under_way} under way each",
                        "changes_per_s": round(median(rates[name])),
                        "ratio": round(median(rates[name]) / without, 2),
                        "ack_p50_ms": round(cuts[49] * 1000, 2),
                        "ack_p99_ms": round(cuts[98] * 1000, 2),
                    }
                )
    return rows


def _start(stack: ExitStack, folder: Path, batch: int) -> int:
    extra = ("--batch", str(batch), "--service-key", SERVICE_KEY)
    return stack.enter_context(server("sync", folder, *extra, ready_path="/healthz"))
