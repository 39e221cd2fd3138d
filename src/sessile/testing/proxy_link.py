"""One connection through the fault proxy: two pumps, and what becomes of the bytes on their way. Runs in the proxy's own loop."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Direction: TypeAlias = Literal["up", "down"]
"""Up is from the client to the server."""
Gate: TypeAlias = Literal["open", "refuse", "reset", "silent"]
Matching: TypeAlias = "bytes | Callable[[bytes], bool] | None"

_CHUNK: Final = 65_536
_CHUNKS_WAITING_MAX: Final = 16
_REQUEST_BYTES_MAX: Final = 1 << 20
_SETTLE_S: Final = 0.1
"""A server that has been quiet this long has answered all that it was sent in one go."""
_THROTTLE_S: Final = 0.02
"""How often a throttled connection gets its next bytes."""


@dataclass
class LostReply:
    """Whose reply is lost, and how many more."""

    matching: Matching
    left: int


@dataclass
class CutAfter:
    """Each connection ends after so many bytes; `left` has those that it began to count."""

    n_bytes: int
    direction: Direction
    times: int | None
    left: dict[int, int] = field(default_factory=dict)


@dataclass
class Trouble:
    """All that is wrong with the network at present."""

    gate: Gate = "open"
    lost: frozenset[Direction] = frozenset()
    """Ways on which everything vanishes."""
    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    slice_delay_s: float = 0.0
    lost_reply: LostReply | None = None
    cut: CutAfter | None = None
    healed: asyncio.Event = field(default_factory=asyncio.Event)

    async def pause(self, seconds: float) -> None:
        """Waits so long, or until the network is healed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.healed.wait(), seconds)

    def portion(self, size: int) -> tuple[int, float]:
        """How many of so many bytes go at once, and the seconds until the next."""
        pause_s = 0.0
        if self.slice_bytes is not None:
            size, pause_s = min(size, self.slice_bytes), self.slice_delay_s
        if self.bytes_per_s is not None:
            size = min(size, max(1, int(self.bytes_per_s * _THROTTLE_S)))
            pause_s += size / self.bytes_per_s
        return size, pause_s


class Network:
    """What all connections share: the trouble they are in, and what was counted."""

    def __init__(self, target: tuple[str, int], seed: int) -> None:
        self.target = target
        self.seed = seed
        self.trouble = Trouble()
        self.bytes: Counter[Direction] = Counter()
        self.faults: Counter[str] = Counter()


@dataclass
class _Piece:
    """Bytes on their way. `data` is empty at the end of the stream, and None where the connection was reset."""

    data: bytes | None
    due: float
    trouble: Trouble


class _Way:
    """One direction of a connection."""

    def __init__(self, direction: Direction, source: socket.socket, sink: socket.socket, rng: random.Random) -> None:
        self.direction = direction
        self.source = source
        self.sink = sink
        self.rng = rng
        self.waiting: asyncio.Queue[_Piece] = asyncio.Queue(_CHUNKS_WAITING_MAX)
        self.has_ended = False
        self.is_deaf = False
        """Nobody takes its bytes any more."""


class _Over(Exception):
    """The connection ends here and now."""

    def __init__(self, *, is_reset: bool) -> None:
        super().__init__()
        self.is_reset = is_reset


class Link:
    """One client's connection and its twin to the server. `is_stuck` once it has lost something: it can never be right again."""

    def __init__(self, network: Network, client: socket.socket, number: int) -> None:
        self._network = network
        self._client = client
        self._server: socket.socket | None = None
        self._number = number
        self._request = b""
        self._loses_reply = False
        self._said_more: asyncio.Event | None = None
        self.is_stuck = False
        self.is_reset = False
        """How it ends: by RST instead of FIN."""

    async def serve(self) -> None:
        """Carries bytes until one side is done or the task is cancelled."""
        try:
            if self._network.trouble.gate == "silent":
                await self._say_nothing()
            else:
                await self._carry()
        except* _Over as over:
            self.is_reset |= any(isinstance(end, _Over) and end.is_reset for end in over.exceptions)

    def close(self) -> None:
        """After `serve`, also one that was cancelled before it began."""
        for end in (self._client, self._server):
            if end is not None:
                close(end, is_reset=self.is_reset)

    async def _say_nothing(self) -> None:
        """A connection that was opened into a dead network: taken, because a kernel's queue would have taken it, and never answered."""
        self.is_stuck = True
        with suppress(OSError):
            while data := await asyncio.get_running_loop().sock_recv(self._client, _CHUNK):
                self._count("half_open", bool(data))

    async def _carry(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._server.setblocking(False)
        try:
            await loop.sock_connect(self._server, self._network.target)
        except OSError:
            raise _Over(is_reset=True) from None  # the server is away
        for end in (self._client, self._server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = _Way("up", self._client, self._server, self._rng("up"))
        down = _Way("down", self._server, self._client, self._rng("down"))
        async with asyncio.TaskGroup() as self._tasks:
            for way, other in ((up, down), (down, up)):
                self._tasks.create_task(self._read(way))
                self._tasks.create_task(self._write(way, other))

    def _rng(self, direction: Direction) -> random.Random:
        """By connection and direction, so that the delays of one do not hang on what the others do."""
        return random.Random(f"{self._network.seed}/{self._number}/{direction}")

    async def _read(self, way: _Way) -> None:
        loop = asyncio.get_running_loop()
        data: bytes | None = None
        while True:
            try:
                data = await loop.sock_recv(way.source, _CHUNK)
            except OSError:
                data = None
            trouble = self._network.trouble
            # Half of it on each way: what is told is what a round trip takes longer.
            delay_s = (trouble.latency_s + trouble.jitter_s * way.rng.uniform(-1, 1)) / 2
            await way.waiting.put(_Piece(data, loop.time() + delay_s, trouble))
            if not data:
                return

    async def _write(self, way: _Way, other: _Way) -> None:
        loop = asyncio.get_running_loop()
        while True:
            piece = await way.waiting.get()
            remaining_s = piece.due - loop.time()
            if remaining_s > 0:
                self._count("latency", bool(piece.data))
                await piece.trouble.pause(remaining_s)
            if not piece.data:
                return await self._end(way, other, is_reset=piece.data is None)
            if way.direction == "up":
                self._look_at(piece.data)
            elif self._is_swallowed():
                continue
            try:
                await self._send(way, piece.data)
            except OSError:
                way.is_deaf = True
                # What the other side said last may still be on its way; its end ends the connection.
                if other.has_ended:
                    raise _Over(is_reset=True) from None

    async def _send(self, way: _Way, data: bytes) -> None:
        rest = memoryview(data)
        while rest and not way.is_deaf:
            trouble = self._network.trouble
            if way.direction in trouble.lost:
                self.is_stuck = True
                self._count("half_open" if len(trouble.lost) > 1 else "one_way")
                return
            size, pause_s = trouble.portion(len(rest))
            self._count("bandwidth", trouble.bytes_per_s is not None)
            self._count("slice", trouble.slice_bytes is not None and size < len(rest))
            size = self._until_cut(trouble.cut, way.direction, size)
            await asyncio.get_running_loop().sock_sendall(way.sink, rest[:size])
            self._network.bytes[way.direction] += size
            self._cut(trouble.cut, way.direction, size)
            rest = rest[size:]
            if pause_s:
                await trouble.pause(pause_s)

    async def _end(self, way: _Way, other: _Way, *, is_reset: bool) -> None:
        """One side has ended the stream. In a dead network nobody hears of it."""
        way.has_ended = True
        trouble = self._network.trouble
        if way.direction in trouble.lost:
            self.is_stuck = True
            await trouble.healed.wait()
        if is_reset or other.is_deaf or self._loses_reply:
            raise _Over(is_reset=is_reset)
        with suppress(OSError):  # it is gone already
            way.sink.shutdown(socket.SHUT_WR)

    def _look_at(self, data: bytes) -> None:
        """Whether this is the request whose reply is to be lost. A request is what came since the last reply."""
        lost = self._network.trouble.lost_reply
        if lost is None or lost.left == 0 or "up" in self._network.trouble.lost:
            return
        self._request = (self._request + data)[-_REQUEST_BYTES_MAX:]
        if lost.matching is None:
            is_meant = True
        elif isinstance(lost.matching, bytes):
            is_meant = lost.matching in self._request
        else:
            is_meant = lost.matching(self._request)
        if is_meant and not self._loses_reply:
            lost.left -= 1
            self._loses_reply = True

    def _is_swallowed(self) -> bool:
        """Whether this reply is the one to be lost; the connection then ends when the server has said all of it."""
        self._request = b""
        if not self._loses_reply:
            return False
        if self._said_more is None:
            self._count("drop_reply")
            self._said_more = asyncio.Event()
            self._tasks.create_task(self._leave_when_quiet(self._said_more))
        self._said_more.set()
        return True

    async def _leave_when_quiet(self, said_more: asyncio.Event) -> None:
        # Of several commands that went in one piece, all are to be done before the client can look what became of them.
        while True:
            said_more.clear()
            try:
                await asyncio.wait_for(said_more.wait(), _SETTLE_S)
            except TimeoutError:
                raise _Over(is_reset=False) from None

    def _until_cut(self, cut: CutAfter | None, direction: Direction, size: int) -> int:
        """How many of these bytes still go through."""
        if cut is None or cut.direction != direction or cut.times == 0:
            return size
        return min(size, cut.left.setdefault(self._number, cut.n_bytes))

    def _cut(self, cut: CutAfter | None, direction: Direction, sent: int) -> None:
        """Ends the connection when that were all."""
        if cut is None or cut.direction != direction or self._number not in cut.left:
            return
        cut.left[self._number] -= sent
        if cut.left[self._number] == 0:
            cut.times = None if cut.times is None else cut.times - 1
            self._count("reset_after")
            raise _Over(is_reset=True)

    def _count(self, fault: str, happened: bool = True) -> None:
        self._network.faults[fault] += happened


def close(end: socket.socket, *, is_reset: bool) -> None:
    """Closes a socket by FIN, or by RST: what the other side sees as "connection reset by peer"."""
    if is_reset:
        with suppress(OSError):  # it was reset by the peer
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
