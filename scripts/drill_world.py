"""What a drill breaks: a database with a service on it and what stands around them, and what somebody does who reads what `sessile doctor` prints."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from sqlalchemy import text
from typer.testing import CliRunner

from scripts.drill_machine import Crowd, FakedPostgres, RedisClock, clock_of_this_process, make_room
from scripts.tls_front import TlsFront
from sessile.cli.main import app
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.testing.servers import PostgresServer, RedisServer, free_port

MENDED_WITHIN_S: Final = 20.0
"""A service that was cut off comes back by itself, and not at once."""
STARTED_WITHIN_S: Final = 90.0
Finding = dict[str, str]


NEEDED: Final = {
    "disk": "a small file system (root on Linux)",
    "clocks": "libfaketime",
}


class DrillFailed(Exception):
    """A fault was not named, or its command did not mend it."""


@dataclass
class World:
    """A database with a service on it, and what stands around them. `environment` is the whole of what they see of ours."""

    folder: Path
    database_url: str
    postgres: PostgresServer | None = None
    redis: RedisServer | None = None
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    service: subprocess.Popen[bytes] | None = None
    front: TlsFront | None = None
    disk: Path | None = None
    """A small one that is all theirs."""
    clock_ahead_s: float = 0
    """How wrong the clock is by which commands are run."""
    redis_clock: RedisClock | None = None
    crowd: Crowd | None = None

    def __post_init__(self) -> None:
        self.environment["SESSILE_DATABASE_URL"] = self.database_url
        if self.redis is not None:
            self.environment |= {"SESSILE_REDIS_URL": self.redis.url(), "SESSILE_FENCE_PERIOD_S": "0.2"}

    @property
    def has(self) -> frozenset[str]:
        """What a fault may need."""
        there = {
            "postgres": self.postgres is not None,
            "redis": self.redis is not None,
            "file": self.postgres is None,
            "disk": self.disk is not None,
            "clocks": isinstance(self.postgres, FakedPostgres),
        }
        return frozenset(name for name, is_there in there.items() if is_there)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manager(self) -> SessionManager:
        redis_url = None if self.redis is None else self.redis.url()
        return SessionManager(Settings(database_url=self.database_url, redis_url=redis_url))

    def sql(self, statement: str) -> None:
        with self.manager() as manager:
            manager.transact(lambda connection: connection.execute(text(statement)))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """A command of ours: status, output, errors."""
        with clock_of_this_process(self.clock_ahead_s) if self.clock_ahead_s else nullcontext():
            ran = CliRunner(env={"COLUMNS": "160", **self.environment}).invoke(app, list(arguments))
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        return ran.exit_code, ran.stdout, ran.stderr

    def findings(self, *options: str) -> list[Finding]:
        """What doctor says is not in order."""
        _, out, _ = self.run("doctor", *options, "--json")
        return [one for one in json.loads(out)["findings"] if one["severity"] in ("error", "warning")]

    def serve(self) -> None:
        """Starts the service, or once more with other settings."""
        self.kill()
        known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
        with (self.folder / "service.log").open("ab") as log:
            self.service = subprocess.Popen(
                [sys.executable, "-m", "sessile.cli.main", "serve", "--port", str(self.port)],
                cwd=self.folder,
                env={**known, **self.environment},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < deadline and self.service.poll() is None:
            try:
                httpx.get(f"{self.url}/healthz", timeout=1)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise DrillFailed(f"the service did not start: {(self.folder / 'service.log').read_text()[-2000:]}")

    def kill(self) -> None:
        if self.service is not None:
            self.service.kill()
            self.service.wait()
            self.service = None

    def follow(self, cure: str) -> None:
        """Does what was printed."""
        program, *arguments = shlex.split(cure, comments=True)
        if program == "sessile" and arguments[0] != "serve":
            status, out, err = self.run(*arguments)
            if status:
                raise DrillFailed(f"{cure}: {out}{err}")
        elif program in ("sessile", "systemctl"):
            {"serve": self.serve, "redis": self._start_redis, "postgresql": self._start_postgres}[arguments[-1]]()
        elif program == "redis-cli":
            assert self.redis is not None
            self.redis.run(*arguments)
        elif program == "unset":
            self.environment.pop(arguments[0], None)
            self.serve()
        elif program == "export":
            name, _, value = arguments[0].partition("=")
            self.environment[name] = value
            self.serve()
        elif program == "timedatectl":
            self._set_clocks()
        elif program == "du":
            make_room(cure, self._is_ours)
        elif program in ("psql", "chmod"):
            done = subprocess.run([program, *arguments], check=False, capture_output=True, cwd=self.folder, text=True)
            if done.returncode:
                raise DrillFailed(f"{cure}: {done.stderr}")
        else:
            raise DrillFailed(f"nobody knows how to do this: {cure}")

    def _set_clocks(self) -> None:
        self.clock_ahead_s = 0
        if isinstance(self.postgres, FakedPostgres):
            self.postgres.set_clock(0)
        if self.redis_clock is not None:
            self.redis_clock.ahead_s = 0

    def _is_ours(self, path: Path) -> bool:
        servers = [server.folder for server in (self.postgres, self.redis) if server is not None]
        return any(folder in path.parents for folder in (self.folder, *servers))

    def _start_redis(self) -> None:
        assert self.redis is not None
        self.redis.start()

    def _start_postgres(self) -> None:
        assert self.postgres is not None
        self.postgres.start()


@dataclass(frozen=True)
class Fault:
    """`told` is what doctor has to say, under `check`. `looks_at_service`: it is asked with --url, `behind_tls` at the front that ends TLS."""

    name: str
    break_it: Callable[[World], None]
    check: str
    told: str
    needs: str = ""
    looks_at_service: bool = False
    behind_tls: bool = False
    tidy: Callable[[World], None] = lambda _world: None
    """What is to be taken away afterwards, and is no part of the mending."""

    def fits(self, world: World) -> bool:
        return world.has.issuperset(self.needs.split())

    def options(self, world: World) -> list[str]:
        if self.behind_tls:
            assert world.front is not None
            return ["--url", world.front.url]
        return ["--url", world.url] if self.looks_at_service else []
