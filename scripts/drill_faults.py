"""The ways in which a drill breaks a system, each with what `sessile doctor` has to say of it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import httpx

from scripts.drill_machine import Crowd, FakedPostgres, RedisClock, fill
from scripts.drill_world import MENDED_WITHIN_S, DrillFailed, Fault, World
from sessile.model.document import Actor
from sessile.model.errors import StoreUnavailable
from sessile.model.platform import PlatformEntry


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


def set_this_clock_back(world: World) -> None:
    world.clock_ahead_s = -90


def set_the_clock_of_the_database(world: World) -> None:
    assert isinstance(world.postgres, FakedPostgres)
    world.postgres.set_clock(90)


def set_the_clock_of_redis(world: World) -> None:
    assert world.redis is not None
    world.redis_clock = RedisClock(world.redis.port, -90)
    world.environment["SESSILE_REDIS_URL"] = world.redis.url(port=world.redis_clock.port)


def take_away_the_clock_of_redis(world: World) -> None:
    assert world.redis is not None
    if world.redis_clock is not None:
        world.redis_clock.close()
        world.redis_clock = None
    world.environment["SESSILE_REDIS_URL"] = world.redis.url()


def fill_the_disk(world: World) -> None:
    """And what is saved now is refused."""
    assert world.disk is not None
    if world.postgres is not None:
        # Its log gets a new file, and has it, before nothing is left: without room for the next one PostgreSQL would stop, which is another fault.
        world.postgres.ask_sql("SELECT pg_switch_wal()")
        world.postgres.ask_sql("CHECKPOINT")
    fill(world.disk)
    with world.manager() as manager:
        try:
            manager.documents.open(
                Actor(user_id="carl"), "large", default={"text": "x" * 200_000, "more": os.urandom(300_000).hex()}
            )
        except StoreUnavailable:
            return
    raise DrillFailed("the disk is full, and something was kept all the same")


def take_all_connections(world: World) -> None:
    with world.manager() as manager:
        tokens = [manager.create_session(f"waiting-{number}").token for number in range(3)]
    world.environment["SESSILE_POOL_SIZE"] = "2"
    world.serve()
    world.crowd = Crowd(world.url, world.database_url, tokens)
    deadline = time.monotonic() + MENDED_WITHIN_S
    while time.monotonic() < deadline:
        pool = httpx.get(f"{world.url}/readyz", timeout=15).json()["store"]["pool"]
        if pool["in_use"] >= pool["size_max"]:
            return
        time.sleep(0.1)


def send_the_crowd_away(world: World) -> None:
    if world.crowd is not None:
        world.crowd.close()
        world.crowd = None


FAULTS: Final[Sequence[Fault]] = (
    Fault("a table is missing", drop_a_table, "tables", "Missing: rate_limits."),
    Fault("the sweep does not run", stop_sweeping, "sweep", "long past a deadline"),
    Fault("a user's default platform is lost", lose_the_default, "platforms", "ada has platforms and no default."),
    Fault("a session on another user's platform", mix_up_owners, "platforms", "is on a platform that its user may not use."),
    Fault("maintenance was forgotten", forget_maintenance, "maintenance", "It is in force"),
    Fault("others can read secrets", open_the_file, "settings", "has secrets and others can read it"),
    Fault("the cookie's domain is wrong", set_a_wrong_domain, "cookie", "is not below it", looks_at_service=True),
    Fault("the proxy does not say https", hide_https, "proxy", "for plain http", behind_tls=True),
    Fault("this machine's clock went back", set_this_clock_back, "clock", "s in the future"),
    Fault("the disk is full", fill_the_disk, "database", "There are 0 MB left", "file disk"),
    Fault("the database's disk is full", fill_the_disk, "database", "cannot be written", "postgres disk"),
    Fault("the service was killed", kill_the_service, "url", "does not answer", looks_at_service=True),
    Fault("the schema is behind", forget_an_upgrade, "database", "version", "postgres"),
    Fault("the database is read-only", make_it_read_only, "database", "cannot be written", "postgres"),
    Fault("the database is down", stop_postgres, "database", "cannot be reached", "postgres"),
    Fault("all connections are in use", take_all_connections, "pool", "exhausted: 2 of 2 connections", "postgres", looks_at_service=True, tidy=send_the_crowd_away),
    Fault("this machine's clock is wrong", set_this_clock_back, "clock", "This machine's clock is 90", "postgres redis"),
    Fault("the database's clock is wrong", set_the_clock_of_the_database, "clock", "The clock of the database is 90", "postgres redis clocks"),
    Fault("Redis's clock is wrong", set_the_clock_of_redis, "clock", "The clock of Redis is 90", "redis", tidy=take_away_the_clock_of_redis),
    Fault("the fence holds the cache", hold_the_cache, "fence", "keeps the cache unused", "redis"),
    Fault("Redis may not evict", forbid_eviction, "redis", "noeviction", "redis"),
    Fault("Redis is down", kill_redis, "redis", "Redis is", "redis"),
    Fault("the service's breaker is open", kill_redis_and_wait, "breaker", "way to Redis is down", "redis", looks_at_service=True),
)  # fmt: skip
