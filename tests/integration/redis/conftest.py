"""Redis servers of our own, and the two lanes under one set of scenarios."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sessile.model.fence import CachePlace, CacheUnavailable
from sessile.runtime.lane import drive
from sessile.stores.redis.cache import AsyncRedisCache, BlockingRedisCache
from sessile.testing.servers import free_port

Cache = AsyncRedisCache | BlockingRedisCache
_NUMBERS = itertools.count(1)
_START_TIMEOUT_S = 10.0


class Redis:
    """One redis-server (or, with `--sentinel`, a sentinel) with a folder of its own; stopped by its pid."""

    def __init__(self, *arguments: str, tls: Sequence[str] = (), config: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sessile-redis-"))
        self.port = free_port()
        listen = ["--port", "0", "--tls-port", str(self.port), *tls] if tls else ["--port", str(self.port)]
        (self.folder / "redis.conf").write_text(config)
        self._command = [
            "redis-server",
            str(self.folder / "redis.conf"),
            "--dir",
            str(self.folder),
            "--bind",
            "127.0.0.1",
        ]
        self._command += ["--save", "", *listen, *arguments] if "--sentinel" not in arguments else [*listen, *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._started_at_byte = log.tell()
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while b"eady to accept connections" not in self._log() and b"Sentinel ID is" not in self._log():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise TimeoutError(self._log().decode())
            time.sleep(0.02)

    def _log(self) -> bytes:
        """Since the last start."""
        return (self.folder / "log").read_bytes()[self._started_at_byte :]

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def cli(self, *words: str, arguments: Sequence[str] = ()) -> str:
        command = ["redis-cli", "-p", str(self.port), *arguments, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class Lane:
    """How a scenario is run: on an event loop, or without one."""

    name: str
    make: Callable[..., Any]
    sleep: Callable[[float], Awaitable[None]]
    run: Callable[[Any], Any]

    async def until(self, check: Callable[[], Awaitable[Any]], within_s: float = 30.0) -> Any:
        """What `check` returns as soon as it is true; an unavailable cache is asked again. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                if answer := await check():
                    return answer
            except CacheUnavailable:
                pass
            await self.sleep(0.02)
        raise TimeoutError


async def _sleep(duration_s: float) -> None:
    time.sleep(duration_s)  # noqa: ASYNC251 - the lane without an event loop


def _run_on_uvloop(scenario: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario)


LANES = {
    "asyncio": Lane("asyncio", AsyncRedisCache, asyncio.sleep, asyncio.run),
    "uvloop": Lane("uvloop", AsyncRedisCache, asyncio.sleep, _run_on_uvloop),
    "blocking": Lane("blocking", BlockingRedisCache, _sleep, drive),
}


@pytest.fixture(params=list(LANES))
def lane(request: pytest.FixtureRequest) -> Lane:
    return LANES[request.param]


@pytest.fixture
def lanes() -> dict[str, Lane]:
    return LANES


@pytest.fixture(params=["asyncio", "blocking"])
def either(request: pytest.FixtureRequest) -> Lane:
    """Without uvloop, for what takes seconds."""
    return LANES[request.param]


Start = Callable[..., Redis]


def _starting() -> Iterator[Start]:
    """A way to start servers, and their end."""
    started: list[Redis] = []

    def one(*arguments: str, **options: Any) -> Redis:
        server = Redis(*arguments, **options)
        started.append(server)
        server.start()
        return server

    yield one
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def start_shared(require: Callable[[str], str]) -> Iterator[Start]:
    """Starts servers for a module."""
    require("redis-server")
    yield from _starting()


@pytest.fixture
def start(require: Callable[[str], str]) -> Iterator[Start]:
    """Starts servers for one test."""
    require("redis-server")
    yield from _starting()


@pytest.fixture(scope="module")
def shared(start_shared: Start) -> Redis:
    """A server that no test stops."""
    return start_shared()


def epoch() -> str:
    """A name that no other test uses."""
    return f"1-{next(_NUMBERS):x}"


async def place_of(cache: Cache) -> CachePlace:
    return CachePlace(await cache.server(), epoch())
