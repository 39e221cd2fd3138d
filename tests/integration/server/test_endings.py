"""How a socket ends: logout and revocation at once, expiry, another user, silence, an outage that is none of these."""

from __future__ import annotations

import asyncio

import pytest

from sessile.model.document import Actor
from sessile.model.errors import StoreUnavailable
from sessile.model.session import EndReason
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected, hello, setting
from tests.integration.server.running import SettableClock, client_of, served

INTAKE = {"name": "intake"}


@shows_security("V7.4.1", "C-11")
async def test_ending_a_session_closes_its_sockets_at_once_and_no_others() -> None:
    async with served() as server:
        issued, other = await server.manager.create_session("ada"), await server.token("ada")
        async with (
            connected(server.socket_url, cookie=issued.token) as one,
            connected(server.socket_url, cookie=issued.token) as two,
            connected(server.socket_url, cookie=other) as three,
        ):
            for peer in (one, two, three):
                await peer.open(INTAKE)
            await server.manager.destroy_session(issued.session.session_id, reason=EndReason.REVOKED)
            for peer in (one, two):
                assert await peer.expect_close() == 4501
                ended = peer.frames[-1]
                assert (ended["type"], ended["reason"]) == ("session_ended", "revoked")
                assert ended["session_id"] == issued.session.session_id
            await three.change(setting(1, "/a", 1))
            await three.expect("ack")


@shows("A05", "http")
async def test_logging_out_over_http_and_ending_all_others() -> None:
    async with served() as server:
        token, others = await server.token(), [await server.token() for _ in range(2)]
        async with (
            client_of(server.service, token=token) as client,
            connected(server.socket_url, cookie=token) as own,
            connected(server.socket_url, cookie=others[0]) as first,
            connected(server.socket_url, cookie=others[1]) as second,
        ):
            for peer in (own, first, second):
                await peer.open()
            assert (await client.post("/api/v0/session/logout-others")).json() == {"ended": 2}
            assert [await peer.expect_close() for peer in (first, second)] == [4501, 4501]
            assert (await client.post("/api/v0/session/logout")).status_code == 204
            assert await own.expect_close() == 4501


async def test_a_change_on_its_way_when_the_session_ends_is_committed_or_refused_but_never_both() -> None:
    async with served() as server:
        issued = await server.manager.create_session("ada")
        async with connected(server.socket_url, cookie=issued.token) as peer:
            await peer.open(INTAKE)
            for seq in range(1, 21):
                await peer.change(setting(seq, "/n", seq))
            await server.manager.destroy_session(issued.session.session_id)
            assert await peer.expect_close() == 4501
            acknowledged = [v["seq"] for f in peer.frames if f["type"] == "ack" for v in f["verdicts"]]
        log = await server.manager.documents.log(Actor.system(), peer.document_id)
        committed = sorted(change.seq or 0 for change in log)
        assert committed == list(range(1, len(committed) + 1))
        assert set(acknowledged) <= set(committed)


async def test_a_session_that_ended_before_hello_gets_no_welcome() -> None:
    async with served() as server:
        issued = await server.manager.create_session("ada")
        async with connected(server.socket_url, cookie=issued.token) as peer:
            await server.manager.destroy_session(issued.session.session_id)
            assert await peer.expect_close() == 4501
            assert "welcome" not in peer.kinds()


@shows("A08", "socket")
@shows_security("V7.3.1")
async def test_an_expired_session_is_told_first_and_closed_then() -> None:
    clock = SettableClock()
    options = {"ping_interval_s": 0.05, "idle_timeout_s": 1000, "expiry_warning_s": 100}
    async with (
        served(clock=clock, **options) as server,
        connected(server.socket_url, cookie=await server.token()) as peer,
    ):
        await peer.open()
        clock.advance(950)
        expiring = await peer.expect("session_expiring")
        assert expiring["expires_at"] == "2026-04-01T12:16:40.000Z"
        await peer.expect("ping")
        await peer.expect("ping")
        clock.advance(100)
        assert await peer.expect_close() == 4502
        assert peer.frames[-1]["reason"] == "expired"
        assert peer.kinds().count("session_expiring") == 1


@shows("A07", "socket")
@shows_security("V7.3.1")
async def test_a_change_is_activity_and_a_pong_is_not() -> None:
    clock = SettableClock()
    async with served(clock=clock, idle_timeout_s=1000, expiry_warning_s=1) as server:
        issued = await server.manager.create_session("ada")
        async with connected(server.socket_url, cookie=issued.token) as peer:
            await peer.open(INTAKE)
            clock.advance(600)
            for frame in ({"type": "pong", "at": "x"}, {"type": "presence", "visible": False}):
                await peer.send(frame)
            await peer.request("request_sync", reason="resume")
            await peer.barrier()
            await server.manager._touches.write()
            quiet = await server.manager.get_session(issued.session.session_id)
            assert quiet.idle_expires_at == issued.session.idle_expires_at
            await peer.change(setting(1, "/a", 1))
            await peer.expect("ack")
            await peer.barrier()
            await server.manager._touches.write()
            active = await server.manager.get_session(issued.session.session_id)
            assert (active.idle_expires_at - issued.session.idle_expires_at).total_seconds() == 600


@shows_security("V7.2.4")
async def test_a_login_of_somebody_else_closes_with_4503_and_of_the_same_user_tells_the_page() -> None:
    async with served() as server:
        anonymous = await server.manager.create_session()
        async with connected(server.socket_url, cookie=anonymous.token) as peer:
            await peer.open(INTAKE)
            await server.manager.login(anonymous.session.session_id, "ada")
            assert await peer.expect_close() == 4503
            assert peer.frames[-1]["type"] == "session_changed"
        issued = await server.manager.create_session("ada")
        async with connected(server.socket_url, cookie=issued.token) as peer:
            await peer.open(INTAKE)
            await server.manager.login(issued.session.session_id, "ada")
            assert (await peer.expect("session_changed"))["reload"] is True
            await peer.change(setting(1, "/a", 1))
            await peer.expect("ack")


@shows("G05", "H02", "H05", "socket")
async def test_pings_carry_the_heads_and_silence_closes_with_4001() -> None:
    async with (
        served(ping_interval_s=0.1, ping_timeout_s=0.1) as server,
        connected(server.socket_url, cookie=await server.token()) as peer,
    ):
        await peer.open(INTAKE)
        epoch = (await peer.expect("initial_state"))["epoch"]
        await peer.change(setting(1, "/a", 1))
        await peer.expect("ack")
        ping = await peer.expect("ping", lambda frame: frame["heads"] == {peer.document_id: [epoch, 1]})
        await peer.send({"type": "pong", "at": ping["at"]})
        await peer.expect("ping")
        assert await peer.expect_close() == 4001


async def test_an_outage_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        served(ping_interval_s=0.05) as server,
        connected(server.socket_url, cookie=await server.token()) as peer,
    ):
        await peer.open(INTAKE)
        await peer.expect("presence_state")
        asked = asyncio.Event()

        async def away(*_: object, **__: object) -> None:
            asked.set()
            raise StoreUnavailable

        with monkeypatch.context() as outage:
            for verb in ("submit", "since", "open", "open_by_id", "checkpoint", "restore"):
                outage.setattr(server.manager.documents, verb, away)
            outage.setattr(server.manager, "get_session", away)
            await asyncio.wait_for(asked.wait(), 10)
            await peer.expect("ping")
            await peer.change(setting(1, "/a", 1))
            nack = await peer.expect("nack")
            assert (nack["reason"], nack["expected_seq"]) == ("unavailable", 1)
            assert nack["retry_after_ms"] > 0
            for kind, more in (
                ("request_sync", {"reason": "user"}),
                ("checkpoint", {"request_id": "r"}),
            ):
                await peer.request(kind, **more)
                assert (await peer.expect("error"))["code"] == "store_unavailable"
            async with connected(server.socket_url, cookie=await server.token()) as late:
                await late.send(hello(INTAKE))
                assert await late.expect_close() == 4003
        await peer.change(setting(1, "/a", 1))
        assert (await peer.expect("ack"))["seq"] == 1


async def test_a_fault_of_the_server_closes_with_4004_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("planted")

        monkeypatch.setattr(server.manager.documents, "submit", broken)
        with caplog.at_level("ERROR", logger="sessile.server"):
            await peer.change(setting(1, "/a", 1))
            assert await peer.expect_close() == 4004
        assert "planted" in caplog.text
