"""What a change costs the server for each of many readers, against python-socketio and the package `ws` for node."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.changes import SERVICE_KEY, new_session
from benchmarks.fanout_client import (
    TABS_PER_DEVICE,
    Arrival,
    PlainSocket,
    SessileSocket,
    Socket,
    SocketIoSocket,
    connect_all,
)
from benchmarks.servers import Running, running
from benchmarks.telling import Tell, ratios

READERS: Final = 2000
BURST: Final = 10
WS_FOLDER: Final = "BENCH_NODE_FOLDER"
"""Names a folder with node_modules/ws in it: `npm install ws` there."""
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_SETTLED_S: Final = 3.0


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * _PAGE


class Audience:
    """A server with its readers, and one more socket that publishes."""

    def __init__(self, server: Running, make: Callable[[Arrival | None], Socket], readers: int) -> None:
        self._server = server
        self._readers = readers
        self._arrival = Arrival()
        self._sockets = [make(self._arrival) for _ in range(readers)]
        self._publisher = make(None)
        self._version = 0
        self.kib_per_socket = 0.0

    async def gather(self) -> None:
        """Connects everybody."""
        await connect_all([self._publisher], self._server.port)
        before = resident_bytes(self._server.pid)
        await connect_all(self._sockets, self._server.port)
        await asyncio.sleep(_SETTLED_S)
        self.kib_per_socket = (resident_bytes(self._server.pid) - before) / self._readers / 1024

    async def run(self, burst: int, duration_s: float) -> tuple[float, float]:
        """Messages delivered per second, and the server's CPU per message in seconds. The next burst goes out when all readers have the last one."""
        began, cpu_began, delivered = time.perf_counter(), cpu_s(self._server.pid), 0
        while time.perf_counter() - began < duration_s:
            self._version += burst
            everybody = self._arrival.expect(self._version, self._readers)
            self._publisher.publish(self._version, burst)
            async with asyncio.timeout(60):
                await everybody
            delivered += burst * self._readers
        took_s = time.perf_counter() - began
        return delivered / took_s, (cpu_s(self._server.pid) - cpu_began) / delivered

    def close(self) -> None:
        for socket in (*self._sockets, self._publisher):
            socket.close()


def sessile_sockets(port: int) -> Callable[[Arrival | None], Socket]:
    """Tabs of some devices of one user, all with the same document open."""
    token = new_session(port, f"user {uuid.uuid4()}")
    devices: list[str] = []
    made = 0

    def make(arrival: Arrival | None) -> Socket:
        nonlocal made
        if made % TABS_PER_DEVICE == 0 or arrival is None:
            devices.append(str(uuid.uuid4()))
        made += 1
        return SessileSocket(arrival, token, devices[-1], "form")

    return make


def _start(stack: ExitStack, folder: Path, tell: Tell, readers: int) -> dict[str, Audience]:
    database = ("--database", str(folder / "fanout.db"), "--service-key", SERVICE_KEY)
    ours = stack.enter_context(running("benchmarks.fanout_servers", "sessile", *database, ready_path="/healthz"))
    audiences = {"Sessile": Audience(ours, sessile_sockets(ours.port), readers)}
    if importlib.util.find_spec("socketio") is None:
        tell("not run: python-socketio (it is not installed)")
    else:
        theirs = stack.enter_context(running("benchmarks.fanout_servers", "socketio", ready_path="/"))
        audiences["python-socketio"] = Audience(theirs, SocketIoSocket, readers)
    node, modules = shutil.which("node"), os.environ.get(WS_FOLDER, "")
    if node is None or not (Path(modules) / "node_modules" / "ws").is_dir():
        tell(f"not run: node ws (node, or {WS_FOLDER} with node_modules/ws, is missing)")
    else:
        script = str(Path(__file__).with_name("fanout_ws.cjs"))
        theirs = stack.enter_context(running(node, script, "{port}", modules, ready_path="/"))
        audiences["node ws"] = Audience(theirs, PlainSocket, readers)
    return audiences


async def compare(
    folder: Path, rounds: int, duration_s: float, tell: Tell, readers: int = READERS
) -> list[dict[str, Any]]:
    """One row for each server and size of burst. Ratios are of the server's CPU per message, in the same round: theirs to ours."""
    rows = []
    with ExitStack() as stack:
        audiences = _start(stack, folder, tell, readers)
        for name, audience in audiences.items():
            tell(f"connecting {readers} readers to {name}")
            await audience.gather()
            stack.callback(audience.close)
        for burst in (1, BURST):
            tell(f"fan-out to {readers} readers, bursts of {burst}")
            rates: dict[str, list[float]] = {name: [] for name in audiences}
            cpu: dict[str, list[float]] = {name: [] for name in audiences}
            for number in range(-1, rounds):
                for name in list(audiences) if number % 2 == 0 else list(reversed(audiences)):
                    rate, spent_s = await audiences[name].run(burst, duration_s)
                    if number >= 0:  # the round before the first one only warms up
                        rates[name].append(rate)
                        cpu[name].append(spent_s)
            rows += [
                {
                    "server": name,
                    "burst": burst,
                    "messages_per_s": round(median(rates[name])),
                    "cpu_us": round(median(cpu[name]) * 1e6, 1),
                    **ratios(cpu[name], cpu["Sessile"]),
                    "kib_per_socket": round(audiences[name].kib_per_socket, 1),
                }
                for name in audiences
            ]
    return rows
