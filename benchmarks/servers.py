"""Starting and stopping the servers under measurement."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 20.0


@contextmanager
def server(variant: str, folder: Path, *extra: str, ready_path: str) -> Iterator[int]:
    """A server process of its own on a free port; its port. Stopped by its pid."""
    with server_process(variant, folder, *extra, ready_path=ready_path) as (port, _pid):
        yield port


@contextmanager
def server_process(variant: str, folder: Path, *extra: str, ready_path: str) -> Iterator[tuple[int, int]]:
    """The same, with its pid, to look at what it costs."""
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.applications", variant, "--port", str(port)]
    database = () if "--database" in extra else ("--database", str(folder / f"{variant}-{port}.db"))
    process = subprocess.Popen([*command, *database, *extra])
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}{ready_path}")
        yield port, process.pid
    finally:
        process.terminate()
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
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError(f"no answer from {url} in {START_TIMEOUT_S:.0f} s")
