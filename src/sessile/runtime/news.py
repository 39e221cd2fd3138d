"""News between processes by Redis, for a store whose own way of telling costs its database something with each commit."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from sessile.model.errors import StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.ports import NewsTeller, Store, Transaction
from sessile.stores.redis.bus import AsyncRedisBus

_WATCH_INTERVAL_S: Final = 1.0


class RedisNews:
    """One channel for each installation: several may share a Redis.

    A process that is cut off looks by itself once a second, for those who tell news cannot know that it does not listen. When a connection is lost, what was
    told into it last may be lost for everybody, so all are asked, by the store's own way, to look again.
    """

    def __init__(
        self, url: str, store: Store, told: NewsTeller, bus: Callable[..., AsyncRedisBus] = AsyncRedisBus
    ) -> None:
        self._url = url
        self._store = store
        self._told = told
        self._make = bus
        self._bus: AsyncRedisBus | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """The store is open. Raises StoreUnavailable."""
        installation = await self._store.write(_installation, secrets.token_hex(8))
        self._bus = self._make(
            self._url, f"sessile:news:{installation}", on_message=self._told.hear, on_gap=self._told.missed
        )
        self._told.carry_by(self._bus)
        await self._bus.open()
        self._watching = asyncio.create_task(self._watch(self._bus), name="sessile-news")

    async def close(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()

    async def _watch(self, bus: AsyncRedisBus) -> None:
        before = bus.status()
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            now = bus.status()
            if (before.state == "up" and now.state != "up") or now.connects != before.connects:
                await self._ask_all_to_look()
            elif now.state != "up":
                self._told.missed()
            before = now

    async def _ask_all_to_look(self) -> None:
        try:
            await self._store.write(_missed)
        except StoreUnavailable:
            self._told.missed()  # nobody can be asked, nor told anything


def _installation(tx: Transaction, proposed: str) -> str:
    named = tx.instance("news_channel", proposed)
    assert named is not None, "it was just proposed"
    return named


def _missed(tx: Transaction) -> None:
    tx.emit(Event(EventKind.NEWS_MISSED, ""))
