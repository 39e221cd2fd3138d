"""Sends one document's outbox over the open connection and takes out of it what is acknowledged. From the outbox itself, so that
nothing is skipped, whichever process stored it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sessile.client.core import RETRY_DELAY_S
from sessile.client.errors import OutboxUnavailable
from sessile.client.flow import Flow
from sessile.client.outbox import Outbox

logger = logging.getLogger("sessile.client")

Send = Callable[[list[dict[str, Any]]], bool]
"""False when there is no connection any more."""


class Sender:
    """`run` works until it is cancelled; everything else is called on the same loop and never waits."""

    def __init__(self, outbox: Outbox, name: str, *, generation: Callable[[], int | None], send: Send) -> None:
        self._outbox = outbox
        self._name = name
        self._generation = generation
        self._send = send
        self._flow = Flow()
        self._device_id = ""
        self._wake = asyncio.Event()
        self._pause: asyncio.TimerHandle | None = None
        self._acknowledged: tuple[str, int] | None = None

    def open(self, device_id: str) -> None:
        """The document is open on a connection that speaks for this device."""
        self._device_id = device_id
        self._resume()
        self._flow.open()
        self._wake.set()

    def close(self) -> None:
        self._resume()
        self._flow.close()

    def poke(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def acknowledged(self, device_id: str, through: int) -> None:
        self._flow.acknowledged(through)
        self._acknowledged = (device_id, through)
        self._wake.set()

    def rewind(self, after: int, delay_s: float) -> None:
        """Goes back. A pause that is running is not cut short by refusals of frames that were in flight."""
        self._flow.rewind(after)
        if self._pause is not None:
            return
        if delay_s > 0:
            self._pause = asyncio.get_running_loop().call_later(delay_s, self._resume)
        else:
            self._wake.set()

    async def run(self) -> None:
        """While the outbox cannot be read, it is tried again and again: what is in there must go out."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.trim()
                while await self._send_one():
                    pass
            except OutboxUnavailable as error:
                logger.warning("%s: %s", self._name, error, extra={"event_name": "client_send_failed"})
                self.rewind(self._flow.sent, RETRY_DELAY_S)

    async def trim(self) -> None:
        """Takes acknowledged changes out of the outbox. One that stays is only sent once more."""
        if self._acknowledged is not None:
            (device_id, through), self._acknowledged = self._acknowledged, None
            await self._outbox.acknowledge(self._name, device_id, through)

    async def _send_one(self) -> bool:
        flow, device_id = self._flow, self._device_id
        if self._pause is not None or not flow.room:
            return False
        term = flow.term
        entries = await self._outbox.entries_after(self._name, device_id, flow.sent, flow.room)
        if term != flow.term:
            return True  # rewound or reconnected while reading: look again
        changes = flow.next_frame(entries, self._generation())
        return bool(changes) and self._send(changes)

    def _resume(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            self._wake.set()


async def stop(task: asyncio.Task[None] | None) -> None:
    """Cancels a task of ours and waits for its end; raises what it had failed with."""
    if task is None:
        return
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
