"""Sentinels name the master: the cache follows a failover, and what the new master answers is another server's."""

from __future__ import annotations

import time

import pytest

from sessile.model.fence import CachePlace, CacheUnavailable, Miss
from tests.integration.redis.conftest import Cache, Lane, Redis, Start, epoch, place_of

_SENTINEL = """
sentinel monitor mymaster 127.0.0.1 {port} 2
sentinel down-after-milliseconds mymaster 400
sentinel failover-timeout mymaster 1500
"""


class SentinelSet:
    """One master, one replica, three sentinels."""

    def __init__(self, start: Start) -> None:
        first = start("--repl-diskless-sync-delay", "0")
        second = start("--replicaof", f"127.0.0.1 {first.port}", "--repl-diskless-sync-delay", "0")
        self.servers = [first, second]
        config = _SENTINEL.format(port=first.port)
        self.sentinels = [start("--sentinel", config=config) for _ in range(3)]
        self.wait_for_replica()

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/mymaster"

    def master(self) -> Redis:
        named = self.sentinels[0].cli("SENTINEL", "get-master-addr-by-name", "mymaster").split()
        return next(server for server in self.servers if str(server.port) == named[1])

    def wait_for_replica(self) -> None:
        """Returns when another failover would succeed."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            told = [one.cli("SENTINEL", "CKQUORUM", "mymaster") for one in self.sentinels]
            seen = [one.cli("SENTINEL", "REPLICAS", "mymaster") for one in self.sentinels]
            is_known = all("OK 3 usable" in one for one in told) and all(
                "master-link-status\nok" in one for one in seen
            )
            if is_known and not any("disconnected" in one or "s_down" in one for one in seen):
                return
            time.sleep(0.05)
        raise TimeoutError("the sentinels do not see a replica")

    def bring_back(self, server: Redis) -> None:
        """As a replica; the sentinels would do that, too, but after eight seconds."""
        deadline = time.monotonic() + 10
        while self.master() is server and time.monotonic() < deadline:
            time.sleep(0.05)  # one of them may not have heard yet
        server.start()
        server.cli("REPLICAOF", "127.0.0.1", str(self.master().port))
        self.wait_for_replica()


@pytest.fixture(scope="module")
def sentinel_set(start_shared: Start) -> SentinelSet:
    return SentinelSet(start_shared)


async def other_server(cache: Cache, before: str) -> bool:
    return await cache.server() != before


def test_a_failover_is_followed(either: Lane, sentinel_set: SentinelSet) -> None:
    async def scenario() -> None:
        cache = either.make(sentinel_set.url)
        place = await place_of(cache)
        assert await cache.get(place, "s") is Miss.ABSENT
        master = sentinel_set.master()
        master.kill()
        await either.until(lambda: other_server(cache, place.server))
        with pytest.raises(CacheUnavailable):
            await cache.get(place, "s")
        after = CachePlace(await cache.server(), epoch())
        await cache.mark(after, [("s", b"m")])
        assert await cache.get(after, "s") is Miss.BUSY
        await cache.close()
        sentinel_set.bring_back(master)

    either.run(scenario())


def test_a_sentinel_that_hangs_is_passed_over(either: Lane, sentinel_set: SentinelSet) -> None:
    async def scenario() -> None:
        for hanging in sentinel_set.sentinels:
            hanging.pause()
            cache = either.make(sentinel_set.url)
            assert await cache.server()
            await cache.close()
            hanging.resume()

    either.run(scenario())


def test_a_service_that_nobody_knows_is_unavailable(either: Lane, sentinel_set: SentinelSet) -> None:
    async def scenario() -> None:
        cache = either.make(sentinel_set.url.replace("mymaster", "unknown"))
        with pytest.raises(CacheUnavailable, match="no sentinel"):
            await cache.server()
        await cache.close()

    either.run(scenario())
