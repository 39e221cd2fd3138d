"""Who may have missed news looks again: a process that is cut off by itself, and all when a connection was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sessile.model.events import Event, EventKind
from sessile.ports import Messenger
from sessile.runtime import news
from sessile.runtime.news import RedisNews
from sessile.stores.memory import MemoryStore
from sessile.stores.redis.link import LinkStatus, State

pytestmark = pytest.mark.virtual_time


class Bus:
    """A bus whose connection a test decides on."""

    def __init__(
        self, _url: str, channel: str, *, on_message: Callable[[bytes], None], on_gap: Callable[[], None]
    ) -> None:
        self.channel = channel
        self.state: State = "up"
        self.connects = 1

    @property
    def is_up(self) -> bool:
        return self.state == "up"

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def publish(self, payload: bytes) -> None: ...

    def status(self) -> LinkStatus:
        return LinkStatus("bus", self.state, self.connects, 0, 0, 0)


class Told:
    """Counts what it is told to look at by itself."""

    def __init__(self) -> None:
        self.misses = 0

    def carry_by(self, messenger: Messenger) -> None: ...

    def hear(self, payload: str | bytes) -> None: ...

    def missed(self) -> None:
        self.misses += 1


async def _watched(monkeypatch: pytest.MonkeyPatch, play: Callable[[Bus], None]) -> tuple[int, list[EventKind]]:
    """How often it looked by itself, and what all were asked, after `play` and a few looks."""
    monkeypatch.setattr(news, "_WATCH_INTERVAL_S", 0.01)
    made: list[Bus] = []

    def make(*arguments: Any, **options: Any) -> Any:
        made.append(Bus(*arguments, **options))
        return made[0]

    store, told, asked = MemoryStore(), Told(), list[Event]()

    def heard(events: Sequence[Event]) -> None:
        asked.extend(events)

    store.subscribe(heard)
    carried = RedisNews("redis://nowhere", store, told, make)
    await carried.open()
    try:
        await asyncio.sleep(0.03)
        play(made[0])
        await asyncio.sleep(0.08)
    finally:
        await carried.close()
    return told.misses, [event.kind for event in asked]


async def test_as_long_as_all_is_well_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _watched(monkeypatch, lambda _bus: None) == (0, [])


async def test_a_lost_connection_asks_all_once_and_then_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(bus: Bus) -> None:
        bus.state = "down"

    misses, asked = await _watched(monkeypatch, lose)
    assert misses >= 2
    assert asked == [EventKind.NEWS_MISSED]


async def test_one_that_came_back_between_two_looks_was_lost_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def flap(bus: Bus) -> None:
        bus.connects += 1

    assert await _watched(monkeypatch, flap) == (0, [EventKind.NEWS_MISSED])


async def test_each_installation_has_a_channel_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    channels: list[str] = []
    for _ in range(2):
        await _watched(monkeypatch, lambda bus: channels.append(bus.channel))
    assert len(set(channels)) == 2
