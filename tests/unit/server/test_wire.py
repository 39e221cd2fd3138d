"""Frames on a connection that can be written to directly: what is joined, what waits, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from sessile.server.realtime import messages
from sessile.server.realtime.outbox import DirectOutbox, SlowConsumer
from sessile.server.realtime.wire import FLUSHED_AT_ONCE, Encoded, Flusher

pytestmark = pytest.mark.virtual_time


class Connection:
    """Takes writes until it is paused; remembers each."""

    def __init__(self) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.is_paused = False
        self.is_lost = False
        self.pauses_after = 10**9
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        if self.is_lost:
            raise ConnectionError
        self.writes.append(data)
        self.is_paused = len(self.writes) >= self.pauses_after

    def takes_more(self) -> None:
        self.is_paused, self.pauses_after = False, 10**9
        if self.on_writable is not None:
            self.on_writable()

    @property
    def texts(self) -> list[str]:
        return texts_in(b"".join(self.writes))


def texts_in(data: bytes) -> list[str]:
    """As a WebSocket client reads them."""
    stream = StreamReader()
    stream.feed_data(data)
    found: list[str] = []
    while stream.buffer:
        with pytest.raises(StopIteration) as parsed:
            next(Frame.parse(stream.read_exact, mask=False))
        frame = parsed.value.value
        assert frame.fin
        found.append(bytes(frame.data).decode())
    return found


def made(connection: Connection, **options: float) -> tuple[DirectOutbox, asyncio.Event, asyncio.Task[None]]:
    drained = asyncio.Event()
    outbox = DirectOutbox(connection, Flusher(), on_drained=drained.set, **options)  # type: ignore[arg-type]
    return outbox, drained, asyncio.create_task(outbox.run())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_a_frame_is_one_message_of_any_size(size: int) -> None:
    assert texts_in(Encoded("x" * size).framed) == ["x" * size]


def test_what_many_get_is_encoded_once() -> None:
    frame = Encoded("äöü")
    assert frame.size == 6
    assert frame.framed is frame.framed


async def test_frames_of_one_turn_of_the_loop_go_in_one_write() -> None:
    connection = Connection()
    outbox, _, _ = made(connection)
    for text in ("one", "two", "three"):
        outbox.push(text)
    assert connection.writes == []
    await outbox.flushed()
    assert len(connection.writes) == 1
    assert connection.texts == ["one", "two", "three"]
    outbox.close()


async def test_a_peer_that_takes_nothing_is_not_written_to_and_gets_everything_later_in_order() -> None:
    connection = Connection()
    connection.pauses_after = 1
    outbox, drained, _ = made(connection, frames_max=3)
    assert outbox.offer("first")
    await asyncio.sleep(0)
    assert [outbox.offer(str(number)) for number in range(5)] == [True, True, True, False, False]
    answer = asyncio.create_task(outbox.put("answer"))
    await asyncio.sleep(0.01)
    assert (connection.texts, answer.done(), drained.is_set()) == (["first"], False, False)
    connection.takes_more()
    await answer
    await outbox.flushed()
    assert drained.is_set()
    assert connection.texts == ["first", "0", "1", "2", "answer"]
    outbox.close()


async def test_no_progress_ends_the_run_and_progress_begins_the_wait_anew() -> None:
    connection = Connection()
    connection.pauses_after = 1
    outbox, _, run = made(connection, stall_timeout_s=0.1)
    outbox.push("taken")
    await outbox.flushed()
    outbox.push("stuck")
    await asyncio.sleep(0.06)
    connection.takes_more()
    connection.pauses_after = 1
    connection.is_paused = True
    outbox.push("stuck again")
    await asyncio.sleep(0.06)
    assert not run.done()
    with pytest.raises(SlowConsumer):
        await run
    outbox.close()


async def test_a_lost_connection_ends_the_run() -> None:
    connection = Connection()
    outbox, _, run = made(connection)
    connection.is_lost = True
    outbox.push("nobody hears it")
    with pytest.raises(ConnectionError):
        await run
    outbox.push("nor this")
    outbox.close()


async def test_finishing_drops_the_queue_and_says_the_last_words() -> None:
    connection = Connection()
    outbox, _, run = made(connection, frames_max=1)
    outbox.offer("never seen")
    waiting = asyncio.create_task(outbox.put("nor this"))
    await asyncio.sleep(0)
    connection.writes.clear()
    outbox.offer("dropped")
    outbox.finish("goodbye")
    await asyncio.gather(run, waiting)
    assert connection.texts[-1] == "goodbye"
    assert "dropped" not in connection.texts
    outbox.close()


async def test_long_frames_are_cut_and_what_follows_stays_behind_them() -> None:
    connection = Connection()
    outbox, _, _ = made(connection)
    text = messages.encode({"type": "x", "value": "ä" * 100_000})
    outbox.push(text)
    outbox.push("after")
    await outbox.flushed()
    *pieces, last = connection.texts
    assert last == "after"
    assert "".join(json.loads(piece)["chunk"] for piece in pieces) == text
    outbox.close()


async def test_many_connections_leave_the_loop_to_others_in_between() -> None:
    flusher, connections = Flusher(), [Connection() for _ in range(FLUSHED_AT_ONCE + 1)]
    outboxes = [DirectOutbox(connection, flusher, on_drained=lambda: None) for connection in connections]
    for outbox in outboxes:
        outbox.push("news")
    await asyncio.sleep(0)
    assert sum(len(connection.writes) for connection in connections) == FLUSHED_AT_ONCE
    await asyncio.sleep(0)
    assert sum(len(connection.writes) for connection in connections) == FLUSHED_AT_ONCE + 1
    for outbox in outboxes:
        outbox.close()
