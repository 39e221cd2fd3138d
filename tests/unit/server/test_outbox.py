"""What waits for one socket is bounded, and whoever offers to it never waits."""

from __future__ import annotations

import asyncio
import json

import pytest

from sessile.server.realtime import messages
from sessile.server.realtime.outbox import Outbox, SlowConsumer

pytestmark = pytest.mark.virtual_time


class Wire:
    """Takes frames only while it is open."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.open = asyncio.Event()
        self.drained = asyncio.Event()

    async def send(self, text: str) -> None:
        await self.open.wait()
        self.sent.append(text)


async def test_offers_are_refused_when_full_and_the_end_of_it_is_told_once() -> None:
    wire = Wire()
    outbox = Outbox(wire.send, on_drained=wire.drained.set, frames_max=3)
    writer = asyncio.create_task(outbox.run())
    assert [outbox.offer(str(number)) for number in range(5)] == [True, True, True, False, False]
    assert not wire.drained.is_set()
    wire.open.set()
    await asyncio.wait_for(wire.drained.wait(), 5)
    assert wire.sent == ["0", "1", "2"]
    wire.drained.clear()
    assert outbox.offer("5")
    await outbox.flushed()
    assert not wire.drained.is_set()
    writer.cancel()


async def test_bytes_count_too() -> None:
    wire = Wire()
    outbox = Outbox(wire.send, on_drained=wire.drained.set, bytes_max=10)
    assert outbox.offer("äöü")
    assert outbox.offer("xxxx")
    assert not outbox.offer("x")


async def test_an_answer_waits_for_room_and_keeps_its_place() -> None:
    wire = Wire()
    outbox = Outbox(wire.send, on_drained=wire.drained.set, frames_max=1)
    outbox.offer("first")
    answer = asyncio.create_task(outbox.put("answer"))
    await asyncio.sleep(0)
    assert not answer.done()
    writer = asyncio.create_task(outbox.run())
    wire.open.set()
    await asyncio.wait_for(answer, 5)
    await outbox.flushed()
    assert wire.sent == ["first", "answer"]
    writer.cancel()


async def test_no_progress_ends_the_writer() -> None:
    outbox = Outbox(Wire().send, on_drained=lambda: None, stall_timeout_s=0.01)
    outbox.offer("stuck")
    with pytest.raises(SlowConsumer):
        await outbox.run()


async def test_finishing_drops_the_queue_sends_the_last_words_and_frees_who_waits() -> None:
    wire = Wire()
    outbox = Outbox(wire.send, on_drained=wire.drained.set, frames_max=1)
    outbox.offer("never seen")
    waiting = asyncio.create_task(outbox.put("nor this"))
    await asyncio.sleep(0)
    outbox.finish("goodbye")
    wire.open.set()
    await asyncio.wait_for(asyncio.gather(outbox.run(), waiting), 5)
    assert wire.sent == ["goodbye"]


@pytest.mark.parametrize("character", ["x", "ä", "😀", '"', "\\", "\u0001"])
async def test_long_frames_are_cut_below_the_limit_and_join_to_the_same_text(character: str) -> None:
    wire = Wire()
    wire.open.set()
    outbox = Outbox(wire.send, on_drained=lambda: None)
    text = messages.encode({"type": "x", "value": character * 100_000})
    writer = asyncio.create_task(outbox.run())
    outbox.push(text)
    await outbox.flushed()
    writer.cancel()
    pieces = [json.loads(piece) for piece in wire.sent]
    assert all(len(piece.encode()) <= messages.PART_ABOVE_BYTES for piece in wire.sent)
    assert [piece["part"] for piece in pieces] == list(range(1, len(pieces) + 1))
    assert {piece["of"] for piece in pieces} == {len(pieces)}
    assert "".join(piece["chunk"] for piece in pieces) == text
