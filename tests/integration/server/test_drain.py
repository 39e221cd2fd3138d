"""Going away in order: goaway first, acks of what is in flight, then close 4000; and bounded in time."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from sessile.model.document import Outcome, Submission
from tests.integration.server.peer import connected, hello, setting
from tests.integration.server.running import process_on, served

INTAKE = {"name": "intake"}


async def test_what_is_in_flight_is_acknowledged_before_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        submit, begun, go_on = server.manager.documents.submit, asyncio.Event(), asyncio.Event()

        async def held(submission: Submission) -> Outcome:
            begun.set()
            await go_on.wait()
            return await submit(submission)

        monkeypatch.setattr(server.manager.documents, "submit", held)
        await peer.change(setting(1, "/a", 1))
        await begun.wait()
        draining = asyncio.create_task(server.service.drain())
        goaway = await peer.expect("goaway")
        assert goaway["retry_min_ms"] <= goaway["retry_max_ms"]
        with pytest.raises(InvalidStatus) as refusal:
            async with connected(server.socket_url, cookie=await server.token()):
                pass
        assert refusal.value.response.status_code == 503
        go_on.set()
        assert await peer.expect_close() == 4000
        kinds = peer.kinds()
        assert kinds.index("goaway") < kinds.index("ack")
        await draining
        assert server.service.hub.connections == set()


async def test_a_drain_ends_in_time_whatever_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(drain_timeout_s=0.2) as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        stuck, begun = asyncio.Event(), asyncio.Event()

        async def never(_: Submission) -> Any:
            begun.set()
            await stuck.wait()

        monkeypatch.setattr(server.manager.documents, "submit", never)
        await peer.change(setting(1, "/a", 1))
        await begun.wait()
        async with asyncio.timeout(5):
            await server.service.drain()
            assert await peer.expect_close() == 4000
        stuck.set()


async def test_a_socket_without_a_hello_is_sent_away_too() -> None:
    async with served() as server, connected(server.socket_url) as peer:
        await server.service.drain()
        assert await peer.expect_close() == 4000


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
async def test_a_signal_lets_the_goaway_out_first(tmp_path: Path, number: signal.Signals) -> None:
    with process_on(tmp_path / "a.db") as server:
        token = server.token()
        async with connected(server.socket_url) as peer, connected(server.socket_url, cookie=token) as silent:
            await peer.open(INTAKE, token=token)
            await silent.send(hello())
            for seq in range(1, 51):
                await peer.change(setting(seq, "/n", seq))
            await peer.expect("ack")
            server.process.send_signal(number)
            assert await peer.expect_close() == 4000
            assert await silent.expect_close() == 4000
            assert "goaway" in peer.kinds()
            acknowledged = [v["seq"] for f in peer.frames if f["type"] == "ack" for v in f["verdicts"]]
        assert await asyncio.to_thread(server.process.wait, 15) in (0, -number, 128 + number)
        assert server.process.stderr is not None
        assert "Traceback" not in server.process.stderr.read()
    with process_on(tmp_path / "a.db") as server:
        async with connected(server.socket_url) as peer:
            await peer.open(INTAKE, token=token)
            version = (await peer.expect("initial_state"))["version"]
            assert version >= acknowledged[-1]


async def test_a_service_that_is_started_again_takes_sockets_again() -> None:
    async with served() as server:
        await server.service.drain()
        await server.service.start()
        async with connected(server.socket_url, cookie=await server.token()) as peer:
            await peer.open(INTAKE)
            await peer.change(setting(1, "/a", 1))
            assert (await peer.expect("ack"))["seq"] == 1
