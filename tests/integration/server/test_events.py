"""Server-Sent Events: the frames of the socket, for clients that cannot have one."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessile.model.document import Actor
from sessile.model.events import Event, EventKind
from sessile.model.session import Session
from sessile.server.realtime.codes import CloseCode
from sessile.server.realtime.events import EventStream
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected, device, hello, setting
from tests.integration.server.running import SettableClock, client_of, process_on, served, service_of, until
from tests.integration.server.stream import PATH, SAME_ORIGIN, address, streaming
from tests.integration.server.test_slow_consumer import COUNT, write

INTAKE = {"name": "intake", "default": {"step": 1}}
OWN = {"origin": "http://testserver"}


@pytest.mark.server
@shows("G01", "G02", "http")
async def test_a_snapshot_then_what_others_change_then_the_end_of_the_session(tmp_path: Path) -> None:
    with process_on(tmp_path / "a.db") as server:
        token, other = server.token(), server.token()
        async with (
            streaming(server.origin, INTAKE, {"name": "basket"}, cookie=token) as stream,
            httpx.AsyncClient(base_url=server.origin) as client,
        ):
            assert stream.response.headers["content-type"].startswith("text/event-stream")
            assert stream.response.headers["cache-control"] == "private, no-store"
            assert stream.response.headers["x-accel-buffering"] == "no"
            welcome = await stream.expect("welcome")
            assert stream.comments == [": sessile.v1"]
            assert [entry["name"] for entry in welcome["documents"]] == ["intake", "basket"]
            states = [await stream.expect("initial_state") for _ in range(2)]
            assert {state["name"]: state["state"] for state in states} == {"intake": {"step": 1}, "basket": {}}
            headers = {"authorization": f"Bearer {other}"}
            for entry, path in zip(welcome["documents"], ("/step", "/apples"), strict=True):
                body = {"device_id": device(), "changes": [setting(1, path, "Zürich\n\r\u2028 2")]}
                where = f"/api/v0/documents/{entry['document_id']}/changes"
                assert (await client.post(where, json=body, headers=headers)).status_code == 200
                update = await stream.expect("state_update")
                assert update["document_id"] == entry["document_id"]
                assert (update["from"], update["to"]) == (0, 1)
                assert update["changes"][0]["operations"][0]["value"] == "Zürich\n\r\u2028 2"
            cookie = {"cookie": f"sessile={token}", "origin": server.origin}
            assert (await client.post("/api/v0/session/logout", headers=cookie)).status_code == 204
            assert await stream.expect_close() == 4501
            assert stream.close == {"code": 4501, "reason": "session_ended"}
            assert stream.frames[-1]["reason"] == "logout"


@pytest.mark.server
async def test_a_signal_lets_the_goaway_out_and_closes_the_stream(tmp_path: Path) -> None:
    with process_on(tmp_path / "a.db") as server:
        async with streaming(server.origin, INTAKE, cookie=server.token()) as stream:
            await stream.expect("initial_state")
            server.process.send_signal(signal.SIGTERM)
            assert await stream.expect_close() == 4000
            assert stream.kinds().count("goaway") == 1
        assert await asyncio.to_thread(server.process.wait, 15) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        assert server.process.stderr is not None
        assert "Traceback" not in server.process.stderr.read()


async def test_a_stream_is_a_device_among_others_and_leaves_when_its_client_does() -> None:
    async with served(presence_linger_s=0.1) as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as tab:
            await tab.open(INTAKE)
            await tab.expect("presence_state")
            async with streaming(server.origin, INTAKE, cookie=token, device={"label": "Kiosk"}) as stream:
                shown = await stream.expect("presence_state")
                assert "Kiosk" in {entry["label"] for entry in shown["devices"]}
                joined = await tab.expect("presence_diff", lambda f: any(d["label"] == "Kiosk" for d in f["devices"]))
                number = next(d["device_no"] for d in joined["devices"] if d["label"] == "Kiosk")
                assert len(server.service.hub.connections) == 2
            await tab.expect("presence_diff", lambda frame: frame["left"] == [number])
            assert len(server.service.hub.connections) == 1


async def test_a_client_that_is_killed_frees_its_connection() -> None:
    async with served() as server:
        token = await server.token()
        reader, writer = await raw(server.origin, token)
        await reader.readuntil(b"initial_state")
        assert len(server.service.hub.connections) == 1
        writer.transport.abort()
        await until(lambda: not server.service.hub.connections)
        assert not server.service.api.state.streams._open


async def test_a_reader_without_progress_is_cut_off_while_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async with served(stall_timeout_s=0.3) as server:
        token = await server.token()
        reader, slow = await raw(server.origin, token)
        await reader.readuntil(b"initial_state")
        slow.transport.pause_reading()  # type: ignore[attr-defined]
        async with connected(server.socket_url, cookie=token) as fast:
            await fast.open(INTAKE)
            await write(fast, COUNT)
            await until(lambda: len(server.service.hub.connections) == 1)
            await fast.change(setting(COUNT + 1, "/still", "here"))
            assert (await fast.expect("ack"))["seq"] == COUNT + 1
        await until(lambda: not server.service.api.state.streams._open)
        # The connection itself is gone, too: what the kernels held comes, and then no more, not even the end of the body.
        slow.transport.resume_reading()  # type: ignore[attr-defined]
        assert not (await reader.read()).endswith(b"0\r\n\r\n")
        slow.transport.abort()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_pings_are_answered_for_a_reader_that_takes_them() -> None:
    async with (
        served(ping_interval_s=0.05, ping_timeout_s=0.2) as server,
        streaming(server.origin, INTAKE, bearer=await server.token()) as stream,
    ):
        welcome = await stream.expect("welcome")
        pings = [await stream.expect("ping") for _ in range(15)]
        assert pings[-1]["heads"].keys() == {welcome["documents"][0]["document_id"]}


async def test_a_large_state_comes_in_parts_and_a_position_gets_what_came_since() -> None:
    async with served() as server:
        token = await server.token()
        await server.manager.documents.open(Actor(user_id="ada"), "large", default={"text": "x" * 200_000})
        async with connected(server.socket_url, cookie=token) as tab:
            await tab.open({"name": "large"})
            async with streaming(server.origin, {"name": "large"}, cookie=token) as stream:
                state = await stream.expect("initial_state")
                assert len(state["state"]["text"]) == 200_000
            await tab.change(setting(1, "/a", 1))
            await tab.expect("ack")
            known = {"name": "large", "epoch": state["epoch"], "version": state["version"]}
            async with streaming(server.origin, known, cookie=token) as stream:
                update = await stream.expect("state_update")
                assert (update["from"], update["to"]) == (0, 1)
                assert "initial_state" not in stream.kinds()


async def test_expiry_and_another_user_close_it_as_they_close_a_socket() -> None:
    clock = SettableClock()
    options: dict[str, Any] = {"ping_interval_s": 0.05, "idle_timeout_s": 1000, "expiry_warning_s": 100}
    async with served(clock=clock, **options) as server:
        token = await server.token()
        async with streaming(server.origin, cookie=token, user_id="grace") as stream:
            assert await stream.expect_close() == CloseCode.WRONG_USER
            assert "welcome" not in stream.kinds()
        async with streaming(server.origin, cookie=token) as stream:
            await stream.expect("welcome")
            clock.advance(1100)
            assert await stream.expect_close() == CloseCode.SESSION_EXPIRED


async def test_a_session_that_ends_while_the_stream_begins_gets_no_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as server:
        issued = await server.manager.create_session("ada")
        streams = server.service.api.state.streams
        answer = streams.response

        def late(session: Session, text: str, held: Sequence[Callable[[], None]]) -> EventStream:
            """Between the look at the cookie and the first byte."""
            server.service.hub._on_events([Event(EventKind.SESSION_ENDED, session.session_id, detail="revoked")])
            stream: EventStream = answer(session, text, held)
            return stream

        monkeypatch.setattr(streams, "response", late)
        async with streaming(server.origin, INTAKE, cookie=issued.token) as stream:
            assert await stream.expect_close() == 4501
            assert stream.kinds() == ["session_ended"]


async def test_a_drain_says_goodbye_and_what_comes_then_is_refused() -> None:
    async with served() as server:
        token = await server.token()
        async with streaming(server.origin, INTAKE, cookie=token) as stream:
            await stream.expect("initial_state")
            draining = asyncio.create_task(server.service.drain())
            assert await stream.expect_close() == 4000
            assert "goaway" in stream.kinds()
            await draining
        async with client_of(server.service, token=token) as client:
            late = await client.get(address(INTAKE), headers=SAME_ORIGIN)
        assert (late.status_code, late.json()["code"]) == (503, "store_unavailable")


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 422, "malformed_frame"),
        ("{}", 400, "malformed_frame"),
        ("nonsense", 400, "malformed_frame"),
        (json.dumps({"type": "pong", "at": "x"}), 400, "malformed_frame"),
        (json.dumps({"type": "nonsense"}), 400, "unknown_type"),
        (json.dumps({**hello(), "protocol": 2}), 400, "malformed_frame"),
        (json.dumps(hello({"name": "a", "document_id": device()})), 400, "malformed_frame"),
        (json.dumps(hello(token="a.very-secret")), 400, "malformed_frame"),
        (json.dumps(hello({"name": "a", "default": {"text": "x" * 20_000}})), 413, "too_large"),
    ],
)
async def test_a_hello_that_is_none_is_refused_before_the_first_byte(text: str, status: int, code: str) -> None:
    async with service_of() as service:
        await service.open()
        token = (await service.manager.create_session("ada")).token
        async with client_of(service, token=token) as client:
            answer = await client.get(PATH, params={"hello": text})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "very-secret" not in answer.text
        assert service.hub.connections == set()


async def test_without_a_session_it_says_why() -> None:
    async with service_of() as service:
        await service.open()
        ended = await service.manager.create_session("ada")
        await service.manager.destroy_session(ended.session.session_id)
        async with client_of(service) as client:
            assert (await client.get(PATH)).status_code == 422
            cases: list[tuple[dict[str, str], str]] = [
                ({}, "no_cookie"),
                ({"authorization": "Bearer nonsense"}, "unknown"),
                ({"cookie": f"sessile={ended.token}", **OWN}, "ended:logout"),
            ]
            for headers, reason in cases:
                answer = await client.get(address(), headers=headers)
                assert (answer.status_code, answer.json()["reason"]) == (401, reason)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example", "accept": "text/event-stream"}, 403),
        ({"origin": "https://evil.example", **SAME_ORIGIN}, 403),
        ({"sec-fetch-site": "cross-site", "accept": "text/event-stream"}, 403),
        ({"sec-fetch-site": "same-site", "accept": "text/event-stream"}, 403),
        ({"accept": "text/html,*/*;q=0.8"}, 403),
        ({"accept": "text/event-stream"}, 401),
        (SAME_ORIGIN, 401),
        (OWN, 401),
    ],
)
@shows_security("V3.5.3")
async def test_another_site_opens_nothing_with_somebodys_cookie(headers: dict[str, str], status: int) -> None:
    async with service_of() as service, client_of(service, token="not-one-of-ours", origin=False) as client:
        assert (await client.get(address(INTAKE), headers=headers)).status_code == status


async def raw(origin: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client whose reading is in the hands of the test."""
    host, port = origin.removeprefix("http://").split(":")
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=plain)
    head = f"GET {address(INTAKE).raw_path.decode()} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n"
    writer.write(f"{head}Cookie: sessile={token}\r\n\r\n".encode())
    return reader, writer
