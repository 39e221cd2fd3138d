"""Two server processes on one PostgreSQL are one service: changes and ended sessions reach the sockets of both; one may be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.server.peer import connected, setting
from tests.integration.server.running import ServerProcess, process_on

INTAKE = {"name": "intake"}
COUNT = 40

pytestmark = pytest.mark.server


@contextmanager
def node(url: str) -> Iterator[ServerProcess]:
    with process_on(Path("unused"), SESSILE_DATABASE_URL=url) as process:
        yield process


async def test_changes_cross_once_and_in_order_and_an_end_closes_the_other_nodes_socket(url: str) -> None:
    with node(url) as first, node(url) as second:
        token, other = first.token(), first.token()
        async with (
            connected(first.socket_url, cookie=token) as here,
            connected(second.socket_url, cookie=other) as there,
        ):
            for peer in (here, there):
                await peer.open(INTAKE)
            for seq in range(1, COUNT + 1):
                await here.change(setting(seq, "/here", seq))
            position = 0
            while position < COUNT:
                update = await there.expect("state_update")
                assert update["from"] == position
                position = update["to"]
            answer = await asyncio.to_thread(
                httpx.post,
                f"{first.origin}/api/v0/session/logout",
                headers={"authorization": f"Bearer {other}"},
            )
            assert answer.status_code == 204
            assert await there.expect_close() == 4501


async def test_what_a_killed_node_acknowledged_is_served_by_the_other(url: str) -> None:
    with node(url) as first, node(url) as second:
        token = first.token()
        async with connected(first.socket_url, cookie=token) as here:
            await here.open(INTAKE)
            for seq in range(1, COUNT + 1):
                await here.change(setting(seq, "/n", seq))
            last = 0
            while last < COUNT:
                last = (await here.expect("ack"))["seq"]
            first.process.kill()
        headers = {"authorization": f"Bearer {token}"}
        found = await asyncio.to_thread(
            httpx.put, f"{second.origin}/api/v0/documents/by-name/intake", headers=headers, json={}
        )
        assert (found.status_code, found.json()["version"], found.json()["state"]) == (200, COUNT, {"n": COUNT})
