"""The promises of sessions: parallel requests, ended sessions, planted ids, anonymous visitors, two tabs. P1 to P8 are the probes that
other session libraries were put to."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime

import pytest
from fastapi import Request

from sessile.integrations.fastapi import CurrentSession
from sessile.model import token as tokens
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, both, set_cookies, site, token_of


def with_routes(here: Site) -> Site:
    app = here.app

    @app.post("/login/{name}")
    async def login(name: str, session: CurrentSession):
        await session.login(name, public={"name": name})
        return {"handle": session.handle}

    @app.post("/logout")
    async def logout(session: CurrentSession):
        return await session.logout()

    @app.get("/me")
    async def me(session: CurrentSession):
        return {"user": session.user_id, "reason": session.reason, "data": dict(session)}

    @app.get("/quiet")
    async def quiet(session: CurrentSession):
        return "nothing of the session is used"

    @app.post("/set/{key}/{value}")
    async def put(key: str, value: str, session: CurrentSession):
        session[key] = value

    @app.post("/slow/{key}/{value}")
    async def slow(key: str, value: str, session: CurrentSession):
        session[key] = value
        here.gate("in").set()
        await here.gate("go").wait()

    @app.post("/basket/{sku}")
    async def basket(sku: str, session: CurrentSession):
        session.setdefault("basket", {})[sku] = 1
        here.gate(sku).set()
        await here.gate("go").wait()

    @app.get("/slow")
    async def slow_read(session: CurrentSession):
        before = session.user_id
        here.gate("in").set()
        await here.gate("go").wait()
        return before

    return here


async def test_p1_an_anonymous_request_that_ignores_the_session_leaves_nothing(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        response = await client.get("/quiet")
        assert set_cookies(response) == []
        assert here.writes == []
        assert here.store.reads == []
        response = await client.get("/me")  # reading leaves nothing either
        assert set_cookies(response) == []
        await client.post("/logout")
        assert here.writes == []


async def test_p2_a_logged_in_request_that_ignores_the_session_writes_nothing(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        here.forget()
        response = await client.get("/quiet")
        assert set_cookies(response) == []
        assert here.store.writes == []
        assert here.store.reads == ["_get_many"]
        assert {"vary", "cache-control"}.isdisjoint(response.headers)


async def test_a_logged_in_request_that_only_reads_sets_no_cookie(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        here.forget()
        response = await client.get("/me")
        assert response.json()["user"] == "ann"
        assert set_cookies(response) == []
        assert here.writes == []


@pytest.mark.parametrize("planted", ["shape", "unknown", "handle", "known handle", "short", "empty"])
@shows_security("C-2", "V-5")
async def test_p3_an_id_from_outside_is_not_adopted(database_url: str, planted: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as victim, here.client() as attacker:
        await attacker.post("/set/a/1")
        known = (await here.record(token_of(attacker))).session_id
        unknown = tokens.uuid7(datetime.now(UTC), secrets.token_bytes(10))
        token = {
            "shape": "ATTACKERCHOSENID",
            "unknown": tokens.make(unknown, secrets.token_bytes(32)),
            "handle": unknown,
            "known handle": tokens.make(known, secrets.token_bytes(32)),
            "short": "x",
            "empty": "",
        }[planted]
        headers = {"cookie": f"sessile={token}"}
        assert (await victim.get("/me", headers=headers)).json() == {"user": None, "reason": "unknown", "data": {}}
        response = await victim.post("/login/victim", headers=headers)
        assert response.status_code == 200
        (cookie,) = set_cookies(response)
        assert cookie.split(";")[0] != f"sessile={token}"
        assert response.json()["handle"] not in {known, unknown}
        for tried in (headers, {"authorization": f"Bearer {token}"}):
            assert (await here.client().get("/me", headers=tried)).json()["user"] is None


@shows_security("C-4", "V-9")
async def test_unknown_ids_leave_no_rows_and_the_wrong_shape_is_never_looked_up(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        for _ in range(200):
            token = tokens.make(tokens.uuid7(datetime.now(UTC), secrets.token_bytes(10)), secrets.token_bytes(32))
            assert (await client.get("/me", headers={"cookie": f"sessile={token}"})).json()["reason"] == "unknown"
            await client.post("/logout", headers={"cookie": f"sessile={token}"})
        # That so many came is noted, once, with a key of the installation that is made for it.
        assert here.writes == ["_kept", "_note"]
        here.forget()
        for shape in ("x" * 6000, "%00", "a.b", "../../etc/passwd"):
            response = await client.get("/me", headers={"cookie": f"sessile={shape}"})
            assert response.json()["reason"] == "unknown"
        assert here.store.reads == []


@shows_security("V-13")
async def test_p4_parallel_writes_to_different_keys_both_survive(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        waiting = asyncio.create_task(client.post("/slow/a/1"))
        await here.gate("in").wait()
        await client.post("/set/b/2")
        here.gate("go").set()
        assert (await waiting).status_code == 200
        assert (await client.get("/me")).json()["data"] == {"a": "1", "b": "2"}


async def test_p4_parallel_setdefaults_of_the_same_new_dict_both_survive(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        waiting = [asyncio.create_task(client.post(f"/basket/{sku}")) for sku in ("a", "b", "c")]
        for sku in ("a", "b", "c"):
            await here.gate(sku).wait()  # all three have begun with a session without a basket
        here.gate("go").set()
        assert [response.status_code for response in await both(*waiting)] == [200, 200, 200]
        assert (await client.get("/me")).json()["data"] == {"basket": {"a": 1, "b": 1, "c": 1}}


@pytest.mark.parametrize("slow", ["read", "write"])
@shows_security("V7.4.1", "V-6")
async def test_p5_a_slow_request_cannot_bring_back_an_ended_session(database_url: str, slow: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        handle = (await client.post("/login/ann")).json()["handle"]
        old = token_of(client)
        late = client.get("/slow") if slow == "read" else client.post("/slow/a/1")
        waiting = asyncio.create_task(late)
        await here.gate("in").wait()
        response = await here.client().post("/logout", headers={"cookie": f"sessile={old}"})
        assert response.json() is True
        here.gate("go").set()
        response = await waiting
        assert response.status_code == 200
        assert set_cookies(response) == []
        after = await client.get("/me", headers={"cookie": f"sessile={old}"})
        assert after.json() == {"user": None, "reason": "ended:logout", "data": {}}
        assert await here.sessions("ann") == []
        assert (await here.audited(handle)).count("session_ended") == 1


async def test_p6_two_tabs_survive_a_login(database_url: str) -> None:
    """Tab B is under way with the anonymous token while tab A logs in; whatever the order, the browser ends up logged in."""
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/set/sku/7")
        old = token_of(client)
        in_flight = asyncio.create_task(client.post("/slow/late/1", headers={"cookie": f"sessile={old}"}))
        await here.gate("in").wait()
        handle = (await client.post("/login/ann")).json()["handle"]
        new = token_of(client)
        assert new != old
        here.gate("go").set()
        late = await in_flight
        assert (late.status_code, set_cookies(late)) == (200, [])
        later = await here.client().get("/me", headers={"cookie": f"sessile={old}"})  # sent before the new cookie came
        assert later.json() == {"user": None, "reason": "superseded", "data": {}}
        assert set_cookies(later) == []
        ended = await here.client().post("/logout", headers={"cookie": f"sessile={old}"})
        assert (ended.json(), set_cookies(ended)) == (False, [])
        assert token_of(client) == new
        assert (await client.get("/me")).json() == {"user": "ann", "reason": None, "data": {"sku": "7"}}
        assert "session_delta_dropped" in await here.audited(handle)  # what the anonymous tab wrote is not Ann's


async def test_p6_a_superseded_view_cannot_be_written_to(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/set/sku/7")
        old = token_of(client)
        await client.post("/login/ann")
        response = await here.client().post("/set/a/1", headers={"cookie": f"sessile={old}"})
        assert response.status_code == 409
        assert response.json()["code"] == "session_read_only"
        assert response.json()["retryable"] is True
        assert set_cookies(response) == []


@shows_security("V7.2.4")
async def test_p6_a_superseded_token_is_no_way_into_the_session_that_it_was(database_url: str) -> None:
    """Who planted an anonymous token on somebody can neither look at, nor end, what became of it after the log-in."""
    async with site(database_url) as here, with_routes(here).client() as victim, here.client() as attacker:

        @here.app.get("/facts")
        async def facts(session: CurrentSession):
            return [
                session.handle,
                session.created_at,
                session.authenticated_at,
                session.platform_id,
                dict(session.public),
            ]

        await attacker.post("/set/a/1")
        planted = {"cookie": f"sessile={token_of(attacker)}"}
        await victim.post("/login/victim", headers=planted)
        assert (await here.client().get("/facts", headers=planted)).json() == [None, None, None, None, {}]
        response = await attacker.post("/login/attacker", headers=planted)
        assert response.status_code == 200
        assert (await victim.get("/me")).json() == {"user": "victim", "reason": None, "data": {"a": "1"}}
        assert (await attacker.get("/me")).json() == {"user": "attacker", "reason": None, "data": {}}


async def test_p6_the_window_begins_when_the_browser_shows_the_new_token(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        await here.manager._touches.write()
        assert (await here.sessions("ann"))[0].token_seen_at is None
        await client.get("/me")
        await here.manager._touches.write()
        assert (await here.sessions("ann"))[0].token_seen_at == here.clock.now()


@shows_security("V7.2.4", "V-6")
async def test_p6_after_the_window_the_old_token_is_unknown(database_url: str) -> None:
    async with site(database_url, rotation_window_s=30) as here, with_routes(here).client() as client:
        await client.post("/set/sku/7")
        old = token_of(client)
        await client.post("/login/ann")
        here.clock.advance(11 * 60)
        response = await here.client().get("/me", headers={"cookie": f"sessile={old}"})
        assert response.json()["reason"] == "unknown"
        assert (await client.get("/me")).json()["user"] == "ann"


async def test_p6_a_rotation_of_the_same_user_disturbs_no_tab(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/rotate")
        async def rotate(session: CurrentSession):
            await session.rotate()

        await client.post("/login/ann")
        old = token_of(client)
        in_flight = asyncio.create_task(client.post("/slow/late/1", headers={"cookie": f"sessile={old}"}))
        await here.gate("in").wait()
        await client.post("/rotate")
        assert token_of(client) != old
        here.gate("go").set()
        late = await in_flight
        assert (late.status_code, set_cookies(late)) == (200, [])
        again = await here.client().post("/rotate", headers={"cookie": f"sessile={old}"})
        assert set_cookies(again) == []  # a retired token gets no successor
        assert (await client.get("/me")).json()["data"] == {"late": "1"}


async def test_p7_with_the_store_away_only_who_uses_the_session_is_disturbed(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        token = token_of(client)
        here.store.is_away = True
        quiet = await client.get("/quiet")
        assert quiet.status_code == 200
        for request in (client.get("/me"), client.post("/set/a/1"), client.post("/logout"), client.post("/login/bob")):
            response = await request
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"] == "2"
            assert response.headers["cache-control"] == "private, no-store"
            assert response.json()["code"] == "store_unavailable"
            assert set_cookies(response) == []
        here.store.is_away = False
        assert token_of(client) == token
        assert (await client.get("/me")).json()["user"] == "ann"


@shows_security("V-15", "V16.5.3")
async def test_p8_a_logout_during_an_outage_is_refused_and_not_half_done(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        token = token_of(client)
        here.store.is_away = True
        assert (await client.post("/logout")).status_code == 503
        here.store.is_away = False
        assert (await client.post("/logout")).json() is True
        assert list(client.cookies.jar) == []
        after = await client.get("/me", headers={"cookie": f"sessile={token}"})
        assert after.json()["reason"] == "ended:logout"


@shows("A03", "A09", "http")
@shows_security("V7.4.1")
async def test_p9_a_session_that_was_ended_elsewhere_is_over(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        assert await here.manager.cleanup_user_sessions("ann") == 1
        response = await client.get("/me")
        assert response.json()["reason"] == "ended:revoked"
        assert set_cookies(response) == []  # the cookie is left alone: a newer one may be on its way


@shows("A08", "A09", "http")
@shows_security("V7.3.1", "N-4")
async def test_expiry_is_decided_by_the_server(database_url: str) -> None:
    settings = {"idle_timeout_s": 100, "absolute_timeout_s": 300, "expiry_warning_s": 10}
    async with site(database_url, **settings) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        headers = {"cookie": f"sessile={token_of(client)}"}
        for _ in range(3):
            here.clock.advance(90)
            assert (await client.get("/me", headers=headers)).json()["user"] == "ann"
            await here.manager._touches.write()
        here.clock.advance(31)
        response = await client.get("/me", headers=headers)
        assert (
            response.json()["reason"] == "expired:absolute"
        )  # activity moves the idle deadline, never the absolute one
        assert set_cookies(response) == []


@shows("A07", "http")
@shows_security("V7.3.1")
async def test_a_request_that_is_no_activity_does_not_move_the_idle_deadline(database_url: str) -> None:
    async with (
        site(database_url, idle_timeout_s=100, expiry_warning_s=10) as here,
        with_routes(here).client() as client,
    ):

        @here.app.get("/poll")
        async def poll(session: CurrentSession):
            session.passive = True
            return session.user_id

        @here.app.get("/poll-by-scope")
        async def poll_by_scope(request: Request, session: CurrentSession):
            request.scope["sessile.passive"] = True
            return session.user_id

        await client.post("/login/ann")
        await client.get("/me")  # the token has been seen now
        await here.manager._touches.write()
        here.clock.advance(90)
        for path in ("/poll", "/poll-by-scope", "/quiet"):
            assert (await client.get(path)).status_code == 200
        await here.manager._touches.write()
        here.clock.advance(11)
        assert (await client.get("/me", headers={"cookie": f"sessile={token_of(client)}"})).json()[
            "reason"
        ] == "expired:idle"
