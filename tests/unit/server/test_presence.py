"""Who is there: devices with their tabs, announced together, gone a while after their last socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from sessile.model.presence import DevicePresence, Elsewhere
from sessile.server.realtime.presence import Board, device_label
from sessile.web.device_label import label_of

pytestmark = pytest.mark.virtual_time

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


def remote(device_no: int, *, tabs: int = 1, visible: bool = True, version: int = 7, is_following: bool = True) -> Any:
    return DevicePresence(
        device_no=device_no,
        label=f"remote {device_no}",
        tabs=tabs,
        visible=visible,
        version=version,
        is_following=is_following,
        last_seen_at=NOW,
    )


def elsewhere(*devices: Any, primary_no: int | None = None) -> Elsewhere:
    return Elsewhere(devices, primary_no)


async def test_devices_of_other_nodes_are_shown_and_told_of_like_those_of_this_one() -> None:
    listener = Listener()
    listener.join("a", 2)
    await listener.next()
    listener.board.set_elsewhere(elsewhere(remote(1, version=4, is_following=False), remote(3), primary_no=3))
    devices, left = await listener.next()
    assert [(d["device_no"], d["label"], d["behind"], d["is_primary"]) for d in devices] == [
        (1, "remote 1", 3, False),
        (3, "remote 3", 0, True),
    ]
    assert left == []
    assert [d["device_no"] for d in listener.board.state()] == [1, 2, 3]
    listener.board.set_elsewhere(elsewhere(remote(3, version=9)))
    assert await listener.next() == ([], [1])
    listener.board.set_elsewhere(elsewhere(remote(3, version=99)))
    await asyncio.sleep(0.05)
    assert listener.told.empty(), "who is given everything is not announced with every change"


async def test_a_device_here_and_elsewhere_is_one_and_leaves_when_it_is_nowhere() -> None:
    listener = Listener()
    listener.join("a", 1, visible=False, cursor=3)
    listener.board.set_elsewhere(elsewhere(remote(1, tabs=2, version=6, is_following=False)))
    devices, _ = await listener.next()
    assert [(d["tabs"], d["visible"], d["behind"], d["label"]) for d in devices] == [(3, True, 1, "device 1")]
    listener.board.leave("a", 1)
    assert [d["tabs"] for d in (await listener.next())[0]] == [2]
    devices, left = await listener.next()
    assert ([d["label"] for d in devices], left) == (["remote 1"], []), "gone here, and still there"
    listener.board.set_elsewhere(elsewhere())
    assert await listener.next() == ([], [1])


async def test_a_device_that_left_here_is_not_gone_while_it_lingers() -> None:
    listener = Listener(leave_after_s=60)
    listener.join("a", 1, cursor=5)
    listener.board.leave("a", 1)
    listener.board.set_elsewhere(elsewhere(remote(1)))
    listener.board.set_elsewhere(elsewhere())
    devices, left = await listener.next()
    assert ([(d["tabs"], d["behind"]) for d in devices], left) == ([(0, 2)], [])
    listener.board.close()


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
