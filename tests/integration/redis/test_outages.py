"""The server is killed, restarted, stopped, demoted: calls fail in bounded time, then at once, and work again without a restart of ours."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from sessile.model.fence import CachePlace, CacheUnavailable, Miss
from sessile.stores.redis.cache import AsyncRedisCache
from tests.integration.redis.conftest import Cache, Lane, Redis, Start, epoch, place_of

CALL_TIMEOUT_S = 0.25
AT_ONCE_S = 0.05
SLACK_S = 0.2
"""Other jobs run on the machine."""


async def refused_after_s(cache: Cache, place: CachePlace) -> float:
    """How long a call takes to fail."""
    started_at = time.monotonic()
    with pytest.raises(CacheUnavailable):
        await cache.get(place, "s")
    return time.monotonic() - started_at


def test_a_killed_server_is_noticed_and_its_successor_is_another_one(lane: Lane, start: Start) -> None:
    server = start()

    async def scenario() -> None:
        cache = lane.make(server.url)
        place = await place_of(cache)
        for _ in range(2):
            server.kill()
            for _ in range(20):
                assert await refused_after_s(cache, place) < CALL_TIMEOUT_S + SLACK_S
                await lane.sleep(0.005)
            server.start()
            identity = await lane.until(cache.server)
            assert identity != place.server
            with pytest.raises(CacheUnavailable):
                await cache.get(place, "s")
            place = CachePlace(identity, epoch())
            assert await cache.get(place, "s") is Miss.ABSENT
        await cache.close()

    lane.run(scenario())


def test_a_stopped_server_costs_one_timeout_and_then_nothing(lane: Lane, start: Start) -> None:
    server = start()

    async def scenario() -> None:
        cache = lane.make(server.url)
        place = await place_of(cache)
        assert await cache.get(place, "s") is Miss.ABSENT
        server.pause()
        assert CALL_TIMEOUT_S - 0.05 < await refused_after_s(cache, place) < CALL_TIMEOUT_S + SLACK_S
        refusals = [await refused_after_s(cache, place) for _ in range(200)]
        assert sorted(refusals)[190] < AT_ONCE_S
        [status] = cache.links()
        assert (status.state, status.timeouts >= 1) == ("down", True)
        server.resume()
        assert await lane.until(cache.server) == place.server
        assert await cache.get(place, "s") is Miss.ABSENT
        assert cache.links()[0].state == "up"
        await cache.close()

    lane.run(scenario())


def test_nobody_there_is_unavailable_and_then_it_comes(lane: Lane, start: Start) -> None:
    server = start()
    server.kill()

    async def scenario() -> None:
        cache = lane.make(server.url)
        for _ in range(3):
            with pytest.raises(CacheUnavailable):
                await cache.server()
        server.start()
        assert await lane.until(cache.server)
        await cache.close()

    lane.run(scenario())


def test_a_replica_is_refused_until_it_is_the_master(lane: Lane, shared: Redis, start: Start) -> None:
    replica = start("--replicaof", f"127.0.0.1 {shared.port}")

    async def scenario() -> None:
        cache = lane.make(replica.url)
        with pytest.raises(CacheUnavailable, match="replica"):
            await cache.server()
        replica.cli("REPLICAOF", "NO", "ONE")
        place = CachePlace(await lane.until(cache.server), epoch())
        await cache.mark(place, [("s", b"m")])
        replica.cli("REPLICAOF", "127.0.0.1", str(shared.port))
        with pytest.raises(CacheUnavailable, match="READONLY"):
            await cache.mark(place, [("s", b"m")])
        with pytest.raises(CacheUnavailable):
            await cache.server()
        await cache.close()

    lane.run(scenario())


def test_a_connection_that_the_server_closed_while_idle_costs_nothing(either: Lane, start: Start) -> None:
    server = start()

    async def scenario() -> None:
        cache = either.make(server.url)
        place = await place_of(cache)
        await either.sleep(1.1)  # long enough to have been a good one
        server.cli("CLIENT", "KILL", "TYPE", "normal")
        await either.sleep(0.3)
        assert await cache.get(place, "s") is Miss.ABSENT
        await cache.close()

    either.run(scenario())


def test_what_is_no_redis_is_refused(either: Lane) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:

        async def scenario() -> None:
            cache = either.make(f"redis://127.0.0.1:{mute.getsockname()[1]}")
            started_at = time.monotonic()
            with pytest.raises(CacheUnavailable):
                await cache.server()
            assert time.monotonic() - started_at < 0.5 + SLACK_S
            await cache.close()

        either.run(scenario())


def test_each_change_is_logged_once(lane: Lane, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    server = start()
    caplog.set_level(logging.DEBUG, "sessile.redis")

    async def scenario() -> None:
        cache = lane.make(server.url)
        place = await place_of(cache)
        server.kill()
        for _ in range(50):
            await refused_after_s(cache, place)
            await lane.sleep(0.005)
        server.start()
        await lane.until(cache.server)
        await cache.close()

    lane.run(scenario())
    levels = [record.levelname for record in caplog.records if record.name == "sessile.redis"]
    assert levels == ["INFO", "WARNING", "INFO"]


def test_calls_do_not_wait_for_a_server_that_is_flooded(either: Lane, start: Start) -> None:
    """DEBUG SLEEP holds the server for longer than a call may take; what was asked meanwhile fails, and nothing is misordered after."""
    server = start("--enable-debug-command", "yes")

    async def scenario() -> Any:
        cache = either.make(server.url)
        place = await place_of(cache)
        await cache.mark(place, [("s", b"m")])
        server.cli("SET", f"sessile:{place.epoch}:v", "Vright")
        held = threading.Thread(target=server.cli, args=("DEBUG", "SLEEP", "0.6"))
        held.start()
        await either.sleep(0.1)
        assert await refused_after_s(cache, place) < CALL_TIMEOUT_S + SLACK_S
        held.join()
        assert await either.until(cache.server) == place.server
        for _ in range(20):
            assert await cache.get(place, "v") == b"right"
            assert await cache.get(place, "s") is Miss.BUSY
        await cache.close()

    either.run(scenario())


GREETING = b"%0\r\n$53\r\nrun_id:" + b"a" * 46 + b"\r\n*1\r\n$6\r\nmaster\r\n"


@contextmanager
def false_server(answer: bytes, *, closes: bool) -> Iterator[str]:
    """Greets like Redis and then has one answer to everything; its URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connected, _ = listening.accept()
            except OSError:
                return
            with connected:
                connected.recv(65_536)
                connected.sendall(GREETING)
                while connected.recv(65_536):
                    connected.sendall(answer)
                    if closes:
                        break

    served = threading.Thread(target=serve)
    served.start()
    yield f"redis://127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    served.join()


@pytest.mark.parametrize(
    ("answer", "closes"),
    [
        (b"$5\r\nVab", True),
        (b"$5\r\nVab", False),
        (b"", True),
        (b"HTTP/1.1 400 Bad Request\r\n", False),
        (b"$2\r\nVa\r\n$2\r\nVb\r\n", False),
        (b"-LOADING Redis is loading\r\n", False),
        (b":1\r\n", False),
        (b"*2\r\n$2\r\nVa\r\n-ERR\r\n", False),
    ],
)
def test_answers_that_are_none_are_unavailable(either: Lane, answer: bytes, closes: bool) -> None:
    with false_server(answer, closes=closes) as url:

        async def scenario() -> None:
            cache = either.make(url)
            place = await place_of(cache)
            found: list[object] = []
            for _ in range(3):
                try:
                    found.append(await cache.get(place, "s"))
                except CacheUnavailable:
                    found.append(None)
                await either.sleep(0.06)
            await cache.close()
            # With two replies for one call the first is right; the second is nobody's.
            assert set(found) <= ({None, b"a"} if answer.startswith(b"$2") else {None})

        either.run(scenario())


def test_a_unix_socket(lane: Lane, start: Start) -> None:
    server = start("--unixsocket", "redis.sock")

    async def scenario() -> None:
        cache = lane.make(f"unix://{server.folder}/redis.sock")
        place = await place_of(cache)
        assert await cache.get(place, "s") is Miss.ABSENT
        await cache.close()
        nobody = lane.make(f"unix://{server.folder}/none.sock")
        with pytest.raises(CacheUnavailable):
            await nobody.server()
        await nobody.close()

    lane.run(scenario())


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_replies_that_dribble_are_bounded_too(name: str, lanes: dict[str, Lane]) -> None:
    """Something comes all the time, but each call has to wait for all before it."""
    with dribbling_server() as url:

        async def scenario() -> None:
            cache = AsyncRedisCache(url)
            place = await place_of(cache)

            async def ask() -> float:
                started_at = time.monotonic()
                with suppress(CacheUnavailable):
                    await cache.get(place, "s")
                return time.monotonic() - started_at

            waits = await asyncio.gather(*(ask() for _ in range(300)))
            assert max(waits) < CALL_TIMEOUT_S + SLACK_S
            await cache.close()

        lanes[name].run(scenario())


@contextmanager
def dribbling_server() -> Iterator[str]:
    """One reply every five milliseconds, to one client; its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def serve() -> None:
        connected, _ = listening.accept()
        with connected, suppress(OSError):
            connected.recv(65_536)
            connected.sendall(GREETING)
            connected.recv(65_536)
            while not is_over.wait(0.005):
                connected.sendall(b"$2\r\nVa\r\n")

    served = threading.Thread(target=serve)
    served.start()
    yield f"redis://127.0.0.1:{listening.getsockname()[1]}"
    is_over.set()
    served.join()
    listening.close()
