"""Old cookies in requests: replaced at first use, nobody is logged out by it, and nobody is let in who should not be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import WebSocket

from sessile.engine.legacy import Import
from sessile.integrations.fastapi import CurrentSession
from sessile.model.errors import ConfigurationError
from sessile.model.legacy import Arrival, LegacyKind, hash_legacy
from sessile.model.values import encode
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.testing.shows import shows_security
from sessile.web.blocking_session import BlockingSession, finished
from sessile.web.cookies import CookiePolicy
from sessile.web.legacy_guessing import FAILED_MAX
from sessile.web.private import cookie_of
from sessile.web.wsgi import scope_of
from tests.integration.fastapi.site import START, Site, set_cookies, site, token_of
from tests.unit.moving.test_signed import MAKERS, SECRET

OLD = "A" * 43
ORIGIN = {"origin": "http://testserver"}


@asynccontextmanager
async def moved(**settings: Any) -> AsyncIterator[Site]:
    """A site with some routes, to which ada was moved with the old cookie `session`."""
    chosen = {"legacy_cookies": {"session": "flask-session"}, **settings}
    async with site(**chosen) as at:

        @at.app.get("/who")
        async def who(session: CurrentSession) -> dict[str, Any]:
            return {"user": session.user_id, "reason": session.reason, "n": session.get("n")}

        @at.app.get("/plain")
        async def plain() -> str:
            return "the same for everybody"

        @at.app.post("/add")
        async def add(session: CurrentSession) -> None:
            session["n"] = session.get("n", 0) + 1

        @at.app.post("/logout")
        async def logout(session: CurrentSession) -> None:
            await session.logout()

        @at.app.get("/fails")
        async def fails(session: CurrentSession) -> None:
            assert session.user_id is not None
            raise RuntimeError

        @at.app.websocket("/socket")
        async def socket(socket: WebSocket, session: CurrentSession) -> None:
            await socket.accept()
            await socket.send_json({"user": session.user_id})
            await socket.close()

        arrival = Arrival(hash=hash_legacy(OLD), user_id="ada", data=encode({"n": 1}))
        run = Import(at.manager.legacy.new_run_id(), LegacyKind.FLASK_SESSION, at.clock.now() + timedelta(days=14))
        await at.manager.legacy.take_over(run, [arrival])
        yield at


def cookie(value: str, name: str = "session") -> dict[str, str]:
    return {"cookie": f"{name}={value}"}


async def test_the_first_response_carries_a_token_and_forgets_the_old_cookie() -> None:
    async with moved() as at, at.client() as browser:
        browser.cookies.set("session", OLD, domain="testserver.local", path="/")
        first = await browser.get("/who")
        assert first.json() == {"user": "ada", "reason": None, "n": 1}
        given, forgotten = set_cookies(first)
        assert given.startswith("sessile=")
        assert forgotten == "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        assert first.headers["cache-control"] == "private, no-store"
        assert [one.name for one in browser.cookies.jar] == ["sessile"]
        assert (await browser.post("/add")).status_code == 200
        assert (await browser.get("/who")).json()["n"] == 2
        record = await at.record(token_of(browser))
        assert record.authenticated_at is None, "nobody has proved who they are"


async def test_a_route_that_does_not_use_the_session_carries_it_too() -> None:
    async with moved() as at, at.client() as browser:
        response = await browser.get("/plain", headers=cookie(OLD))
        assert len(set_cookies(response)) == 2
        assert response.headers["cache-control"] == "private, no-store"
        assert response.headers["vary"] == "Cookie"
        bare = await browser.get("/plain", headers={"cookie": "other=1"})
        assert set_cookies(bare) == []
        assert "cache-control" not in bare.headers


async def test_requests_at_once_stay_logged_in_and_one_of_them_gets_the_token() -> None:
    async with moved() as at, at.client() as browser:
        responses = await asyncio.gather(*(browser.get("/who", headers=cookie(OLD)) for _ in range(8)))
        assert [response.json()["user"] for response in responses] == ["ada"] * 8
        assert sorted(len(set_cookies(response)) for response in responses) == [0] * 7 + [2]
        changes = await asyncio.gather(*(browser.post("/add", headers=cookie(OLD)) for _ in range(2)))
        assert [change.status_code for change in changes] == [200, 200]


async def test_after_the_window_the_old_cookie_is_worth_nothing() -> None:
    async with moved() as at, at.client() as browser, at.client() as thief:
        await browser.get("/who", headers=cookie(OLD))
        token = token_of(browser)
        await browser.get("/who")
        await asyncio.sleep(0)
        await at.manager.close()  # writes what was seen of the token
        await at.manager.open()
        at.clock.advance(31)
        assert (await thief.get("/who", headers=cookie(OLD))).json() == {"user": None, "reason": "unknown", "n": None}
        assert (await browser.get("/who")).json()["user"] == "ada"
        assert "authn_token_reuse" in await at.audited((await at.record(token)).session_id)


async def test_a_failed_handler_costs_nobody_the_session() -> None:
    async with moved() as at, at.client(raising=False) as browser:
        assert (await browser.get("/fails", headers=cookie(OLD))).status_code == 500
        assert (await browser.get("/who", headers=cookie(OLD))).json()["user"] == "ada"
        at.clock.advance(3600)
        again = await browser.get("/who", headers=cookie(OLD))
        assert (again.json()["user"], len(set_cookies(again))) == ("ada", 2)
        assert (await browser.get("/who")).json()["user"] == "ada"


async def test_an_outage_is_never_nobody() -> None:
    async with moved() as at, at.client() as browser:
        at.store.is_away = True
        for path in ("/who", "/api/session_state"):
            response = await browser.get(path, headers=cookie(OLD))
            assert response.status_code == 503
            assert set_cookies(response) == []
        assert (await browser.get("/plain", headers=cookie(OLD))).status_code == 200
        at.store.is_away = False
        assert (await browser.get("/who", headers=cookie(OLD))).json()["user"] == "ada"


@shows_security("V7.4.1")
async def test_a_logout_is_final_for_the_old_cookie_too() -> None:
    async with moved() as at, at.client() as browser:
        response = await browser.post("/logout", headers=cookie(OLD))
        assert response.status_code == 200
        assert any(header.startswith("sessile=;") for header in set_cookies(response))
        told = (await browser.get("/who", headers=cookie(OLD))).json()
        assert told == {"user": None, "reason": "ended:logout", "n": None}


@pytest.mark.parametrize(
    "header",
    [
        f"session={OLD}; session={'B' * 43}",
        f"session=short; other={OLD}",
        f"session={'B' * 43}",
        f"Session={OLD}",
        f"=session={OLD}; session={OLD}",
        f"sessile={OLD}",
    ],
)
async def test_what_is_not_that_cookie_is_nobodys(header: str) -> None:
    async with moved() as at, at.client() as browser:
        assert (await browser.get("/who", headers={"cookie": header})).json()["user"] is None


async def test_the_same_value_twice_and_in_quotes_is_one() -> None:
    async with moved() as at, at.client() as browser:
        header = {"cookie": f'session={OLD}; session="{OLD}"'}
        assert (await browser.get("/who", headers=header)).json()["user"] == "ada"


async def test_a_cookie_of_ours_goes_before_it() -> None:
    async with moved() as at, at.client() as browser:
        eve = await at.manager.create_session("eve")
        both = {"cookie": f"session={OLD}; sessile={eve.token}"}
        assert (await browser.get("/who", headers=both)).json()["user"] == "eve"
        await at.manager.destroy_session(eve.session.session_id)
        assert (await browser.get("/who", headers=both)).json()["reason"] == "ended:logout"
        two = {"cookie": f"session={OLD}; sessile={eve.token}; sessile={eve.token[:-1]}A"}
        assert (await browser.get("/who", headers=two)).json()["reason"] == "duplicate_cookie"


async def test_the_name_may_go_on_being_used() -> None:
    async with moved(legacy_cookies={"sid": "flask-session"}, cookie_name="sid") as at, at.client() as browser:
        first = await browser.get("/who", headers=cookie(OLD, "sid"))
        assert first.json()["user"] == "ada"
        assert len(set_cookies(first)) == 1, "the new one replaces it"
        assert (await browser.get("/who")).json()["user"] == "ada"


async def test_nothing_is_recognised_that_was_not_named() -> None:
    async with moved(legacy_cookies={}) as at, at.client() as browser:
        at.forget()
        assert (await browser.get("/who", headers=cookie(OLD))).json() == {
            "user": None,
            "reason": "no_cookie",
            "n": None,
        }
        assert at.store.reads == []


async def test_under_https_the_safe_name_is_given_and_elsewhere_nothing() -> None:
    async with moved(legacy_cookie_domain=".example.org") as at:
        async with at.client(host="example.org") as lan:
            assert (await lan.get("/who", headers=cookie(OLD))).json()["user"] is None
        async with at.client(scheme="https", host="example.org") as browser:
            given, forgotten = set_cookies(await browser.get("/who", headers=cookie(OLD)))
            assert given.startswith("__Host-Http-sessile=")
            assert "Domain=.example.org; Secure" in forgotten


async def test_the_service_knows_who_it_is_and_asks_where_a_request_comes_from() -> None:
    async with moved() as at, at.client() as browser:
        state = (await browser.get("/api/session_state", headers=cookie(OLD))).json()
        assert state["success"] is True
        forged = {**cookie(OLD), "origin": "https://evil.example"}
        assert (await browser.post("/api/v0/session/refresh", headers=forged, json={})).status_code == 403
        assert (await browser.post("/api/v0/session/refresh", headers=cookie(OLD), json={})).status_code == 403
        first = await browser.get("/who", headers=cookie(OLD))
        assert len(set_cookies(first)) == 2, "looking did not use it up"


async def test_a_socket_is_let_in_without_using_it_up_and_not_from_elsewhere() -> None:
    async with moved() as at, at.client() as browser:
        said = await _socket(at, "/socket", {**cookie(OLD), **ORIGIN})
        assert [message["type"] for message in said] == ["websocket.accept", "websocket.send", "websocket.close"]
        assert json.loads(said[1]["text"]) == {"user": "ada"}
        forged = await _socket(at, "/ws", {**cookie(OLD), "origin": "https://evil.example"})
        assert "websocket.accept" not in [message["type"] for message in forged]
        assert (await _socket(at, "/ws", {**cookie(OLD), **ORIGIN}))[0]["type"] == "websocket.accept"
        response = await browser.get("/who", headers=cookie(OLD))
        assert (response.json()["user"], len(set_cookies(response))) == ("ada", 2)


async def _socket(at: Site, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What a socket is told that leaves at once."""
    said: list[dict[str, Any]] = []
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": path, "raw_path": path.encode(),
        "root_path": "", "query_string": b"", "client": ("127.0.0.1", 1), "server": ("testserver", 80), "subprotocols": [], "state": {},
        "extensions": {}, "headers": [(b"host", b"testserver"), *((k.encode(), v.encode()) for k, v in headers.items())],
    }  # fmt: skip
    await at.app(scope, receive, send)
    return said


@pytest.mark.parametrize("kind", sorted(MAKERS))
async def test_a_signed_cookie_begins_a_session_when_it_arrives(kind: LegacyKind) -> None:
    user_key = "_auth_user_id" if kind is LegacyKind.DJANGO_COOKIE else "user_id"
    signed = await MAKERS[kind]({user_key: "ada", "n": 5})
    settings: dict[str, Any] = {
        "legacy_cookies": {"session": kind},
        "legacy_secrets": ["a newer one", SECRET],
        "legacy_until": START + timedelta(days=3650),
        "legacy_max_age_s": 3650 * 86400,
    }
    async with moved(**settings) as at, at.client() as browser:
        await _to_now(at)
        responses = await asyncio.gather(*(browser.get("/who", headers=cookie(signed)) for _ in range(5)))
        assert [response.json()["user"] for response in responses] == ["ada"] * 5
        assert [response.json()["n"] for response in responses] == [5] * 5
        assert sorted(len(set_cookies(response)) for response in responses) == [0] * 4 + [2]
        assert len([one for one in await at.sessions("ada") if one.version > 1]) == 1
        await browser.post("/logout")
        assert (await browser.get("/who", headers=cookie(signed))).json()["reason"] == "ended:logout"
        for bad in (signed[:-3] + "AAA", "x", signed + "x"):
            assert (await browser.get("/who", headers=cookie(bad))).json()["user"] is None
        at.store.is_away = True
        assert (await browser.get("/who", headers=cookie(signed))).status_code == 503


async def _to_now(at: Site) -> None:
    """The libraries that sign know the system's clock only."""
    from datetime import UTC, datetime

    at.clock.time = datetime.now(UTC)


async def test_signed_cookies_are_accepted_no_longer_than_was_said() -> None:
    signed = await MAKERS[LegacyKind.FLASK_COOKIE]({"user_id": "eve"})
    settings: dict[str, Any] = {
        "legacy_cookies": {"session": "flask-cookie"},
        "legacy_secrets": [SECRET],
        "legacy_until": START,
    }
    async with moved(**settings) as at, at.client() as browser:
        await _to_now(at)
        assert (await browser.get("/who", headers=cookie(signed))).json()["user"] is None
        assert await at.sessions("eve") == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"legacy_cookies": {"session": "flask-cookie"}, "legacy_until": START}, "legacy_secrets"),
        ({"legacy_cookies": {"session": "flask-cookie"}, "legacy_secrets": ["x"]}, "legacy_until"),
        ({"legacy_cookies": {"se;ssion": "flask-session"}}, "a cookie's name"),
        ({"legacy_cookies": {"session": "cobol"}}, "LEGACY_COOKIES"),
        ({"legacy_secrets": "[1"}, "LEGACY_SECRETS"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Settings(**settings)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSILE_LEGACY_COOKIES", json.dumps({"session": "flask-cookie"}))
    monkeypatch.setenv("SESSILE_LEGACY_UNTIL", "2026-04-01T00:00:00+00:00")
    for text, secrets in (("one, with a comma", ["one, with a comma"]), ('["a", "b"]', ["a", "b"])):
        monkeypatch.setenv("SESSILE_LEGACY_SECRETS", text)
        settings = Settings()
        assert [secret.get_secret_value() for secret in settings.legacy_secrets] == secrets
        assert "comma" not in repr(settings) + json.dumps(settings.model_dump(mode="json"))


async def test_who_asks_with_a_bearer_token_is_not_looked_at_twice() -> None:
    async with moved() as at, at.client() as browser:
        eve = await at.manager.create_session("eve")
        headers = {**cookie(OLD), "authorization": f"Bearer {eve.token}"}
        response: httpx.Response = await browser.get("/who", headers=headers)
        assert (response.json()["user"], set_cookies(response)) == ("eve", [])


def test_blocking_frameworks_do_the_same_at_the_first_use() -> None:
    settings = Settings(database_url="memory://", legacy_cookies={"session": LegacyKind.FLASK_SESSION})
    with SessionManager(settings) as manager:
        run = Import(manager.legacy.new_run_id(), LegacyKind.FLASK_SESSION, manager.clock.now() + timedelta(days=14))
        manager.legacy.take_over(run, [Arrival(hash=hash_legacy(OLD), user_id="ada")])
        unused, used, other = (_blocking(manager) for _ in range(3))
        assert cookie_of(unused) == []
        assert used.user_id == "ada"
        (_, given), (_, forgotten) = cookie_of(used)
        assert given.startswith(b"sessile=")
        assert forgotten.startswith(b"session=; Path=/; Max-Age=0")
        assert used.accessed
        assert (other.user_id, cookie_of(other)) == ("ada", [])
        assert unused.user_id == "ada", "it is under way, too"
        assert used.logout() is True
        assert _blocking(manager).reason == "ended:logout"


def _blocking(manager: SessionManager) -> BlockingSession:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "localhost", "HTTP_COOKIE": f"session={OLD}"}
    return BlockingSession(finished(manager), CookiePolicy(manager.settings), scope_of(environ))


async def tried(at: Site, address: str, count: int, *, same: bool = False) -> list[int]:
    """The statuses of requests with old ids that nobody has, from that address."""
    transport = httpx.ASGITransport(at.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return [
            (await client.get("/who", headers={"cookie": f"session={0 if same else number:043d}"})).status_code
            for number in range(count)
        ]


async def test_guesses_of_old_ids_are_limited_for_each_address() -> None:
    async with moved() as at:
        assert await tried(at, "8.8.8.8", FAILED_MAX + 2) == [200] * FAILED_MAX + [429] * 2
        at.forget()
        assert await tried(at, "8.8.8.8", 1) == [429]
        assert at.store.reads == [], "nobody asks the store for one who is over the limit"
        assert await tried(at, "9.9.9.9", 1) == [200]
        transport = httpx.ASGITransport(at.app, client=("8.8.8.8", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            good = await client.get("/who", headers={"cookie": f"session={OLD}"})
            assert (good.status_code, good.json()["code"]) == (429, "too_many"), "not: nobody is logged in"
            assert (await client.get("/plain", headers={"cookie": f"session={OLD}"})).status_code == 200
            at.clock.advance(61)
            assert (await client.get("/who", headers={"cookie": f"session={OLD}"})).json()["user"] == "ada"


async def test_a_stale_cookie_is_no_guess_and_a_proxy_is_everybody() -> None:
    async with moved() as at:
        assert await tried(at, "8.8.8.8", FAILED_MAX + 2, same=True) == [200] * (FAILED_MAX + 2)
        for proxy in ("127.0.0.1", "10.0.0.7", "unix"):
            assert set(await tried(at, proxy, FAILED_MAX + 2)) == {200}
