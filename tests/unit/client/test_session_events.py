"""What a client tells of its session, and how it follows it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from http import HTTPStatus
from typing import Any

import pytest
from websockets.http11 import Request, Response

from sessile.client import Client, Maintenance
from sessile.client import events as told
from sessile.model.errors import SessionExpired
from sessile.model.handoff import HandoffStatus
from tests.unit.client.fake_server import HANDLE, Peer, fake_server, stay
from tests.unit.client.test_connection import client_of, until

PLATFORM = {"id": "p", "name": "P", "kind": "", "is_default": True}
EXPIRES = "2026-01-02T00:00:00.000Z"


class Heard:
    def __init__(self, client: Client) -> None:
        self.events: list[told.Event] = []
        client.on(told.Event, self.events.append)

    def of(self, kind: type[told.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.mark.parametrize("can_extend", [True, False])
async def test_a_session_that_is_about_to_expire_says_whether_it_can_go_on(can_extend: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        frame = {"type": "session_expiring", "session_id": HANDLE, "expires_at": EXPIRES, "can_extend": can_extend}
        await peer.say(frame)
        await stay(peer)

    async with fake_server(script) as server, client_of(server) as client:
        heard = Heard(client)
        await until(lambda: bool(heard.of(told.SessionExpiring)), client)
    assert heard.of(told.SessionExpiring) == [
        told.SessionExpiring(session_id=HANDLE, expires_at=EXPIRES, can_extend=can_extend)
    ]


async def test_maintenance_is_told_and_so_is_its_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        told = {"message": "Back at noon", "since": EXPIRES, "until": None}
        await peer.say({"type": "maintenance", "maintenance": told})
        await peer.say({"type": "maintenance", "maintenance": None})
        await stay(peer)

    async with fake_server(script) as server, client_of(server) as client:
        heard = Heard(client)
        await until(lambda: len(heard.of(told.MaintenanceChanged)) == 2, client)
    begun, over = heard.of(told.MaintenanceChanged)
    since = datetime.fromisoformat(EXPIRES)
    assert begun.maintenance == Maintenance(message="Back at noon", since=since, until=None)
    assert over.maintenance is None


@pytest.mark.parametrize("clock", ["idle", "absolute"])
async def test_the_clock_that_ran_out_is_the_one_the_server_says(clock: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say({"type": "session_ended", "session_id": HANDLE, "reason": "expired", "clock": clock})
        await peer.socket.close(4502)

    async with fake_server(script) as server, client_of(server) as client:
        heard = Heard(client)
        await until(lambda: bool(heard.of(told.SessionExpired)), client)
        assert isinstance(client.failure, SessionExpired)
        assert client.failure.clock == clock
        assert client.session is None
    assert heard.of(told.SessionExpired) == [told.SessionExpired(session_id=HANDLE, clock=clock)]
    assert heard.of(told.SessionStateChanged)[-1].session is None


async def test_a_hand_off_that_moves_on_is_told() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        frame = {"type": "handoff_changed", "session_id": HANDLE, "handoff_id": HANDLE, "expires_at": EXPIRES}
        await peer.say({**frame, "status": "redeemed", "device": {"label": "Phone"}})
        await peer.say({**frame, "status": "completed", "device": None})
        await stay(peer)

    async with fake_server(script) as server, client_of(server) as client:
        heard = Heard(client)
        await until(lambda: len(heard.of(told.HandoffChanged)) == 2, client)
    first, second = heard.of(told.HandoffChanged)
    assert (first.status, first.device) == (HandoffStatus.REDEEMED, {"label": "Phone"})
    assert (second.status, second.device, second.handoff_id) == (HandoffStatus.COMPLETED, None, HANDLE)


async def test_a_changed_session_is_read_again() -> None:
    shown: dict[str, Any] = {}

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say({"type": "session_changed", "session_id": HANDLE, "reload": True, "refresh": False})
        await stay(peer)

    async def session(client: Client) -> Any:
        shown.update({**(client.session or {}), "platform": PLATFORM})
        client.session_shown(shown)

    async with fake_server(script) as server, client_of(server) as client:
        heard = Heard(client)
        client.api.session = lambda: session(client)  # type: ignore[method-assign]
        await until(lambda: bool(heard.of(told.PlatformSwitched)), client)
        assert client.session == shown
    kinds = [type(event) for event in heard.events if not isinstance(event, told.ConnectionStatusChanged)]
    assert kinds == [told.SessionStateChanged, told.SessionChanged, told.SessionStateChanged, told.PlatformSwitched]
    assert heard.of(told.PlatformSwitched) == [told.PlatformSwitched(before=None, after=PLATFORM)]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_new_token_is_taken_where_the_server_wants_it_and_somebody_keeps_it(is_kept: bool) -> None:
    asked: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say({"type": "session_changed", "session_id": HANDLE, "reload": True, "refresh": True})
        await stay(peer)

    async def note(verb: str) -> Any:
        asked.append(verb)

    kept = {"on_token": asked.append} if is_kept else {}
    async with fake_server(script) as server, client_of(server, **kept) as client:
        heard = Heard(client)
        client.api.refresh = lambda: note("refresh")  # type: ignore[method-assign]
        client.api.session = lambda: note("session")  # type: ignore[method-assign]
        await until(lambda: bool(heard.of(told.SessionChanged)), client)
        await asyncio.gather(*client._tasks)
    assert asked == ["refresh" if is_kept else "session"]
    assert heard.of(told.SessionChanged) == [told.SessionChanged(session_id=HANDLE, needs_refresh=True)]


async def test_a_session_that_cannot_be_read_again_stays_as_it_was_known(caplog: pytest.LogCaptureFixture) -> None:
    asked = asyncio.Event()

    def answer(connection: Any, request: Request) -> Response | None:
        if request.path == "/ws":
            return None
        asked.set()
        response: Response = connection.respond(HTTPStatus.BAD_GATEWAY, "")
        return response

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say({"type": "session_changed", "session_id": HANDLE, "reload": True, "refresh": False})
        await stay(peer)

    async with fake_server(script, answer=answer) as server, client_of(server) as client:
        await client.connected()
        before = client.session
        async with asyncio.timeout(5):
            await asked.wait()
            while client._tasks:
                await asyncio.wait(set(client._tasks))
        assert client.session == before
        assert client.is_connected
    assert "could not be read again: http_502" in caplog.text


async def test_another_sessions_state_is_not_taken_for_the_own() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await stay(peer)

    async with fake_server(script) as server, client_of(server) as client:
        await client.connected()
        before = client.session
        client.session_shown({**(before or {}), "session_id": "another", "user": None})
        assert client.session == before


async def test_whether_somebody_looks_is_said_now_and_on_every_connection() -> None:
    said: list[Any] = []
    both = asyncio.Event()

    async def first(peer: Peer) -> None:
        hello = await peer.welcome()
        said.append(hello["visible"])
        said.append((await peer.heard("presence"))["visible"])
        await peer.socket.close(4003)

    async def second(peer: Peer) -> None:
        hello = await peer.welcome()
        said.extend([hello["visible"], hello.get("platform_id")])
        both.set()
        await stay(peer)

    async with fake_server(first, second) as server, client_of(server, platform_id="p") as client:
        await client.connected()
        client.show(visible=False)
        async with asyncio.timeout(5):
            await both.wait()
    assert said == [True, False, False, "p"]


async def test_what_changes_between_hello_and_welcome_is_told_after_it() -> None:
    told: list[bool] = []
    heard, hidden = asyncio.Event(), asyncio.Event()

    async def only(peer: Peer) -> None:
        hello = await peer.heard("hello")
        heard.set()
        await hidden.wait()

        async def known(_kind: str | None = None) -> dict[str, Any]:
            return hello

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(peer, "heard", known)
            await peer.welcome()
        told.extend([hello["visible"], (await peer.heard("presence"))["visible"]])
        await stay(peer)

    async with fake_server(only) as server, client_of(server) as client:
        async with asyncio.timeout(5):
            await heard.wait()
            client.show(visible=False)
            hidden.set()
            while len(told) < 2:  # noqa: ASYNC110 - what the peer hears tells nobody
                await asyncio.sleep(0.01)
    assert told == [True, False]
