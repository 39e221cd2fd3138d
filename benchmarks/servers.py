"""Starting and stopping the servers under measurement."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

START_TIMEOUT_S = 60.0
"""A guard: on a busy machine a server takes ten seconds and more."""
NO_LIMITS: Final[Mapping[str, Any]] = {
    "sockets_per_user_max": 0,
    "sockets_per_address_max": 0,
    "socket_frames_per_s": 0,
}
"""One machine plays thousands of people here."""


@dataclass(frozen=True)
class Running:
    """A server process."""

    port: int
    pid: int


@contextmanager
def server(variant: str, folder: Path, *extra: str, ready_path: str) -> Iterator[int]:
    """One of `benchmarks.applications` on a free port; its port. Stopped by its pid."""
    with server_process(variant, folder, *extra, ready_path=ready_path) as (port, _pid):
        yield port


@contextmanager
def server_process(variant: str, folder: Path, *extra: str, ready_path: str) -> Iterator[tuple[int, int]]:
    """The same, with its pid, to look at what it costs."""
    database = () if "--database" in extra else ("--database", str(folder / f"{variant}-{time.monotonic_ns()}.db"))
    with running("benchmarks.applications", variant, *database, *extra, ready_path=ready_path) as made:
        yield made.port, made.pid


@contextmanager
def running(program: str, *arguments: str, ready_path: str) -> Iterator[Running]:
    """A module of this package, or another program, on a free port: as `--port`, or where the arguments say `{port}`. Stopped by its pid."""
    port = _free_port()
    if program.startswith("benchmarks."):
        command = [sys.executable, "-m", program, *arguments, "--port", str(port)]
    else:
        command = [program, *(argument.replace("{port}", str(port)) for argument in arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}{ready_path}")
        yield Running(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    """Returns with the first answer, whatever its status."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError(f"no answer from {url} in {START_TIMEOUT_S:.0f} s")
