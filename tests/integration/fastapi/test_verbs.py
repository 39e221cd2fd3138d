"""What the session can do: login, logout, rotation, saving, documents; with cookies and with bearer tokens."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import Depends

from sessile.integrations.fastapi import CurrentSession, require_fresh, require_user
from sessile.model.errors import DocumentNotFound, SessionEnded
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, set_cookies, site, token_of


def with_routes(here: Site) -> Site:
    app = here.app

    @app.post("/login/{name}")
    async def login(name: str, session: CurrentSession):
        await session.login(name, public={"name": name})

    @app.post("/set/{key}/{value}")
    async def put(key: str, value: str, session: CurrentSession):
        session[key] = value

    @app.get("/me")
    async def me(session: CurrentSession):
        return {"user": session.user_id, "reason": session.reason, "data": dict(session), "handle": session.handle}

    @app.post("/logout")
    async def logout(session: CurrentSession):
        return await session.logout()

    return here


async def me(client: Any, token: str | None = None) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    found: dict[str, Any] = (await client.get("/me", headers=headers)).json()
    return found


async def test_the_first_write_of_an_anonymous_visitor_makes_the_session(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        (cookie,) = set_cookies(await client.post("/set/a/1"))
        assert cookie.startswith("sessile=")
        assert cookie.endswith("; Path=/; Max-Age=172800; HttpOnly; SameSite=Lax")
        assert set_cookies(await client.post("/set/b/2")) == []
        found = await me(client)
        assert (found["user"], found["reason"], found["data"]) == (None, "anonymous", {"a": "1", "b": "2"})


@shows_security("V7.2.4")
async def test_login_keeps_the_basket_and_changes_the_token(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/set/a/1")
        old, handle = token_of(client), (await me(client))["handle"]
        (cookie,) = set_cookies(await client.post("/login/ann"))
        assert token_of(client) != old
        assert old not in cookie
        found = await me(client)
        assert (found["user"], found["data"], found["handle"]) == ("ann", {"a": "1"}, handle)
        again = token_of(client)
        await client.post("/login/ann")  # the same user proves it again: a new token too (ASVS 7.2.4)
        assert token_of(client) not in {old, again}
        assert (await me(client))["handle"] == handle


async def test_a_login_as_somebody_else_takes_nothing_along(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/switch")
        async def switch(session: CurrentSession):
            session["written by ann"] = 1
            await session.login("bob")
            seen = dict(session)
            session["written by bob"] = 1
            return seen

        await client.post("/login/ann")
        await client.post("/set/a/1")
        old = await me(client)
        assert (await client.post("/switch")).json() == {}
        new = await me(client)
        assert (new["user"], new["data"]) == ("bob", {"written by bob": 1})
        assert new["handle"] != old["handle"]
        with pytest.raises(SessionEnded, match="ended"):
            await here.manager.get_session(old["handle"])


async def test_references_from_before_the_login_are_still_tracked(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/shop")
        async def shop(session: CurrentSession):
            basket = session.setdefault("basket", {})
            basket["before"] = 1
            await session.login("ann")
            basket["between"] = 2
            await session.save()
            basket["after"] = 3

        await client.post("/shop")
        assert (await me(client))["data"] == {"basket": {"before": 1, "between": 2, "after": 3}}


async def test_keys_that_a_login_drops_are_gone_in_the_request_itself(database_url: str) -> None:
    async with site(database_url, anonymous_keys_dropped=("captcha",)) as here, with_routes(here).client() as client:

        @here.app.post("/enter")
        async def enter(session: CurrentSession):
            session["a"] = session["captcha"]
            await session.login("ann")
            return dict(session)

        await client.post("/set/captcha/7")
        assert (await client.post("/enter")).json() == {"a": "7"}
        assert (await me(client))["data"] == {"a": "7"}


@shows("A09", "http")
@shows_security("C-8", "V7.4.1")
async def test_logout_ends_the_session_and_takes_the_cookie_away(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        token = token_of(client)
        response = await client.post("/logout")
        assert set_cookies(response) == ["sessile=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]
        assert (await me(here.client(), token))["reason"] == "ended:logout"
        again = await client.post("/logout")
        assert (again.json(), set_cookies(again)) == (False, [])


async def test_what_is_written_after_a_logout_begins_a_new_session(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/bye")
        async def bye(session: CurrentSession):
            session["lost"] = 1
            await session.logout()
            assert dict(session) == {}
            session["message"] = "You are logged out."

        await client.post("/login/ann")
        old = await me(client)
        assert len(set_cookies(await client.post("/bye"))) == 1
        new = await me(client)
        assert (new["user"], new["data"]) == (None, {"message": "You are logged out."})
        assert new["handle"] != old["handle"]


async def test_login_and_logout_in_one_request_leave_no_cookie(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/both")
        async def in_and_out(session: CurrentSession):
            await session.login("ann")
            return await session.logout()

        response = await client.post("/both")
        assert response.json() is True
        assert set_cookies(response) == ["sessile=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]
        assert await here.sessions("ann") == []


async def test_a_bearer_token_is_a_session_without_cookies(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        issued = await here.manager.create_session("svc")
        headers = {"authorization": f"Bearer {issued.token}"}
        response = await client.post("/set/a/1", headers=headers)
        assert (response.status_code, set_cookies(response)) == (200, [])
        assert (await me(client, issued.token))["data"] == {"a": "1"}
        response = await client.post("/login/other", headers=headers)
        assert (response.status_code, response.json()["code"]) == (409, "session_update_failed")
        response = await client.post("/logout", headers=headers)
        assert (response.json(), set_cookies(response)) == (True, [])
        assert (await me(client, issued.token))["reason"] == "ended:logout"


async def test_a_bearer_token_of_the_applications_own_leaves_the_cookie_alone(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        assert (await me(client, "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"))["user"] == "ann"
        issued = await here.manager.create_session("svc")
        assert (await me(client, issued.token))["user"] == "svc"


async def test_a_delta_of_the_application_commits_when_it_asks(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/save")
        async def save(session: CurrentSession):
            session["a"] = {"b": 1}
            states = [session.modified]
            await session.save()
            states.append(session.modified)
            assert session.handle is not None
            stored = await here.manager.get_session(session.handle)
            session["a"]["c"] = 2
            return [*states, session.modified, stored.data.decode()]

        assert (await client.post("/save")).json() == [True, False, True, '{"a":{"b":1}}']
        assert (await me(client))["data"] == {"a": {"b": 1, "c": 2}}


async def test_save_says_that_the_session_is_over(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/save")
        async def save(session: CurrentSession):
            session["a"] = 1
            assert session.handle is not None
            await here.manager.destroy_session(session.handle)
            await session.save()

        await client.post("/login/ann")
        response = await client.post("/save")
        assert (response.status_code, response.json()["code"], response.json()["reason"]) == (
            401,
            "session_ended",
            "logout",
        )


async def test_documents_belong_to_whoever_the_session_stands_for(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as ann, here.client() as bob:

        @here.app.get("/documents")
        async def listed(session: CurrentSession):
            return [document.name for document in await session.documents.list()]

        @here.app.post("/documents/{name}")
        async def opened(name: str, session: CurrentSession):
            document = await session.documents.open(name, default={"step": 1})
            await session.documents.change(document.document_id, [{"op": "increment", "path": "/step", "by": 1}])
            return {
                "id": document.document_id,
                "state": dict((await session.documents.get(document.document_id)).state),
            }

        @here.app.get("/documents/{document_id}")
        async def one(document_id: str, session: CurrentSession):
            saved = await session.documents.checkpoint(document_id, label="here", request_id="r1")
            kept = await session.documents.checkpoints(document_id)
            restored = await session.documents.restore(document_id, saved.checkpoint_id, dry_run=True)
            lines = await session.documents.log(document_id)
            conflicts = await session.documents.conflicts(document_id)
            return [len(kept), len(restored.differences), len(lines), len(conflicts)]

        assert (await ann.get("/documents")).json() == []
        assert here.writes == []
        made = (await ann.post("/documents/intake")).json()  # an anonymous visitor gets a session with it
        assert made["state"] == {"step": 2}
        assert (await me(ann))["reason"] == "anonymous"
        await ann.post("/login/ann")
        assert (await ann.get("/documents")).json() == ["intake"]  # and keeps it
        assert (await ann.get(f"/documents/{made['id']}")).json() == [1, 0, 1, 0]
        assert (await bob.get(f"/documents/{made['id']}")).status_code == 404
        await bob.post("/login/bob")
        foreign = await bob.get(f"/documents/{made['id']}")
        assert (foreign.status_code, foreign.json()["code"]) == (404, DocumentNotFound.code)
        assert (await bob.get("/documents")).json() == []


async def test_documents_can_be_renamed_and_archived(database_url: str) -> None:
    async with site(database_url) as here, here.client() as client:

        @here.app.post("/")
        async def handler(session: CurrentSession):
            document = await session.documents.open("a")
            await session.documents.rename(document.document_id, "b")
            names = [one.name for one in await session.documents.list()]
            await session.documents.archive(document.document_id)
            return [names, [one.name for one in await session.documents.list()]]

        assert (await client.post("/")).json() == [["b"], []]


@shows_security("V7.5.1", "V7.5.3")
async def test_what_a_route_requires(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.get("/mine", dependencies=[Depends(require_user)])
        async def mine():
            return "yours"

        @here.app.get("/who")
        async def who(user_id: str = Depends(require_user)):
            return user_id

        @here.app.get("/danger", dependencies=[Depends(require_fresh(300))])
        async def danger():
            return "done"

        response = await client.get("/mine")
        assert (response.status_code, response.json()["reason"]) == (401, "no_cookie")
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["www-authenticate"] == "Bearer"
        await client.post("/set/a/1")
        assert (await client.get("/danger")).json()["reason"] == "anonymous"
        await client.post("/login/ann")
        token = token_of(client)
        headers = {"authorization": f"Bearer {token}"}
        assert (await client.get("/who", headers=headers)).json() == "ann"
        here.clock.advance(300)
        assert (await client.get("/danger", headers=headers)).json() == "done"
        here.clock.advance(1)
        response = await client.get("/danger", headers=headers)
        assert (response.status_code, response.json()["code"], response.json()["max_age_s"]) == (
            403,
            "freshness_required",
            300,
        )
        assert (await client.get("/mine", headers=headers)).json() == "yours"
        here.store.is_away = True
        assert (await client.get("/mine", headers=headers)).status_code == 503


@shows_security("K-3", "V-19")
async def test_two_cookies_of_our_name_are_no_session(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        token = token_of(client)
        for cookie in (f"sessile={token}; sessile={token}", f"sessile={token}; =sessile=x"):
            response = await here.client().get("/me", headers={"cookie": cookie})
            assert (response.json()["user"], response.json()["reason"]) == (None, "duplicate_cookie")
            assert set_cookies(response) == []


@shows_security("V3.3.1", "V3.3.3", "K-1")
async def test_https_gets_the_prefixed_cookie_and_believes_no_other(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client(scheme="https", host="app.example") as client:
        (cookie,) = set_cookies(await client.post("/login/ann"))
        assert cookie.startswith("__Host-Http-sessile=")
        assert cookie.endswith("; Path=/; Max-Age=172800; HttpOnly; Secure; SameSite=Lax")
        token = token_of(client)
        other = await here.client(scheme="https", host="app.example").get("/me", headers={"cookie": f"sessile={token}"})
        assert other.json()["reason"] == "no_cookie"


@shows_security("V3.3.1", "N-5")
async def test_plain_http_on_another_host_is_refused_before_anything_is_made(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client(host="192.168.1.5:8000") as client:
        for path in ("/login/ann", "/set/a/1"):
            response = await client.post(path)
            assert (response.status_code, response.json()["code"]) == (500, "configuration")
            assert "SESSILE_INSECURE_LAN" in response.json()["message"]
            assert set_cookies(response) == []
        assert here.writes == []
        assert (await client.get("/me")).status_code == 200


async def test_insecure_lan_lets_it_through(database_url: str) -> None:
    async with (
        site(database_url, insecure_lan=True) as here,
        with_routes(here).client(host="192.168.1.5:8000") as client,
    ):
        await client.post("/login/ann")
        assert (await me(client))["user"] == "ann"
