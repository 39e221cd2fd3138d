"""The server as a process of its own: started, armed, killed, started again at the same port."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 120.0
"""A guard: on a busy machine a start takes ten seconds and more."""
END_TIMEOUT_S = 10.0


class NotReached(AssertionError):
    """A named point was armed and nothing came by: the soak did not test what it says."""


class Server:
    """`plant` is the name of an error of tests.soak.plants."""

    def __init__(self, database: Path, log: Path, plant: str | None) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._database = database
        self._log = log
        self._plant = plant
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self) -> None:
        """Starts the process; does not wait until it serves."""
        command = ["-m", "tests.soak.server", "--port", str(self.port), "--database", str(self._database)]
        if self._plant is not None:
            command += ["--plant", self._plant]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                cwd=ROOT,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )

    async def ready(self) -> None:
        """Returns when it serves. Raises RuntimeError when it ended instead."""
        assert self.process.stdout is not None, "made with a pipe"
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await self.process.stdout.readline()
        if not line.startswith(b"ready "):
            raise RuntimeError(f"the server did not start; see {self._log}")

    async def tell(self, command: str) -> None:
        """One line to its standard input; returns when it has been taken in, or the process has died of it."""
        assert self.process.stdin is not None, "made with a pipe"
        assert self.process.stdout is not None, "made with a pipe"
        self.process.stdin.write(f"{command}\n".encode())
        async with asyncio.timeout(START_TIMEOUT_S):
            await self.process.stdout.readline()

    def kill(self) -> None:
        """SIGKILL, now. No harm when it is dead already."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)

    async def ended(self, by: str) -> None:
        """Returns when the process is gone, by SIGKILL. Raises NotReached when it goes on living."""
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                code = await self.process.wait()
        except TimeoutError:
            raise NotReached(f"the server never came to `{by}`") from None
        if code != -signal.SIGKILL:
            raise RuntimeError(f"the server ended by itself with {code}; see {self._log}")

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "spawned"
        return self._process

    async def stop(self) -> None:
        if self._process is not None:
            self.kill()
            await self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
