"""News between processes by Redis, for a store whose own way of telling costs its database something with each commit."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from sessile.ports import NewsTeller, Store, Transaction
from sessile.stores.redis.bus import AsyncRedisBus


class RedisNews:
    """One channel for each installation: several may share a Redis."""

    def __init__(
        self, url: str, store: Store, told: NewsTeller, bus: Callable[..., AsyncRedisBus] = AsyncRedisBus
    ) -> None:
        self._url = url
        self._store = store
        self._told = told
        self._make = bus
        self._bus: AsyncRedisBus | None = None

    async def open(self) -> None:
        """The store is open. Raises StoreUnavailable."""
        installation = await self._store.write(_installation, secrets.token_hex(8))
        self._bus = self._make(
            self._url, f"sessile:news:{installation}", on_message=self._told.hear, on_gap=self._told.missed
        )
        self._told.carry_by(self._bus)
        await self._bus.open()

    async def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()


def _installation(tx: Transaction, proposed: str) -> str:
    named = tx.instance("news_channel", proposed)
    assert named is not None, "it was just proposed"
    return named
