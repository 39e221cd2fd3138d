"""A server as a process of its own, that a test starts, kills and starts again at the same port."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.architecture.tree import ROOT
from tests.e2e.recording import recordings

START_TIMEOUT_S = 60.0
"""Two cores, shared with the browser."""
_POLL_S = 0.01


def free_port() -> int:
    """Below the ports that the kernel gives to outgoing connections: while the server is away nobody else gets this one, and a
    connection to it cannot meet itself."""
    candidates = random.SystemRandom()
    while True:
        port = candidates.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Served:
    """One program at one port on one database file, dead or alive."""

    def __init__(
        self, command: list[str], environment: dict[str, str], *, port: int, log: Path, ready_path: str
    ) -> None:
        self._command = command
        self._environment = environment
        self._log = log
        self._ready_path = ready_path
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def spawn(self) -> None:
        """Starts the process and does not wait."""
        assert self._process is None, "the server runs already"
        known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
        with self._log.open("ab") as output:  # the process has its own copy
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env={**known, **self._environment}, stdout=output, stderr=output
            )

    def wait_up(self) -> float:
        """Until it answers; the moment (Unix time in seconds) of the first answer."""
        deadline = time.monotonic() + START_TIMEOUT_S
        with httpx.Client(timeout=2.0) as client:
            while time.monotonic() < deadline:
                assert self._process is not None
                assert self._process.poll() is None, f"the server ended by itself:\n{self.log}"
                try:
                    if client.get(self.origin + self._ready_path).status_code == 200:
                        return time.time()
                except httpx.TransportError:
                    time.sleep(_POLL_S)
        raise AssertionError(f"the server did not answer within {START_TIMEOUT_S} s:\n{self.log}")

    def start(self) -> float:
        self.spawn()
        return self.wait_up()

    def kill(self) -> None:
        """kill -9: nothing is finished, nothing is written any more."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator stops it; what does not end in 15 s is a failure."""
        self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(sign)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@contextmanager
def demo_at(folder: Path, **environment: str) -> Iterator[Served]:
    """The demo, running. Killed at the end, since a test may have left pages open that would hold up a polite stop."""
    port = free_port()
    command = [sys.executable, "-m", "sessile.cli.main", "demo", "--database", f"sqlite:///{folder / 'demo.db'}"]
    server = Served(
        command, {"PORT": str(port), **environment}, port=port, log=folder / "demo.log", ready_path="/healthz"
    )
    try:
        server.start()
        yield server
    finally:
        server.kill()
        recordings.add_server(folder)


@contextmanager
def form_site_at(folder: Path) -> Iterator[Served]:
    """The application of `form_site.py` under plain uvicorn, running."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.e2e.form_site:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    environment = {"SESSILE_DATABASE_URL": f"sqlite:///{folder / 'form.db'}"}
    server = Served(command, environment, port=port, log=folder / "form.log", ready_path="/sign-in")
    try:
        server.start()
        yield server
    finally:
        server.kill()
        recordings.add_server(folder)
