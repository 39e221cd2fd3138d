"""Who is there: devices with their tabs, announced together, gone a while after their last socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from sessile.server.realtime.presence import Board, device_label, label_of

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


class Listener:
    """What is announced, one by one."""

    def __init__(self, **options: float) -> None:
        self.told: asyncio.Queue[tuple[list[dict[str, Any]], list[int]]] = asyncio.Queue()
        self.board = Board(
            lambda devices, left: self.told.put_nowait((devices, left)),
            now=lambda: NOW,
            head=lambda: 7,
            **{"leave_after_s": 0.02, "diff_delay_s": 0.01, **options},
        )

    def join(self, tab: str, device_no: int, *, visible: bool = True, cursor: int = 7) -> None:
        self.board.join(tab, device_no, label=f"device {device_no}", visible=visible, cursor=lambda: cursor)

    async def next(self) -> tuple[list[dict[str, Any]], list[int]]:
        return await asyncio.wait_for(self.told.get(), 5)


async def test_what_happens_within_a_moment_is_told_together() -> None:
    listener = Listener()
    listener.join("a", 1, visible=False, cursor=4)
    listener.join("b", 1)
    listener.join("c", 2, cursor=5)
    devices, left = await listener.next()
    assert left == []
    assert [(d["device_no"], d["tabs"], d["visible"], d["behind"]) for d in devices] == [
        (1, 2, True, 0),
        (2, 1, True, 2),
    ]
    assert listener.told.empty()


async def test_a_device_leaves_a_while_after_its_last_tab_and_not_when_it_comes_back() -> None:
    listener = Listener()
    for tab in ("a", "b"):
        listener.join(tab, 1)
    await listener.next()
    listener.board.leave("a", 1)
    assert (await listener.next())[0][0]["tabs"] == 1
    listener.board.leave("b", 1)
    assert (await listener.next())[0][0]["tabs"] == 0
    listener.join("c", 1)
    devices, left = await listener.next()
    assert (devices[0]["tabs"], left) == (1, [])
    listener.board.leave("c", 1)
    assert (await listener.next())[1] == []
    assert await listener.next() == ([], [1])
    assert listener.board.state() == []


async def test_one_device_is_the_primary_one() -> None:
    listener = Listener()
    listener.join("a", 1)
    listener.join("b", 2)
    await listener.next()
    for number in (1, 1, 2):
        listener.board.set_primary(number)
    devices, _ = await listener.next()
    assert [(d["device_no"], d["is_primary"]) for d in devices] == [(1, False), (2, True)]


async def test_a_closed_board_announces_nothing_more() -> None:
    listener = Listener()
    listener.join("a", 1)
    listener.board.leave("a", 1)
    listener.board.close()
    await asyncio.sleep(0.05)
    assert listener.told.empty()


@pytest.mark.parametrize(
    ("user_agent", "label"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
         "Safari on Mac OS X"),
        ("", "Unknown device"),
        ("\x00\x1b[31m" * 1000, "Unknown device"),
    ],
)  # fmt: skip
def test_a_device_is_named_after_its_browser_unless_somebody_named_it(user_agent: str, label: str) -> None:
    assert label_of(user_agent) == label
    assert device_label("Kitchen tablet", user_agent) == "Kitchen tablet"
    assert device_label(None, user_agent) == label
