"""Clients of a service that runs in the test's own loop, and the events that they were told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sessile.client import Backoff, Client
from sessile.client import events as told
from tests.integration.server.running import Running

QUICK = Backoff(first_max_s=0.01, base_s=0.01, cap_s=0.05)
E = TypeVar("E", bound=told.Event)


@asynccontextmanager
async def client_of(
    running: Running, token: Any = None, *, user: str | None = "ada", **more: Any
) -> AsyncIterator[Client]:
    """A client with a connection."""
    source = token if token is not None else await running.token(user)
    async with Client(running.origin + "/", token=source, backoff=QUICK, **more) as client:
        await within(client.connected())
        yield client


class Told:
    """Keeps the events of one class."""

    def __init__(self, client: Client, kind: type[E]) -> None:
        self.events: list[Any] = []
        self._more = asyncio.Event()
        client.on(kind, self._take)

    async def next(self, accept: Callable[[Any], bool] = lambda _event: True) -> Any:
        """The first that is accepted, of those that came and those that come."""
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    if accept(event):
                        return event
                self._more.clear()
                await self._more.wait()

    def _take(self, event: told.Event) -> None:
        self.events.append(event)
        self._more.set()


async def within(waiting: Any) -> Any:
    async with asyncio.timeout(10):
        return await waiting
