"""The client's verbs of a session against the real service."""

from __future__ import annotations

import logging

import pytest

from sessile.client import Client, ConnectionStatus, ForeignSession, MalformedRequest, NoSuchAddress, NotConnected
from sessile.client import events as told
from sessile.model.errors import (
    AuthenticationRequired,
    PlatformRefused,
    SessionEnded,
    SessionNotFound,
    StoreUnavailable,
    VersionConflict,
)
from sessile.model.expiry import UNSEEN_TOKEN_MAX
from sessile.model.platform import PlatformEntry
from tests.integration.client.people import QUICK, Told, client_of, within
from tests.integration.server.running import SettableClock, served

SHOP = PlatformEntry(platform_id="shop", name="Shop", kind="shop", is_default=True)
MAIL = PlatformEntry(platform_id="Päckchen/ 1", name="Mail")


async def test_who_is_here_and_that_the_service_answers() -> None:
    async with served() as running, client_of(running) as client:
        standing = await client.api.session()
        assert standing.is_authenticated
        assert standing.session is not None
        assert standing.session["user"] == {"id": "ada"}
        assert standing.session["session_id"] == (client.session or {})["session_id"]
        assert (await client.api.check_connection()).server_time.tzinfo is not None


async def test_a_token_that_is_worth_nothing_is_an_answer_to_one_question_and_an_error_to_the_others() -> None:
    clock = SettableClock()
    async with served(clock=clock) as running:
        client = Client(running.origin, token=await running.token())
        clock.advance(365 * 24 * 3600)
        standing = await client.api.session()
        assert (standing.is_authenticated, standing.session) == (False, None)
        assert (standing.reason or "").startswith("expired:")
        with pytest.raises(AuthenticationRequired) as required:
            await client.api.sessions()
        assert required.value.reason == standing.reason
        await client.close()


async def test_a_refreshed_token_goes_on_over_http_and_over_the_socket(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told_tokens: list[str] = []
    clock = SettableClock()
    async with served(clock=clock) as running:
        old = await running.token()
        async with client_of(running, lambda: old, on_token=told_tokens.append) as client:
            session = await client.api.refresh()
            assert session["session_id"] == (client.session or {})["session_id"]
            (fresh,) = told_tokens
            assert fresh != old
            clock.advance(UNSEEN_TOKEN_MAX.total_seconds() + running.manager.settings.rotation_window_s + 1)
            assert len(await client.api.sessions()) == 1
            statuses = Told(client, told.ConnectionStatusChanged)
            client.reconnect()
            await statuses.next(lambda event: event.after is ConnectionStatus.CONNECTED)
        async with Client(running.origin, token=old, backoff=QUICK) as late:
            with pytest.raises(SessionNotFound):
                await within(late.connected())
    secrets = [text.split(".")[1] for text in (old, fresh)]
    ours = [record for record in caplog.records if record.name.startswith(("sessile", "httpx", "httpcore"))]
    assert any(record.name.startswith("httpcore") for record in ours), "nothing was logged, so nothing is shown"
    assert not [record for record in ours for secret in secrets if secret in record.getMessage()]


async def test_a_session_is_extended_and_everybody_knows_until_when() -> None:
    clock = SettableClock()
    async with served(clock=clock) as running, client_of(running) as client:
        before = (client.session or {})["expires_at"]
        clock.advance(600)
        session = await client.api.extend()
        assert session["expires_at"] > before
        assert session["can_extend"] is True
        assert client.session == session
        standing = await client.api.session()
        assert standing.expiry_warning_s is not None
        assert standing.maintenance is None


async def test_logging_out_ends_the_session_everywhere() -> None:
    async with served() as running, client_of(running) as client:
        ended = Told(client, told.SessionEnded)
        await client.api.logout()
        assert (await ended.next()).reason == "logout"
        assert isinstance(client.failure, SessionEnded)
        assert client.session is None
        with pytest.raises(AuthenticationRequired) as required:
            await client.api.sessions()
        assert required.value.reason == "ended:logout"


async def test_the_other_sessions_can_be_ended_one_by_one_or_all_at_once() -> None:
    async with served() as running, client_of(running) as here, client_of(running) as there:
        await running.token()
        listed = await here.api.sessions()
        assert len(listed) == 3
        assert [entry["is_current"] for entry in listed].count(True) == 1
        ended = Told(there, told.SessionEnded)
        await here.api.end_session((there.session or {})["session_id"])
        assert (await ended.next()).reason == "revoked"
        with pytest.raises(ForeignSession):
            await here.api.end_session((await running.manager.create_session("eve")).session.session_id)
        assert await here.api.logout_others() == 1
        assert len(await here.api.sessions()) == 1
        with pytest.raises(MalformedRequest):
            await here.api.end_session("no handle")


async def test_an_anonymous_session_has_no_others() -> None:
    async with served() as running, client_of(running, user=None) as client:
        with pytest.raises(AuthenticationRequired) as required:
            await client.api.logout_others()
        assert required.value.reason == "anonymous"


async def test_a_platform_is_switched_to_and_everybody_on_the_session_hears_of_it() -> None:
    async with served() as running:
        await running.manager.sync_platforms("ada", [SHOP, MAIL])
        token = await running.token()
        async with client_of(running, token) as here, client_of(running, token) as there:
            assert [platform["name"] for platform in await here.api.platforms()] == ["Mail", "Shop"]
            changed, moved = Told(there, told.SessionChanged), Told(there, told.PlatformSwitched)
            session = await here.api.switch_platform(MAIL.platform_id, expected="shop")
            assert session["platform"]["id"] == MAIL.platform_id
            assert here.session == session
            assert (await changed.next()).session_id == session["session_id"]
            event = await moved.next()
            assert (event.before["id"], event.after["id"]) == ("shop", MAIL.platform_id)
            with pytest.raises(VersionConflict) as conflict:
                await here.api.switch_platform("shop", expected="shop")
            assert conflict.value.current == {"platform_id": MAIL.platform_id}
            with pytest.raises(PlatformRefused):
                await here.api.switch_platform("eves")


async def test_a_client_may_be_on_a_platform_of_its_own() -> None:
    async with served() as running:
        await running.manager.sync_platforms("ada", [SHOP, MAIL])
        async with client_of(running, platform_id=MAIL.platform_id) as client:
            assert (client.session or {})["platform"]["id"] == MAIL.platform_id
            standing = await client.api.session()
            assert (standing.session or {})["platform"]["id"] == MAIL.platform_id
            (own,) = await client.api.sessions()
            assert own["platform"]["id"] == "shop"


async def test_a_sign_of_life_is_not_activity() -> None:
    clock = SettableClock()
    async with served(clock=clock) as running, client_of(running, label="agent") as client:
        before = (client.session or {})["last_activity"]
        clock.advance(120)
        session = await client.api.heartbeat({"label": "agent 7", "language": "de"})
        assert session["last_activity"] == before


async def test_without_a_service_there_is_no_answer_and_no_logout() -> None:
    async with served() as running:
        client = Client(running.origin, token=await running.token())
    with pytest.raises(NotConnected):
        await client.api.session()
    with pytest.raises(NotConnected):
        await client.api.logout()
    await client.close()


async def test_an_outage_of_the_store_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_token: str) -> None:
        raise StoreUnavailable

    async with served() as running, client_of(running) as client:
        monkeypatch.setattr(running.manager, "authenticate", away)
        with pytest.raises(StoreUnavailable):
            await client.api.sessions()


async def test_an_address_where_no_service_is() -> None:
    async with served() as running:
        client = Client(running.origin + "/elsewhere", token=await running.token())
        with pytest.raises(NoSuchAddress):
            await client.api.session()
        await client.close()
