"""People who write on one document through different nodes, and the check that nothing of it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from sessile.client import Backoff, Client, ConnectionStatus, Document
from sessile.client.changes import Change
from sessile.client.events import ConnectionStatusChanged

NAME = "intake"
BACKOFF = Backoff(cap_s=2.0, reset_after_s=0.5)
"""Servers come and go faster here than in service."""
CONVERGES_WITHIN_S = 30.0


class Writer:
    """One device. Its changes are appended lines and a count, so that what is lost, doubled or in another order shows."""

    def __init__(self, name: str, client: Client, document: Document) -> None:
        self.name = name
        self.client = client
        self.document = document
        self.made: list[str] = []
        self.changes: list[Change] = []
        self.statuses: list[ConnectionStatus] = []
        """Of its connection, each change."""
        client.on(ConnectionStatusChanged, lambda event: self.statuses.append(event.after))

    async def write(self) -> None:
        """One more line."""
        line = f"{self.name}/{len(self.made)}"
        self.made.append(line)
        operations: list[dict[str, Any]] = [
            {"op": "append", "path": "/lines", "item": {"id": line}},
            {"op": "increment", "path": "/count", "by": 1},
        ]
        self.changes.append(await self.document.change(operations))

    async def write_on(self, pause_s: float) -> None:
        """Until it is cancelled."""
        while True:
            await self.write()
            await asyncio.sleep(pause_s)

    def lines(self) -> list[str]:
        """As this device shows them."""
        lines: list[dict[str, Any]] = self.document.state.get("lines", [])
        return [line["id"] for line in lines]


@asynccontextmanager
async def writers(places: Sequence[tuple[str, str]]) -> AsyncIterator[list[Writer]]:
    """One for each address and token, in this order; they have the document open."""
    async with AsyncExitStack() as stack:
        made = []
        for number, (url, token) in enumerate(places):
            client = await stack.enter_async_context(Client(url, token=token, backoff=BACKOFF, seed=number))
            made.append(Writer(f"w{number}", client, client.open(NAME, default={})))
        async with asyncio.timeout(CONVERGES_WITHIN_S):
            await asyncio.gather(*(writer.document.ready() for writer in made))
        yield made


async def converged(those: Sequence[Writer]) -> None:
    """Returns when every change is acknowledged and every device shows the same; raises AssertionError for anything lost, doubled or moved."""
    made = [line for writer in those for line in writer.made]
    async with asyncio.timeout(CONVERGES_WITHIN_S):
        for writer in those:
            for change in writer.changes:
                await change.durable
        for writer in those:
            await writer.document.synchronized()
        for writer in those:  # only now: what a device showed before it heard of a restore may be as long
            while len(writer.lines()) < len(made):  # noqa: ASYNC110 - whether it is all there is known only here
                await asyncio.sleep(0.02)
            await writer.document.synchronized()
    orders = [writer.lines() for writer in those]
    assert sorted(orders[0]) == sorted(made)
    assert all(order == orders[0] for order in orders)
    for writer in those:
        assert [line for line in orders[0] if line.startswith(f"{writer.name}/")] == writer.made
        assert writer.document.state == those[0].document.state
        assert writer.document.state.get("count", 0) == len(made)
        assert writer.document.version == those[0].document.version
