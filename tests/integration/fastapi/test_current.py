"""The session of the request under way, for code that nobody passed the request to."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import warnings
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sessile import PlatformEntry
from sessile.integrations import starlette as for_starlette
from sessile.integrations.fastapi import (
    current_session,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
)
from sessile.model.errors import ConfigurationError, PlatformRefused, SessionClosed
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, site, token_of
from tests.integration.fastapi.test_sockets import Peer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client warns about the library below it when it is imported
    from starlette.testclient import TestClient

ACCESSORS = (
    current_session, get_current_platform_id, get_current_session_context, get_current_user_id, is_session_authenticated,
)  # fmt: skip


ACCOUNTS = [PlatformEntry(platform_id="one", name="One", is_default=True), PlatformEntry(platform_id="two", name="Two")]


def deep_inside() -> list[Any]:
    """Business code that knows of no request."""
    return [get_current_user_id(), get_current_platform_id(), is_session_authenticated()]


def told(context: Any) -> Any:
    return context and [context.session.session_id, context.user, context.platform and context.platform["id"]]


def with_routes(here: Site) -> Site:
    app = here.app

    @app.post("/login/{name}")
    async def login(name: str):
        await current_session().login(name, public={"name": name})

    @app.get("/coroutine")
    async def coroutine():
        return [*deep_inside(), told(await get_current_session_context())]

    @app.get("/thread")
    def thread():
        context: Any = get_current_session_context()
        return [*deep_inside(), told(context)]

    @app.get("/quiet")
    async def quiet():
        assert current_session() is not None

    return here


@shows("D02", "http")
async def test_handlers_of_both_kinds_know_who_is_here(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await here.manager.sync_platforms("ann", ACCOUNTS)
        for path in ("/coroutine", "/thread"):
            assert (await here.client().get(path)).json() == [None, None, False, None]
        await client.post("/login/ann")
        handle = (await here.record(token_of(client))).session_id
        for path in ("/coroutine", "/thread"):
            answer = await client.get(path)
            assert answer.json() == ["ann", "one", True, [handle, {"name": "ann"}, "one"]]
            assert answer.headers["cache-control"] == "private, no-store", "asking who is here is a use of the session"
            tab = await client.get(path, headers={"sessile-platform": "two"})
            assert tab.json() == ["ann", "two", True, [handle, {"name": "ann"}, "two"]]


async def test_finding_the_session_is_not_yet_a_use_of_it(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        assert {"vary", "cache-control"}.isdisjoint((await client.get("/quiet")).headers)


@pytest.mark.parametrize("ask", ACCESSORS)
async def test_outside_of_a_request_the_way_out_is_named(ask: Any) -> None:
    async with site() as here, with_routes(here).client() as client:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="manager"):
                ask()
            await client.get("/quiet")  # in this very task: nothing of it stays behind


def test_an_application_without_sessile_has_no_current_session() -> None:
    app = FastAPI()

    @app.get("/")
    async def handler():
        return get_current_user_id()

    with pytest.raises(ConfigurationError, match=r"Sessile\(app\)"):
        TestClient(app).get("/")


@shows_security("V16.5.2")
async def test_an_outage_is_not_nobody(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        here.store.is_away = True
        for path in ("/coroutine", "/thread"):
            assert (await client.get(path)).status_code == 503


async def test_a_refused_platform_comes_out_of_the_context_too() -> None:
    async with site() as here, with_routes(here).client() as client:

        @here.app.get("/context")
        async def context():
            with pytest.raises(PlatformRefused):
                await get_current_session_context()

        await client.post("/login/ann")
        assert (await client.get("/context", headers={"sessile-platform": "none"})).status_code == 200


USERS = 24
"""As many handlers are in the middle of their work at once; fewer than the threads there are."""


@shows("D02", "http")
@shows_security("V-17")
async def test_requests_at_once_are_never_mixed(rng: random.Random) -> None:
    async with site() as here, here.client() as client:
        met, met_in_threads = asyncio.Barrier(USERS), threading.Barrier(USERS)

        @here.app.get("/meet")
        async def meet():
            before = deep_inside()
            await met.wait()
            context = await get_current_session_context()
            return [before, deep_inside(), context and context.user]

        @here.app.get("/meet-in-threads")
        def meet_in_threads():
            before = deep_inside()
            met_in_threads.wait(30)
            context: Any = get_current_session_context()
            return [before, deep_inside(), context.user]

        names = [f"user-{number}" for number in range(USERS)]
        tokens = {name: (await here.manager.create_session(name, public={"own": name})).token for name in names}
        for path in ("/meet", "/meet-in-threads"):
            rng.shuffle(names)
            answers = await asyncio.gather(
                *(client.get(path, headers={"cookie": f"sessile={tokens[name]}"}) for name in names)
            )
            who = [[name, None, True] for name in names]
            facts = [{"id": name, "own": name} for name in names]
            assert [answer.json()[:2] for answer in answers] == [[one, one] for one in who]
            assert [answer.json()[2] | {"id": name} for name, answer in zip(names, answers, strict=True)] == facts


async def test_what_a_request_leaves_behind_sees_its_session_and_cannot_change_it() -> None:
    async with site() as here, with_routes(here).client() as client:
        left: list[asyncio.Task[str | None]] = []
        answered = asyncio.Event()

        async def later() -> str | None:
            await answered.wait()
            with pytest.raises(SessionClosed):
                current_session()["late"] = 1
            return get_current_user_id()

        @here.app.get("/leave")
        async def leave():
            left.append(asyncio.create_task(later()))
            return get_current_user_id()

        await client.post("/login/ann")
        await client.get("/leave")
        answered.set()
        assert await left[0] == "ann"


async def test_middleware_inside_and_dependencies_have_one_too() -> None:
    async with site() as here:
        app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse(str(get_current_user_id())))])
        app.add_middleware(BaseHTTPMiddleware, dispatch=_named)
        for_starlette.Sessile(app, here.manager)
        issued = await here.manager.create_session("ann")
        async with here.client(asgi=app) as client:
            response = await client.get("/", headers={"cookie": f"sessile={issued.token}"})
        assert (response.text, response.headers["x-user"]) == ("ann", "ann")


async def _named(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["x-user"] = str(get_current_user_id())
    return response


@shows("D02", "socket")
async def test_a_socket_has_one_too(database_url: str) -> None:
    async with site(database_url) as here:

        @here.app.websocket("/live")
        async def live(socket: WebSocket):
            await socket.accept()
            await socket.send_json([get_current_user_id(), told(await get_current_session_context())])
            await socket.close()

        issued = await here.manager.create_session("ann", public={"name": "Ann"})
        peer = Peer(here, "/live", ("cookie", f"sessile={issued.token}"))
        assert (await peer.hear())["type"] == "websocket.accept"
        said = json.loads((await peer.hear())["text"])
        assert said == ["ann", [issued.session.session_id, {"name": "Ann"}, None]]
        await peer.task
