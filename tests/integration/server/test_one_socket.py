"""A browser whose tabs share one socket: which of two sockets stays, and how many tabs others see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessile.server.realtime.terms import REMEMBERED_FOR, REMEMBERED_MAX, Terms
from tests.integration.server.peer import connected, device, setting
from tests.integration.server.running import process_on, served

INTAKE = {"name": "intake"}

pytestmark = pytest.mark.server


@pytest.mark.parametrize("terms", [(3, 4), (4, 4)], ids=["a newer leader", "the same leader again"])
async def test_the_socket_of_the_older_term_is_closed_and_the_newer_one_works(terms: tuple[int, int]) -> None:
    async with served() as server:
        token, mine = await server.token(), device()
        async with connected(server.socket_url, cookie=token) as hung:
            await hung.open(INTAKE, device_id=mine, term=terms[0])
            async with connected(server.socket_url, cookie=token) as leader:
                await leader.open(INTAKE, device_id=mine, term=terms[1])
                assert await hung.expect_close() == 4409
                await leader.change(setting(1, "/a", 1))
                assert (await leader.expect("ack"))["verdicts"][0]["verdict"] == "applied"


async def test_a_leader_of_the_past_is_not_let_in() -> None:
    async with served() as server:
        token, mine = await server.token(), device()
        async with connected(server.socket_url, cookie=token) as leader:
            await leader.open(INTAKE, device_id=mine, term=8)
            async with connected(server.socket_url, cookie=token) as late:
                await late.send(
                    {"type": "hello", "protocol": 1, "device_id": mine, "tab_id": "t", "term": 7, "documents": []}
                )
                assert await late.expect_close() == 4409
                assert "welcome" not in late.kinds()
            await leader.change(setting(1, "/a", 1))
            assert (await leader.expect("ack"))["verdicts"][0]["verdict"] == "applied"


async def test_a_leader_of_the_past_is_not_let_in_when_the_present_one_has_just_gone() -> None:
    async with served() as server:
        token, mine = await server.token(), device()
        hello = {"type": "hello", "protocol": 1, "device_id": mine, "tab_id": "t", "documents": []}
        async with connected(server.socket_url, cookie=token) as leader:
            await leader.open(INTAKE, device_id=mine, term=8)
        async with connected(server.socket_url, cookie=token) as late:
            await late.send({**hello, "term": 7})
            assert await late.expect_close() == 4409
            assert "welcome" not in late.kinds()
        async with connected(server.socket_url, cookie=token) as again:
            await again.open(INTAKE, device_id=mine, term=8)
            await again.change(setting(1, "/a", 1))
            assert (await again.expect("ack"))["verdicts"][0]["verdict"] == "applied"


def test_a_term_is_remembered_for_a_minute_after_its_socket() -> None:
    terms, now = Terms(), datetime(2026, 1, 1, tzinfo=UTC)
    terms.note("s", "d", 8, now)
    later = now + timedelta(hours=1)
    terms.note("s", "d", 8, later)  # it goes
    assert terms.is_past("s", "d", 7, later + timedelta(seconds=59))
    terms.note("s", "d", 7, later + timedelta(seconds=59))  # the refused one goes, and is nothing to remember
    assert not terms.is_past("s", "d", 8, later)
    assert not terms.is_past("s", "d", 7, later + REMEMBERED_FOR), (
        "a browser whose storage is an older copy gets in again"
    )
    assert not terms.is_past("s", "other", 1, later)
    assert not terms.is_past("other", "d", 1, later)


def test_not_more_terms_are_remembered_than_there_is_room_for() -> None:
    terms, now = Terms(), datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(REMEMBERED_MAX + 1):
        terms.note("s", str(number), 2, now)
    assert not terms.is_past("s", "0", 1, now)
    assert terms.is_past("s", "1", 1, now)


async def test_two_processes_let_both_in_and_a_change_counts_once(tmp_path: Path) -> None:
    """What a term does not do: each process knows the leaders that it has seen. The device's numbers hold everywhere."""
    with process_on(tmp_path / "a.db") as first, process_on(tmp_path / "a.db") as second:
        token, mine = first.token(), device()
        async with (
            connected(first.socket_url, cookie=token) as leader,
            connected(second.socket_url, cookie=token) as hung,
        ):
            await leader.open(INTAKE, device_id=mine, term=8)
            await hung.open(INTAKE, device_id=mine, term=7)
            versions = []
            for peer in (leader, hung):
                await peer.change(setting(1, "/a", 1))
                (verdict,) = (await peer.expect("ack"))["verdicts"]
                versions.append((verdict["seq"], verdict["verdict"], verdict["version"]))
            assert versions[0] == versions[1] == (1, "applied", 1)


async def test_other_devices_and_sockets_without_a_term_are_let_be() -> None:
    async with served() as server:
        token, mine = await server.token(), device()
        async with (
            connected(server.socket_url, cookie=token) as alone,
            connected(server.socket_url, cookie=token) as elsewhere,
            connected(server.socket_url, cookie=token) as leader,
        ):
            await alone.open(INTAKE, device_id=mine)
            await elsewhere.open(INTAKE, device_id=device(), term=1)
            await leader.open(INTAKE, device_id=mine, term=9)
            for seq, peer in enumerate((alone, leader), 1):
                await peer.change(setting(seq, "/a", seq))
                await peer.expect("ack")
            await elsewhere.change(setting(1, "/b", 1))
            await elsewhere.expect("ack")


async def test_a_socket_counts_the_tabs_that_it_serves_for_other_processes_too(tmp_path: Path) -> None:
    def shows(frame: dict[str, Any], tabs: int, *, visible: bool) -> bool:
        return any(known["tabs"] == tabs and known["visible"] is visible for known in frame["devices"])

    with process_on(tmp_path / "a.db") as first, process_on(tmp_path / "a.db") as second:
        token = first.token()
        async with (
            connected(first.socket_url, cookie=token) as here,
            connected(second.socket_url, cookie=token) as there,
        ):
            await here.open(INTAKE, visible=False, tabs=3)
            own = (await here.expect("presence_state"))["devices"]
            assert [(known["tabs"], known["visible"]) for known in own] == [(3, False)]
            await there.open(INTAKE)
            await there.expect("presence_diff", lambda frame: shows(frame, 3, visible=False))
            await here.send({"type": "presence", "visible": True, "tabs": 2})
            for peer in (here, there):
                await peer.expect("presence_diff", lambda frame: shows(frame, 2, visible=True))
