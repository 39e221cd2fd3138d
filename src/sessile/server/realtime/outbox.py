"""What waits to be written to one socket: bounded, with a writer of its own, so that a slow reader costs nobody else anything."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from sessile.server.realtime import messages

FRAMES_MAX: Final = 256
BYTES_MAX: Final = 1024 * 1024
STALL_TIMEOUT_S: Final = 15.0


class SlowConsumer(Exception):
    """Nothing could be written for `STALL_TIMEOUT_S`."""


class Outbox:
    """`offer` for what everybody gets (refused when full), `put` for answers (waits for room), `push` for the few frames that must go."""

    def __init__(
        self,
        send: Callable[[str], Awaitable[None]],
        *,
        on_drained: Callable[[], None],
        frames_max: int = FRAMES_MAX,
        bytes_max: int = BYTES_MAX,
        stall_timeout_s: float = STALL_TIMEOUT_S,
    ) -> None:
        self._send = send
        self._on_drained = on_drained
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._stall_timeout_s = stall_timeout_s
        self._queue: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._overflowed = False
        self._finishing = False
        self._closed = False
        self._parts_sent = 0
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= self._frames_max or self._bytes >= self._bytes_max

    @property
    def depth(self) -> int:
        return len(self._queue)

    def offer(self, text: str) -> bool:
        """Queues, or returns False when there is no room. Never waits. After a refusal `on_drained` is called once the queue is empty."""
        if self._finishing or self._closed:
            return True
        if self.is_full:
            self._overflowed = True
            return False
        self._append(text)
        return True

    def push(self, text: str) -> None:
        """Queues in any case: for frames whose number is bounded by something else (pings, the goaway)."""
        if not (self._finishing or self._closed):
            self._append(text)

    async def put(self, text: str) -> None:
        """Queues when there is room. On a socket that is being closed it returns at once: what is durable is read again on resume."""
        while self.is_full and not (self._finishing or self._closed):
            self._room.clear()
            await self._room.wait()
        self.push(text)

    async def flushed(self) -> None:
        """Returns when everything queued so far has been handed to the transport."""
        await self._idle.wait()

    def finish(self, *last: str) -> None:
        """Drops what is queued, queues `last`; `run` returns after it."""
        self._queue.clear()
        self._bytes = 0
        for text in last:
            self._append(text)
        self._finishing = True
        self._something.set()
        self._room.set()

    def close(self) -> None:
        """Nothing is queued any more, nobody waits any more."""
        self._closed = True
        self._queue.clear()
        self._room.set()
        self._idle.set()

    async def run(self) -> None:
        """The writer. Returns after `finish`; raises SlowConsumer, or what the transport raises when the peer is gone."""
        while True:
            while not self._queue:
                self._idle.set()
                if self._finishing:
                    return
                if self._overflowed:
                    self._overflowed = False
                    self._on_drained()
                    continue
                self._something.clear()
                await self._something.wait()
            text, size = self._queue.popleft()
            self._bytes = max(0, self._bytes - size)
            await self._write(text, size)
            if not self.is_full:
                self._room.set()

    def _append(self, text: str) -> None:
        size = len(text) if text.isascii() else len(text.encode())
        self._queue.append((text, size))
        self._bytes += size
        self._idle.clear()
        self._something.set()

    async def _write(self, text: str, size: int) -> None:
        if size <= messages.PART_ABOVE_BYTES:
            await self._write_piece(text)
            return
        self._parts_sent += 1
        for piece in messages.cut(text, ref=str(self._parts_sent)):
            await self._write_piece(piece)

    async def _write_piece(self, text: str) -> None:
        deadline = asyncio.timeout(self._stall_timeout_s)
        try:
            async with deadline:
                await self._send(text)
        except TimeoutError:
            if deadline.expired():
                raise SlowConsumer from None
            raise
