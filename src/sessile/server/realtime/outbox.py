"""What waits to be written to one socket: bounded, so that a slow reader costs nobody else anything."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from sessile.server.realtime import messages
from sessile.server.realtime.wire import Encoded, Flusher, Wire

FRAMES_MAX: Final = 256
BYTES_MAX: Final = 1024 * 1024
STALL_TIMEOUT_S: Final = 15.0
JOINED_BYTES_MAX: Final = 64 * 1024
"""So much goes into one write, before it is looked whether the peer takes more."""


class SlowConsumer(Exception):
    """Nothing could be written for `STALL_TIMEOUT_S`."""


class Outbox:
    """`offer` for what everybody gets (refused when full), `put` for answers (waits for room), `push` for the few frames that must go.

    This one has a writer that awaits `send` for each frame: what plain ASGI offers."""

    # There are as many of them as sockets, and each change meets all that read its document.
    __slots__ = (
        "_bytes", "_bytes_max", "_closed", "_finishing", "_frames_max", "_is_writing", "_listeners", "_on_drained", "_overflowed",
        "_parts_sent", "_queue", "_send", "_something", "_stall_timeout_s",
    )  # fmt: skip

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
        self._queue: deque[Encoded] = deque()
        self._bytes = 0
        self._overflowed = False
        self._finishing = False
        self._closed = False
        self._is_writing = False
        self._parts_sent = 0
        self._something: asyncio.Future[None] | None = None
        """What the writer waits for."""
        self._listeners: list[asyncio.Future[None]] = []
        """Those who wait for room, or for everything to be written."""

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= self._frames_max or self._bytes >= self._bytes_max

    @property
    def depth(self) -> int:
        return len(self._queue)

    def offer(self, frame: Encoded | str) -> bool:
        """Queues, or returns False when there is no room. Never waits. After a refusal `on_drained` is called once the queue is empty."""
        if self._finishing or self._closed:
            return True
        if self.is_full:
            self._overflowed = True
            return False
        self._append(frame)
        return True

    def push(self, frame: Encoded | str) -> None:
        """Queues in any case: for frames whose number is bounded by something else (pings, the goaway)."""
        if not (self._finishing or self._closed):
            self._append(frame)

    async def put(self, frame: Encoded | str) -> None:
        """Queues when there is room. On a socket that is being closed it returns at once: what is durable is read again on resume."""
        while self.is_full and not (self._finishing or self._closed):
            await self._progress()
        self.push(frame)

    async def flushed(self) -> None:
        """Returns when everything queued so far has been handed to the transport."""
        while (self._queue or self._is_writing) and not self._closed:
            await self._progress()

    def finish(self, *last: str) -> None:
        """Drops what is queued, queues `last`; `run` returns after it."""
        self._queue.clear()
        self._bytes = 0
        self._finishing = True
        for text in last:
            self._append(text)
        self._wake()
        self._tell()

    def close(self) -> None:
        """Nothing is queued any more, nobody waits any more."""
        self._closed = True
        self._queue.clear()
        self._tell()

    def start(self) -> asyncio.Future[None]:
        """Begins to write; done when `run` would return or raise."""
        return asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        """The writer. Returns after `finish`; raises SlowConsumer, or what the transport raises when the peer is gone."""
        while True:
            while not self._queue:
                if self._finishing:
                    return
                if self._overflowed:
                    self._overflowed = False
                    self._on_drained()
                    continue
                self._something = asyncio.get_running_loop().create_future()
                await self._something
            self._is_writing = True
            await self._write(self._take())
            self._is_writing = False
            self._tell()

    def _append(self, frame: Encoded | str) -> None:
        encoded = frame if isinstance(frame, Encoded) else Encoded(frame)
        self._queue.append(encoded)
        self._bytes += encoded.size
        self._wake()

    def _take(self) -> Encoded:
        frame = self._queue.popleft()
        self._bytes = max(0, self._bytes - frame.size)
        return frame

    def _cut(self, frame: Encoded) -> list[Encoded]:
        """The frame, or a long one in parts."""
        if frame.size <= messages.PART_ABOVE_BYTES:
            return [frame]
        self._parts_sent += 1
        return [Encoded(piece) for piece in messages.cut(frame.text, ref=str(self._parts_sent))]

    def _wake(self) -> None:
        if self._something is not None and not self._something.done():
            self._something.set_result(None)

    def _progress(self) -> asyncio.Future[None]:
        """Done with the next thing that is written, or with the end."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listeners.append(future)
        return future

    def _tell(self) -> None:
        if self._listeners:
            listeners, self._listeners = self._listeners, []
            for future in listeners:
                if not future.done():
                    future.set_result(None)

    async def _write(self, frame: Encoded) -> None:
        for piece in self._cut(frame):
            deadline = asyncio.timeout(self._stall_timeout_s)
            try:
                async with deadline:
                    await self._send(piece.text)
            except TimeoutError:
                if deadline.expired():
                    raise SlowConsumer from None
                raise


class DirectOutbox(Outbox):
    """The same where the connection itself can be written to: nothing is awaited, and frames of one turn of the loop go in one write."""

    __slots__ = ("_end", "_flusher", "_is_due", "_is_over", "_stall", "_wire")

    def __init__(
        self,
        wire: Wire,
        flusher: Flusher,
        *,
        on_drained: Callable[[], None],
        frames_max: int = FRAMES_MAX,
        bytes_max: int = BYTES_MAX,
        stall_timeout_s: float = STALL_TIMEOUT_S,
    ) -> None:
        super().__init__(
            _never,
            on_drained=on_drained,
            frames_max=frames_max,
            bytes_max=bytes_max,
            stall_timeout_s=stall_timeout_s,
        )
        self._wire = wire
        self._flusher = flusher
        self._is_due = False
        self._is_over = False
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stall: asyncio.TimerHandle | None = None
        wire.on_writable = self.flush

    def offer(self, frame: Encoded | str) -> bool:
        # For each reader of each change: the same as in `Outbox`, without a call.
        if self._finishing or self._closed:
            return True
        queue = self._queue
        if len(queue) >= self._frames_max or self._bytes >= self._bytes_max:
            self._overflowed = True
            return False
        encoded = frame if frame.__class__ is Encoded else Encoded(str(frame))
        queue.append(encoded)
        self._bytes += encoded.size
        if not self._is_due:
            self._is_due = True
            self._flusher.add(self)
        return True

    def start(self) -> asyncio.Future[None]:
        return self._end  # writing needs no task

    async def run(self) -> None:
        """Waits for the end. Returns and raises like the other one."""
        await self._end

    def flush(self) -> None:
        """Writes what is queued, as far as the peer takes it."""
        self._is_due = False
        if self._is_over:
            return
        try:
            has_written = self._write_joined()
        except OSError as error:
            self._finish_with(error)
            return
        if has_written:
            if self._stall is not None:
                self._stop_clock()
            if self._listeners:
                self._tell()
        if self._queue:
            self._start_clock()
        elif self._finishing:
            self._finish_with(None)
        elif self._overflowed:
            self._overflowed = False
            self._on_drained()

    def close(self) -> None:
        super().close()
        self._is_over = True
        self._stop_clock()
        self._wire.on_writable = None
        if not self._end.done():
            self._end.cancel()
        elif not self._end.cancelled():
            self._end.exception()  # whoever closes does not ask any more

    def _finish_with(self, error: Exception | None) -> None:
        self._is_over = True
        if self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)

    def _wake(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._flusher.add(self)

    def _write_joined(self) -> bool:
        """Whether anything could be written. Raises OSError."""
        queue, wire, has_written = self._queue, self._wire, False
        while queue and not wire.is_paused:
            frame = queue.popleft()
            if frame.size > messages.PART_ABOVE_BYTES:
                queue.extendleft(reversed(self._pieces(frame)))
                continue
            if not queue:
                self._bytes = 0
                wire.write(frame.framed)
                return True
            wire.write(self._joined(frame))
            has_written = True
        return has_written

    def _pieces(self, frame: Encoded) -> list[Encoded]:
        pieces = self._cut(frame)
        self._bytes += sum(piece.size for piece in pieces) - frame.size
        return pieces

    def _joined(self, first: Encoded) -> bytes:
        """With what follows, as far as it goes into one write."""
        queue, joined, size = self._queue, [first.framed], first.size
        while queue and size + queue[0].size <= JOINED_BYTES_MAX:
            following = queue.popleft()
            joined.append(following.framed)
            size += following.size
        self._bytes -= size
        return b"".join(joined)

    def _start_clock(self) -> None:
        """The peer takes nothing more just now."""
        if self._stall is None:
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(self._stall_timeout_s, self._stalled)

    def _stop_clock(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stalled(self) -> None:
        self._finish_with(SlowConsumer())


async def _never(_text: str) -> None:
    raise AssertionError("a direct outbox writes to its wire")
