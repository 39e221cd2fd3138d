"""A drill: a running system is broken in many ways, `sessile doctor` has to name each cause, and the command that it prints has to mend it.

`python -m scripts.drill` plays all of it on SQLite, then on PostgreSQL with Redis, on servers of its own. What belongs to the machine (`systemctl start`, `redis-cli`, a
variable that is exported) is played on these servers; commands of `sessile` and of PostgreSQL are run as they are printed. Status 1 when something was not named or not mended.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from typer.testing import CliRunner

from scripts.tls_front import TlsFront
from sessile.cli.main import app
from sessile.model.platform import PlatformEntry
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer, free_port

MENDED_WITHIN_S: Final = 20.0
"""A service that was cut off comes back by itself, and not at once."""
STARTED_WITHIN_S: Final = 90.0
Finding = dict[str, str]


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

    def __post_init__(self) -> None:
        self.environment["SESSILE_DATABASE_URL"] = self.database_url
        if self.redis is not None:
            self.environment |= {"SESSILE_REDIS_URL": self.redis.url(), "SESSILE_FENCE_PERIOD_S": "0.2"}

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
        elif program in ("psql", "chmod"):
            done = subprocess.run([program, *arguments], check=False, capture_output=True, cwd=self.folder, text=True)
            if done.returncode:
                raise DrillFailed(f"{cure}: {done.stderr}")
        else:
            raise DrillFailed(f"nobody knows how to do this: {cure}")

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

    def fits(self, world: World) -> bool:
        return (self.needs != "postgres" or world.postgres is not None) and (
            self.needs != "redis" or world.redis is not None
        )

    def options(self, world: World) -> list[str]:
        if self.behind_tls:
            assert world.front is not None
            return ["--url", world.front.url]
        return ["--url", world.url] if self.looks_at_service else []


# -- the ways to break it -------------------------------------------------------------------------------------------------------


def drop_a_table(world: World) -> None:
    world.sql("DROP TABLE rate_limits")


def forget_an_upgrade(world: World) -> None:
    world.sql("DROP SCHEMA sessile CASCADE")


def stop_sweeping(world: World) -> None:
    with world.manager() as manager:
        session = manager.create_session("ada").session
        manager.set_idle_deadline(session.session_id, manager.clock.now() - timedelta(days=1))


def lose_the_default(world: World) -> None:
    with world.manager() as manager:
        manager.sync_platforms("ada", [PlatformEntry(platform_id="shop", name="Shop")])
    world.sql("UPDATE platforms SET is_default = false")


def mix_up_owners(world: World) -> None:
    with world.manager() as manager:
        manager.sync_platforms("bea", [PlatformEntry(platform_id="hers", name="Hers")])
        manager.create_session("dan")
    world.sql("UPDATE sessions SET platform_id = 'hers' WHERE user_id = 'dan'")


def forget_maintenance(world: World) -> None:
    world.run("maintenance", "begin", "--yes")


def open_the_file(world: World) -> None:
    file = world.folder / "sessile.toml"
    file.write_text('service_key = "fJ2c9QxT7bLwZr4YdKs8VnHg3Mp6Ea1u"\n')
    file.chmod(0o644)


def hold_the_cache(world: World) -> None:
    world.run("cache", "fence", "--hold", "3600", "--yes")


def forbid_eviction(world: World) -> None:
    assert world.redis is not None
    world.redis.run("CONFIG", "SET", "maxmemory", "100mb")
    world.redis.run("CONFIG", "SET", "maxmemory-policy", "noeviction")


def kill_redis(world: World) -> None:
    assert world.redis is not None
    world.redis.kill()


def kill_redis_and_wait(world: World) -> None:
    with world.manager() as manager:
        headers = {"authorization": f"Bearer {manager.create_session('eve').token}"}
    kill_redis(world)
    deadline = time.monotonic() + MENDED_WITHIN_S
    while time.monotonic() < deadline:
        httpx.get(f"{world.url}/api/v0/session", headers=headers, timeout=5)  # who uses it notices
        link = httpx.get(f"{world.url}/readyz", timeout=5).json()["cache"]["link"]
        if link["state"] == "down":
            return
        time.sleep(0.1)


def make_it_read_only(world: World) -> None:
    assert world.postgres is not None
    name = world.database_url.rpartition("/")[2]
    world.postgres.run_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')


def stop_postgres(world: World) -> None:
    assert world.postgres is not None
    world.postgres.stop()


def set_a_wrong_domain(world: World) -> None:
    world.environment["SESSILE_COOKIE_DOMAIN"] = "elsewhere.example"
    world.serve()


def hide_https(world: World) -> None:
    if world.environment.pop("SESSILE_COOKIE_SECURE", None) is not None:
        world.serve()


def kill_the_service(world: World) -> None:
    world.kill()


FAULTS: Final[Sequence[Fault]] = (
    Fault("a table is missing", drop_a_table, "tables", "Missing: rate_limits."),
    Fault("the sweep does not run", stop_sweeping, "sweep", "long past a deadline"),
    Fault("a user's default platform is lost", lose_the_default, "platforms", "ada has platforms and no default."),
    Fault("a session on another user's platform", mix_up_owners, "platforms", "is on a platform that its user may not use."),
    Fault("maintenance was forgotten", forget_maintenance, "maintenance", "It is in force"),
    Fault("others can read secrets", open_the_file, "settings", "has secrets and others can read it"),
    Fault("the cookie's domain is wrong", set_a_wrong_domain, "cookie", "is not below it", looks_at_service=True),
    Fault("the proxy does not say https", hide_https, "proxy", "for plain http", behind_tls=True),
    Fault("the service was killed", kill_the_service, "url", "does not answer", looks_at_service=True),
    Fault("the schema is behind", forget_an_upgrade, "database", "version", "postgres"),
    Fault("the database is read-only", make_it_read_only, "database", "cannot be written", "postgres"),
    Fault("the database is down", stop_postgres, "database", "cannot be reached", "postgres"),
    Fault("the fence holds the cache", hold_the_cache, "fence", "keeps the cache unused", "redis"),
    Fault("Redis may not evict", forbid_eviction, "redis", "noeviction", "redis"),
    Fault("Redis is down", kill_redis, "redis", "Redis is", "redis"),
    Fault("the service's breaker is open", kill_redis_and_wait, "breaker", "way to Redis is down", "redis", looks_at_service=True),
)  # fmt: skip


# -- the drill ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    fault: Fault
    finding: Finding
    seconds: float


def play(world: World, fault: Fault) -> Played:
    """Breaks it, has it named, does what is printed, and looks again. Raises DrillFailed."""
    began = time.monotonic()
    options = fault.options(world)
    _nothing_is_wrong(world, [] if fault.behind_tls else options, "before")
    fault.break_it(world)
    found = world.findings(*options)
    named = [one for one in found if one["check"] == fault.check and fault.told in one["what"]]
    if not named:
        raise DrillFailed(f"{fault.name}: not named, but {found}")
    world.follow(named[0]["cure"])
    _nothing_is_wrong(world, options, f"after {named[0]['cure']}")
    return Played(fault, named[0], time.monotonic() - began)


def _nothing_is_wrong(world: World, options: Sequence[str], when: str) -> None:
    deadline = time.monotonic() + MENDED_WITHIN_S
    while found := world.findings(*options):
        if time.monotonic() > deadline:
            raise DrillFailed(f"{when}: {found}")
        time.sleep(0.2)


@contextmanager
def sqlite_world(*, with_service: bool = True) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="sessile-drill-") as name:
        yield from _prepared(World(Path(name), f"sqlite:///{name}/drill.db"), with_service=with_service)


@contextmanager
def postgres_world(postgres: PostgresServer, redis: RedisServer, database: str = "drill") -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="sessile-drill-") as name:
        url = postgres.create_database(database)
        upgrade(url)
        yield from _prepared(World(Path(name), url, postgres, redis))


def _prepared(world: World, *, with_service: bool = True) -> Iterator[World]:
    """In use, with a service and a front that ends TLS and says nothing of it."""
    before = Path.cwd()
    os.chdir(world.folder)
    try:
        with TlsFront(world.folder, world.port) as world.front, world.manager() as manager:
            manager.create_session("carl")
            world.environment["SSL_CERT_FILE"] = str(world.front.certificate)
            if with_service:
                world.serve()
            yield world
    finally:
        world.kill()
        os.chdir(before)


def show(console: Console, title: str, played: Sequence[Played]) -> None:
    table = Table(title=title, title_justify="left", show_lines=True, expand=True)
    for column, ratio in (("broken", 3), ("doctor says", 6), ("and it is mended by", 5)):
        table.add_column(column, ratio=ratio, overflow="fold")
    for one in played:
        table.add_row(
            one.fault.name,
            f"[bold]{one.finding['check']}[/]  {_plain(one.finding['what'])}",
            _plain(one.finding["cure"]),
        )
    console.print(table)


def _plain(told: str) -> str:
    return told.replace("[", r"\[")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--capture", type=Path, help="write what the terminal shows into this SVG file")
    given = parser.parse_args(arguments)
    console = Console(record=True, width=150)
    failures = 0
    if given.store in ("sqlite", "both"):
        with sqlite_world() as world:
            failures += drill(console, "SQLite", world)
    if given.store in ("postgres", "both"):
        with PostgresServer() as postgres, RedisServer() as redis, postgres_world(postgres, redis) as world:
            failures += drill(console, "PostgreSQL and Redis", world)
    if given.capture is not None:
        console.save_svg(str(given.capture), title="python -m scripts.drill")
    return 1 if failures else 0


def drill(console: Console, title: str, world: World, faults: Sequence[Fault] = FAULTS) -> int:
    """Plays what fits; how many failed."""
    played, failed = list[Played](), list[str]()
    for fault in faults:
        if fault.fits(world):
            try:
                played.append(play(world, fault))
            except DrillFailed as error:
                failed.append(str(error))
                break  # what is not mended would be named for the next one, too
    show(console, f"{title}: {len(played)} faults named and mended", played)
    for one in failed:
        console.print(f"[bold red]failed[/] {_plain(one)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
