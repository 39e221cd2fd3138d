"""One connection for many callers: few writes, replies to whom they belong, other loops, threads, forks, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sessile.model.fence import CachePlace, CacheUnavailable, Miss, Publication
from sessile.runtime.lane import drive
from sessile.stores.redis.cache import AsyncRedisCache, BlockingRedisCache
from sessile.stores.redis.link import Limits
from tests.integration.redis.conftest import Cache, Lane, Redis, Start, epoch, place_of

COUNT = 1000


async def filled(cache: Cache, count: int) -> CachePlace:
    """A place with entries `s0`, `s1`..., each with its own name as its value."""
    place = await place_of(cache)
    names = [f"s{number}" for number in range(count)]
    await cache.mark(place, [(name, b"m") for name in names])
    await cache.publish(place, [Publication(name, b"m", name.encode(), 60) for name in names])
    return place


def reads_of(server: Redis) -> int:
    """How often the server has read from sockets."""
    lines = server.cli("INFO", "stats").splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("total_reads_processed"))


def clients_of(server: Redis) -> int:
    return sum("name=sessile" in line for line in server.cli("CLIENT", "LIST").splitlines())


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_calls_of_one_tick_go_out_in_one_write(name: str, lanes: dict[str, Lane], start: Start) -> None:
    server = start()

    async def scenario() -> None:
        cache = AsyncRedisCache(server.url)
        place = await filled(cache, COUNT)
        before = reads_of(server)
        found = await asyncio.gather(*(cache.get(place, f"s{number}") for number in range(COUNT)))
        assert found == [f"s{number}".encode() for number in range(COUNT)]
        # The server reads 16 KiB at a time: 1000 GETs of 35 bytes are three reads. INFO itself costs some.
        assert reads_of(server) - before < 12
        assert clients_of(server) == 1
        await cache.close()

    lanes[name].run(scenario())


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_cancelled_callers_take_no_reply_along(name: str, lanes: dict[str, Lane], shared: Redis) -> None:
    async def scenario() -> None:
        cache = AsyncRedisCache(shared.url)
        place = await filled(cache, 50)
        for turn in range(60):
            tasks = [asyncio.create_task(cache.get(place, f"s{number}")) for number in range(50)]
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            for task in tasks[turn % 3 :: 3]:
                task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            for number, one in enumerate(found):
                assert one == f"s{number}".encode() or isinstance(one, asyncio.CancelledError)
        assert cache.links()[0].connects == 1
        await cache.close()

    lanes[name].run(scenario())


async def test_a_first_caller_who_is_cancelled_does_not_stop_the_others(shared: Redis) -> None:
    cache = AsyncRedisCache(shared.url)
    first, second = asyncio.create_task(cache.server()), asyncio.create_task(cache.server())
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first
    await cache.close()


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_each_request_may_have_its_own_loop(name: str, lanes: dict[str, Lane], start: Start) -> None:
    server = start()
    cache = AsyncRedisCache(server.url)
    place = lanes[name].run(filled(cache, 1))
    for _ in range(5):
        assert lanes[name].run(cache.get(place, "s0")) == b"s0"
    gc.collect()  # a transport that was left open would warn here
    assert cache.links()[0].failures == 0
    deadline = time.monotonic() + 2
    while clients_of(server) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert clients_of(server) == 0


def test_a_loop_that_goes_on_elsewhere_is_left(shared: Redis) -> None:
    """The first loop stands still while another one is used, and goes on after that."""
    cache = AsyncRedisCache(shared.url)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        place = first.run(filled(cache, 1))
        assert second.run(cache.get(place, "s0")) == b"s0"
        assert first.run(cache.get(place, "s0")) == b"s0"
        first.run(cache.close())
    gc.collect()


async def test_too_much_at_once_fails_at_once(shared: Redis) -> None:
    cache = AsyncRedisCache(shared.url, limits=Limits(pending_max=100))
    place = await filled(cache, 1)
    found = await asyncio.gather(*(cache.get(place, "s0") for _ in range(150)), return_exceptions=True)
    assert found.count(b"s0") == 100
    assert sum(isinstance(one, CacheUnavailable) for one in found) == 50
    assert cache.links()[0].refusals == 50
    assert await cache.get(place, "s0") == b"s0"
    await cache.close()


async def test_a_server_that_does_not_read_is_not_fed_without_end(start: Start) -> None:
    server = start()
    cache = AsyncRedisCache(server.url, limits=Limits(unsent_bytes_max=100_000, call_timeout_s=5))
    place = await place_of(cache)
    server.pause()
    calls = []
    for _ in range(400):
        calls.append(asyncio.create_task(cache.publish(place, [Publication("s", b"m", bytes(100_000), 60)])))
        await asyncio.sleep(0)
    done, _ = await asyncio.wait(calls, timeout=0.5)
    assert len(done) > 100, "the kernel takes some megabytes, we keep 0.2"
    server.resume()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await cache.close()


async def test_closing_fails_what_waits(start: Start) -> None:
    server = start()
    cache = AsyncRedisCache(server.url)
    place = await place_of(cache)
    server.pause()
    waiting = [asyncio.create_task(cache.get(place, "s")) for _ in range(3)]
    await asyncio.sleep(0.02)
    await cache.close()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, CacheUnavailable) for one in found)


def test_threads_do_not_mix_replies(shared: Redis) -> None:
    cache = BlockingRedisCache(shared.url)
    place = drive(filled(cache, 8))

    def use(number: int) -> bool:
        return all(drive(cache.get(place, f"s{number}")) == f"s{number}".encode() for _ in range(300))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(8)))
    assert clients_of(shared) <= 8
    drive(cache.close())


def test_one_thread_probes_and_the_others_do_not_wait(start: Start) -> None:
    server = start()
    cache = BlockingRedisCache(server.url)
    place = drive(place_of(cache))
    server.pause()
    until = time.monotonic() + 1.2
    slow: list[float] = []

    def use(_number: int) -> None:
        with pytest.raises(CacheUnavailable):
            drive(cache.get(place, "s"))
        while time.monotonic() < until:
            started_at = time.monotonic()
            with pytest.raises(CacheUnavailable):
                drive(cache.get(place, "s"))
            if time.monotonic() - started_at > 0.1:
                slow.append(started_at)
            time.sleep(0.01)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    assert 1 <= len(slow) <= 5
    server.resume()
    drive(cache.close())


def in_child(work: Callable[[], bool]) -> bool:
    """What `work` returns in a fork of this process."""
    child = os.fork()
    if child == 0:
        is_right = False
        try:
            is_right = work()
        finally:
            os._exit(0 if is_right else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_has_connections_of_its_own(shared: Redis) -> None:
    cache = BlockingRedisCache(shared.url)
    place = drive(filled(cache, 3))
    connects = cache.links()[0].connects

    def work() -> bool:
        is_right = all(drive(cache.get(place, "s1")) == b"s1" for _ in range(50))
        return is_right and cache.links()[0].connects == connects + 1

    assert in_child(work)
    assert drive(cache.get(place, "s2")) == b"s2"
    assert cache.links()[0].connects == connects
    drive(cache.close())


async def test_a_fork_under_a_loop_has_connections_of_its_own(shared: Redis) -> None:
    cache = AsyncRedisCache(shared.url)
    place = await filled(cache, 3)

    def work() -> bool:
        async def use() -> bool:
            found = [await cache.get(place, "s1") for _ in range(50)]
            await cache.close()
            return found == [b"s1"] * 50

        return asyncio.run(use())

    assert in_child(work)
    assert [await cache.get(place, "s2") for _ in range(50)] == [b"s2"] * 50
    assert cache.links()[0].connects == 1
    await cache.close()


def test_a_server_that_comes_back_between_threads_is_one_identity(start: Start) -> None:
    """Connections to the server before are not used any more, once one has met its successor."""
    server = start()
    cache = BlockingRedisCache(server.url)
    place = drive(place_of(cache))
    barrier = threading.Barrier(4)

    def connect(_number: int) -> None:
        barrier.wait(5)
        assert drive(cache.get(place, "s")) is Miss.ABSENT

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(connect, range(4)))
    server.kill()
    server.start()
    with pytest.raises(CacheUnavailable):
        drive(cache.get(place, "s"))
    time.sleep(0.06)
    after = CachePlace(drive(cache.server()), epoch())
    assert after.server != place.server
    assert {drive(cache.get(after, "s")) for _ in range(8)} == {Miss.ABSENT}
    drive(cache.close())


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_loop_that_was_late_finds_its_replies(name: str, lanes: dict[str, Lane], shared: Redis) -> None:
    """The handler that keeps the loop busy is to blame, not the server."""

    async def scenario() -> None:
        cache = AsyncRedisCache(shared.url)
        place = await filled(cache, 1)
        for _ in range(3):
            call = asyncio.create_task(cache.get(place, "s0"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(0.4)  # noqa: ASYNC251 - it is what is tried
            assert await call == b"s0"
        assert cache.links()[0].timeouts == 0
        await cache.close()

    lanes[name].run(scenario())
