"""The steps of the cache, one by one, in both lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sessile.model.errors import ConfigurationError
from sessile.model.fence import CachePlace, CacheUnavailable, Miss, Publication
from sessile.stores.redis.cache import AsyncRedisCache
from sessile.testing.shows import shows_security
from tests.integration.redis.conftest import Cache, Lane, Redis, Start, epoch, place_of

Scenario = Callable[[Cache, CachePlace], Any]


@pytest.fixture
def played(lane: Lane, shared: Redis) -> Callable[[Scenario], None]:
    """Runs a scenario on a cache with a place of its own."""

    def play(scenario: Scenario) -> None:
        async def body() -> None:
            cache = lane.make(shared.url)
            try:
                await scenario(cache, await place_of(cache))
            finally:
                await cache.close()

        lane.run(body())

    return play


async def settled(cache: Cache, place: CachePlace) -> None:
    """Returns after everything that was posted before: replies come in order."""
    await cache.get(place, "-")


def test_a_miss_is_leased_once_and_filled(played: Callable[[Scenario], None]) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        assert await cache.get(place, "s") is Miss.ABSENT
        assert await cache.lease(place, "s", b"mine")
        assert not await cache.lease(place, "s", b"other")
        assert await cache.get(place, "s") is Miss.BUSY
        await cache.fill(place, "s", b"other", b"wrong", 60)
        await cache.fill(place, "s", b"mine", b"right\x00\r\n", 60)
        await settled(cache, place)
        assert await cache.get(place, "s") == b"right\x00\r\n"

    played(scenario)


def test_known_absent_is_a_value(played: Callable[[Scenario], None]) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.lease(place, "s", b"t")
        await cache.fill(place, "s", b"t", b"", 60)
        await settled(cache, place)
        assert await cache.get(place, "s") == b""

    played(scenario)


def test_a_mark_kills_a_lease(played: Callable[[Scenario], None]) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.lease(place, "s", b"t")
        await cache.mark(place, [("s", b"m")])
        await cache.fill(place, "s", b"t", b"old", 60)
        await settled(cache, place)
        assert await cache.get(place, "s") is Miss.BUSY

    played(scenario)


def test_a_publication_goes_where_its_own_mark_stands(played: Callable[[Scenario], None]) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.mark(place, [("own", b"m"), ("others", b"x")])
        await cache.lease(place, "leased", b"t")
        await cache.lease(place, "filled", b"t")
        await cache.fill(place, "filled", b"t", b"old", 60)
        names = ["own", "others", "leased", "filled", "absent"]
        await cache.publish(place, [Publication(name, b"m", b"new", 60) for name in names])
        found = [await cache.get(place, name) for name in names]
        assert found == [b"new", Miss.BUSY, Miss.ABSENT, Miss.ABSENT, Miss.ABSENT]

    played(scenario)


def test_a_publication_without_a_token_only_removes(played: Callable[[Scenario], None]) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.mark(place, [("marked", b"x")])
        await cache.lease(place, "leased", b"t")
        await cache.lease(place, "filled", b"t")
        await cache.fill(place, "filled", b"t", b"old", 60)
        await cache.publish(place, [Publication(name, None) for name in ("marked", "leased", "filled", "absent")])
        found = [await cache.get(place, name) for name in ("marked", "leased", "filled", "absent")]
        assert found == [Miss.BUSY, Miss.ABSENT, Miss.ABSENT, Miss.ABSENT]

    played(scenario)


def test_a_value_whose_time_is_over_is_not_put(played: Callable[[Scenario], None]) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.mark(place, [("s", b"m")])
        await cache.publish(place, [Publication("s", b"m", b"new", 0.0)])
        assert await cache.get(place, "s") is Miss.ABSENT

    played(scenario)


def test_nothing_to_do_is_nothing(played: Callable[[Scenario], None]) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.mark(place, [])
        await cache.publish(place, [])

    played(scenario)


def test_everything_lapses(played: Callable[[Scenario], None], shared: Redis) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.lease(place, "leased", b"t")
        await cache.mark(place, [("marked", b"m"), ("put", b"m")])
        await cache.publish(place, [Publication("put", b"m", b"new", 60)])
        ttls = [int(shared.cli("PTTL", f"sessile:{place.epoch}:{name}")) for name in ("leased", "marked", "put")]
        assert 1000 < ttls[0] <= 3000
        assert 3000 < ttls[1] <= 5000
        assert 30_000 < ttls[2] <= 60_000

    played(scenario)


def test_scripts_that_the_server_has_forgotten_are_told_again(
    played: Callable[[Scenario], None], shared: Redis
) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        await cache.lease(place, "s", b"t")
        await cache.mark(place, [("a", b"m"), ("b", b"m")])
        shared.cli("SCRIPT", "FLUSH")
        await cache.fill(place, "s", b"t", b"filled", 60)
        await settled(cache, place)
        await settled(cache, place)
        assert await cache.get(place, "s") == b"filled"
        shared.cli("SCRIPT", "FLUSH")
        await cache.publish(place, [Publication("a", b"m", b"1", 60), Publication("b", b"m", b"2", 60)])
        assert [await cache.get(place, name) for name in "ab"] == [b"1", b"2"]

    played(scenario)


def test_only_the_server_that_is_meant_is_asked(played: Callable[[Scenario], None], shared: Redis) -> None:
    async def scenario(cache: Cache, place: CachePlace) -> None:
        other = CachePlace("0" * 40, place.epoch)
        for refused in (
            lambda: cache.get(other, "s"),
            lambda: cache.lease(other, "s", b"t"),
            lambda: cache.mark(other, [("s", b"m")]),
            lambda: cache.publish(other, [Publication("s", None)]),
        ):
            with pytest.raises(CacheUnavailable):
                await refused()
        await cache.fill(other, "s", b"t", b"v", 60)
        assert shared.cli("KEYS", f"sessile:{place.epoch}:*") == ""
        assert await cache.server() == place.server

    played(scenario)


@shows_security("V-8")
def test_epochs_and_namespaces_do_not_meet(lane: Lane, shared: Redis) -> None:
    async def body() -> None:
        first, second = lane.make(shared.url), lane.make(shared.url, namespace="other")
        place = await place_of(first)
        await first.mark(place, [("s", b"m")])
        assert await second.get(place, "s") is Miss.ABSENT
        assert await first.get(CachePlace(place.server, epoch()), "s") is Miss.ABSENT
        await first.close()
        await second.close()

    lane.run(body())


@pytest.mark.parametrize("namespace", ["", "{a}", "a:b", "a b", "x" * 65])
def test_a_namespace_is_a_plain_word(namespace: str) -> None:
    with pytest.raises(ConfigurationError, match="namespace"):
        AsyncRedisCache("redis://localhost", namespace=namespace)


def test_what_the_server_refuses_is_unavailable(lane: Lane, start: Start) -> None:
    server = start("--maxmemory", "100kb", "--maxmemory-policy", "noeviction")

    async def body() -> None:
        cache = lane.make(server.url)
        place = await place_of(cache)
        with pytest.raises(CacheUnavailable, match="OOM"):
            await cache.mark(place, [("s", b"m")])
        assert await cache.get(place, "s") is Miss.ABSENT
        await cache.close()

    lane.run(body())


def test_a_database_of_the_server_is_selected(lane: Lane, shared: Redis) -> None:
    async def body() -> None:
        cache = lane.make(f"{shared.url}/3")
        place = await place_of(cache)
        await cache.mark(place, [("s", b"m")])
        assert shared.cli("EXISTS", f"sessile:{place.epoch}:s", arguments=["-n", "3"]) == "1"
        await cache.close()

    lane.run(body())


async def test_a_closed_cache_is_unavailable(shared: Redis) -> None:
    cache = AsyncRedisCache(shared.url)
    place = await place_of(cache)
    await cache.close()
    await asyncio.sleep(0)
    with pytest.raises(CacheUnavailable):
        await cache.get(place, "s")
    assert [one.state for one in cache.links()] == ["closed"]
