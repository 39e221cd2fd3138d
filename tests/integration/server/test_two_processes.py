"""Two server processes on one SQLite file are one service: changes, restores and ended sessions reach the sockets of both."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.integration.server.peer import Peer, connected, setting
from tests.integration.server.running import process_on

INTAKE = {"name": "intake"}
COUNT = 60

pytestmark = pytest.mark.server


async def test_both_see_every_change_once_and_in_order(tmp_path: Path) -> None:
    with process_on(tmp_path / "a.db") as first, process_on(tmp_path / "a.db") as second:
        token = first.token()
        async with (
            connected(first.socket_url, cookie=token) as here,
            connected(second.socket_url, cookie=token) as there,
        ):
            for peer in (here, there):
                await peer.open(INTAKE)
            assert here.document_id == there.document_id

            async def write(peer: Peer, path: str) -> None:
                for seq in range(1, COUNT + 1):
                    await peer.change(setting(seq, path, seq))

            followed = await asyncio.gather(
                follow(here, 2 * COUNT), follow(there, 2 * COUNT), write(here, "/here"), write(there, "/there")
            )
            assert followed[0] == followed[1] == list(range(1, 2 * COUNT + 1))
            for peer in (here, there):
                await peer.request("request_sync", reason="user")
            states = [await peer.expect("initial_state", lambda f: f["version"] > 0) for peer in (here, there)]
            assert states[0]["state"] == states[1]["state"] == {"here": COUNT, "there": COUNT}
            assert states[0]["hash"] == states[1]["hash"]


async def test_checkpoints_restores_and_ends_cross_over(tmp_path: Path) -> None:
    with process_on(tmp_path / "a.db") as first, process_on(tmp_path / "a.db") as second:
        token, other = first.token(), first.token()
        async with (
            connected(first.socket_url, cookie=token) as here,
            connected(second.socket_url, cookie=other) as there,
        ):
            for peer in (here, there):
                await peer.open(INTAKE)
                await peer.expect("presence_state")
            await here.change(setting(1, "/a", 1))
            await here.request("checkpoint", request_id="c", label="crossing")
            told = await there.expect("checkpoint_saved")
            assert told["checkpoint"]["label"] == "crossing"
            await here.change(setting(2, "/a", 2))
            checkpoint_id = told["checkpoint"]["checkpoint_id"]
            await here.request("restore", request_id="r", checkpoint_id=checkpoint_id)
            own = await here.expect("session_restored")
            news = await there.expect("session_restored")
            assert {**news, "request_id": "r"} == own
            await follow(there, 3)
            # Logged out there, by a request to the process that has not the socket.
            answer = await asyncio.to_thread(
                httpx.post,
                f"{first.origin}/api/v0/session/logout",
                headers={"authorization": f"Bearer {other}"},
            )
            assert answer.status_code == 204
            assert await there.expect_close() == 4501
            await here.change(setting(3, "/a", 3, base=3, generation=1))
            assert (await here.expect("ack", lambda frame: frame["seq"] == 3))["verdicts"][0]["verdict"] == "applied"


async def follow(peer: Peer, last: int) -> list[int]:
    """Versions as they come, from 0 to `last`, without gap or repeat."""
    position, seen = 0, []
    while position < last:
        update = await peer.expect("state_update")
        assert update["from"] == position
        seen += [change["version"] for change in update["changes"]]
        position = update["to"]
    return seen
