"""News between processes: everybody hears it, and who was cut off hears that something is missing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from sessile.stores.redis.bus import AsyncRedisBus
from sessile.stores.redis.slots import key_slot
from tests.integration.redis.conftest import Lane, Redis, Start
from tests.integration.redis.test_cluster import Cluster

CHANNEL = "sessile:news"


class Ear:
    """A bus, and what it has heard."""

    def __init__(self, url: str) -> None:
        self.heard: list[bytes] = []
        self.gaps = 0
        self.bus = AsyncRedisBus(url, CHANNEL, on_message=self.heard.append, on_gap=self._gap)

    def _gap(self) -> None:
        self.gaps += 1

    async def has_heard(self, *told: bytes) -> None:
        await until(lambda: self.heard == list(told))

    async def has_gaps(self, count: int) -> None:
        await until(lambda: self.gaps == count)


async def until(check: Callable[[], Any], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_everybody_hears_everything_in_order(name: str, lanes: dict[str, Lane], shared: Redis) -> None:
    async def scenario() -> None:
        ears = [Ear(shared.url) for _ in range(3)]
        for ear in ears:
            await ear.bus.open()
        told = [b"%d\x00\r\n" % number for number in range(2000)]
        for payload in told:
            ears[0].bus.publish(payload)
        for ear in ears:
            await ear.has_heard(*told)
            assert (ear.heard, ear.gaps) == (told, 1)
            await ear.bus.close()

    lanes[name].run(scenario())


async def test_who_was_cut_off_hears_of_the_gap(start: Start) -> None:
    server = start()
    ear = Ear(server.url)
    await ear.bus.open()
    assert ear.gaps == 1
    server.kill()
    await until(lambda: ear.bus.status().state == "down")
    ear.bus.publish(b"lost")
    server.start()
    await ear.has_gaps(2)
    ear.bus.publish(b"heard")
    await ear.has_heard(b"heard")
    server.cli("CLIENT", "KILL", "TYPE", "pubsub")
    await ear.has_gaps(3)
    ear.bus.publish(b"again")
    await ear.has_heard(b"heard", b"again")
    await ear.bus.close()


async def test_a_server_that_hangs_is_noticed_by_who_only_listens(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessile.stores.redis.bus.PING_S", 0.1)
    server = start()
    ear = Ear(server.url)
    await ear.bus.open()
    server.pause()
    await until(lambda: ear.bus.status().state == "down")
    server.resume()
    await ear.has_gaps(2)
    await ear.bus.close()


async def test_it_may_begin_before_the_server(start: Start) -> None:
    server = start()
    server.kill()
    ear = Ear(server.url)
    await ear.bus.open()
    assert ear.gaps == 0
    server.start()
    await ear.has_gaps(1)
    ear.bus.publish(b"heard")
    await ear.has_heard(b"heard")
    await ear.bus.close()


async def test_a_listener_that_fails_loses_its_message_only(shared: Redis, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[bytes] = []

    def listen(payload: bytes) -> None:
        heard.append(payload)
        if payload == b"bad":
            raise ValueError

    bus = AsyncRedisBus(shared.url, CHANNEL, on_message=listen, on_gap=lambda: None)
    await bus.open()
    for payload in (b"bad", b"good"):
        bus.publish(payload)
    await until(lambda: len(heard) == 2)
    assert bus.status().connects == 1
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]
    await bus.close()


async def test_a_channel_that_the_user_may_not_hear(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    server = start(config="user default on nopass ~* &other +@all\n")
    caplog.set_level(logging.DEBUG, "sessile.redis")
    ear = Ear(server.url)
    await ear.bus.open()
    assert ear.bus.status().state == "down"
    assert "NOPERM" in caplog.text
    await ear.bus.close()


@pytest.fixture(scope="module")
def cluster(start_shared: Start) -> Cluster:
    return Cluster(start_shared)


async def test_on_a_cluster_the_channel_follows_its_slot(cluster: Cluster) -> None:
    ears = [Ear(cluster.url), Ear(cluster.url)]
    for ear in ears:
        await ear.bus.open()
    ears[1].bus.publish(b"1")
    ears[0].bus.publish(b"2")
    for ear in ears:
        await ear.has_heard(b"1", b"2")
    cluster.masters()[cluster.owners()[key_slot(CHANNEL)]].kill()
    for ear in ears:
        await ear.has_gaps(2)
    ears[1].bus.publish(b"3")
    for ear in ears:
        await ear.has_heard(b"1", b"2", b"3")
        await ear.bus.close()
