"""Every kind of handler: threads, streams, errors, background tasks; and what is saved when."""

from __future__ import annotations

import logging
import warnings
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sessile.integrations import starlette as for_starlette
from sessile.integrations.fastapi import CurrentSession, Sessile, require_user
from sessile.model.errors import ConfigurationError, SessionClosed, StoreUnavailable
from sessile.testing import shows
from tests.integration.fastapi.site import Site, set_cookies, site

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client warns about the library below it when it is imported
    from starlette.testclient import TestClient


def with_routes(here: Site) -> Site:
    @here.app.get("/data")
    async def data(session: CurrentSession):
        return {"user": session.user_id, **session}

    @here.app.post("/login/{name}")
    async def login(name: str, session: CurrentSession):
        await session.login(name)

    return here


async def test_def_handlers_call_the_verbs_plainly(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        router = APIRouter(prefix="/thread", dependencies=[Depends(require_user)])

        @here.app.post("/enter/{name}")
        def enter(name: str, session: CurrentSession):
            assert session.login(name, public={"name": name}) is None
            session.setdefault("basket", {})["a"] = 1
            assert session.save() is None
            session["basket"]["b"] = 2
            return session.user_id

        @router.get("/intake")
        def intake(session: CurrentSession):
            document: Any = session.documents.open("intake", default={"step": 1})
            session.documents.change(document.document_id, [{"op": "set", "path": "/step", "value": 2}])
            again: Any = session.documents.get(document.document_id)
            return dict(again.state)

        @router.post("/leave")
        def leave(session: CurrentSession):
            session.rotate()
            return session.logout()

        here.app.include_router(router)
        assert (await client.post("/enter/ann")).json() == "ann"
        assert (await client.get("/data")).json() == {"user": "ann", "basket": {"a": 1, "b": 2}}
        assert (await client.get("/thread/intake")).json() == {"step": 2}
        assert (await client.post("/thread/leave")).json() is True
        assert (await client.get("/thread/intake")).status_code == 401


async def test_def_handlers_get_the_typed_errors(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.get("/thread/{document_id}")
        def handler(document_id: str, session: CurrentSession):
            return session.documents.get(document_id)

        await client.post("/login/ann")
        assert (await client.get("/thread/nothing")).status_code == 404
        here.store.is_away = True
        assert (await client.get("/thread/nothing")).status_code == 503


async def test_nothing_is_saved_when_the_handler_raises(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client(raising=False) as client:

        @here.app.post("/raise/{what}")
        async def handler(what: str, session: CurrentSession):
            session["half"] = "done"
            raise {"any": RuntimeError("planted"), "ours": StoreUnavailable()}[what]

        await client.post("/login/ann")
        for what, status in (("any", 500), ("ours", 503)):
            response = await client.post(f"/raise/{what}")
            assert (response.status_code, set_cookies(response)) == (status, [])
            anonymous = await here.client(raising=False).post(f"/raise/{what}")
            assert (anonymous.status_code, set_cookies(anonymous)) == (status, [])
        assert (await client.get("/data")).json() == {"user": "ann"}


async def test_a_login_that_was_committed_reaches_the_browser_although_the_handler_then_fails(
    database_url: str,
) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/enter")
        async def handler(session: CurrentSession):
            session["half"] = "done"
            await session.login("ann")
            raise StoreUnavailable

        response = await client.post("/enter")
        assert (response.status_code, len(set_cookies(response))) == (503, 1)
        assert (await client.get("/data")).json() == {"user": "ann"}


@pytest.mark.parametrize("kind", ["exception", "response"])
async def test_responses_of_any_status_save(database_url: str, kind: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/status/{status}")
        async def handler(status: int, session: CurrentSession):
            session[str(status)] = True
            if kind == "exception":
                raise HTTPException(status)
            return JSONResponse({}, status)

        for status in (303, 404, 500, 503):
            assert (await client.post(f"/status/{status}")).status_code == status
        assert list((await client.get("/data")).json()) == ["user", "303", "404", "500", "503"]


async def test_what_cannot_be_kept_replaces_the_response_and_names_the_place(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/bad/{what}")
        async def handler(what: str, session: CurrentSession):
            session["fine"] = 1
            session["list"] = [1, {"x": object() if what == "object" else "a" * 70_000}]
            return "this must not be seen"

        with caplog.at_level(logging.ERROR, "sessile.web"):
            response = await client.post("/bad/object")
            assert (response.status_code, response.json()["path"]) == (422, "/list/1/x")
            response = await client.post("/bad/large")
            assert (response.status_code, response.json()["code"]) == (413, "too_large")
        assert [record.name for record in caplog.records] == ["sessile.web"] * 2
        assert set_cookies(response) == []
        assert here.writes == []
        assert (await client.get("/data")).json() == {"user": None}


@shows("D01", "http")
async def test_the_delta_is_committed_before_the_first_byte(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        seen: list[bytes] = []

        @here.app.post("/stream")
        async def handler(session: CurrentSession):
            session["a"] = 1
            handle = session.handle
            assert handle is not None

            async def parts():
                seen.append((await here.manager.get_session(handle)).data)
                assert session["a"] == 1  # reading goes on
                yield b"x"
                yield b"y"

            return StreamingResponse(parts())

        await client.post("/login/ann")
        assert (await client.post("/stream")).text == "xy"
        assert seen == [b'{"a":1}']


async def test_a_failed_commit_replaces_a_stream_as_a_whole(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/stream")
        async def handler(session: CurrentSession):
            session["a"] = 1
            here.store.is_away = True
            return StreamingResponse(iter([b"success", b"success"]))

        await client.post("/login/ann")
        response = await client.post("/stream")
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        assert "success" not in response.text
        assert response.headers["content-length"] == str(len(response.content))


@pytest.mark.parametrize("what", ["set", "delete", "login", "rotate", "logout", "save"])
async def test_after_the_response_has_started_it_is_too_late(database_url: str, what: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        raised: list[str] = []

        async def act(session: CurrentSession):
            if what == "set":
                session["b"] = 1
            elif what == "delete":
                del session["a"]
            elif what == "login":
                await session.login("bob")
            else:
                await getattr(session, what)()

        async def late(session: CurrentSession):
            with pytest.raises(SessionClosed) as caught:
                await act(session)
            raised.append(caught.typename)

        @here.app.post("/")
        async def handler(session: CurrentSession, tasks: BackgroundTasks):
            session["a"] = 1
            tasks.add_task(late, session)

        await client.post("/login/ann")
        await client.post("/")
        assert raised == ["SessionClosed"]
        assert (await client.get("/data")).json() == {"user": "ann", "a": 1}


async def test_a_late_change_below_the_top_is_told_in_the_log(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.post("/")
        async def handler(session: CurrentSession, tasks: BackgroundTasks):
            tasks.add_task(session.setdefault("a", {}).__setitem__, "secret-key", 1)

        with caplog.at_level(logging.ERROR, "sessile.web"):
            await client.post("/")
        assert [record.message for record in caplog.records if "after the response" in record.message]
        assert "secret-key" not in caplog.text
        assert (await client.get("/data")).json() == {"user": None, "a": {}}


async def test_a_background_task_may_read_and_work_on_documents(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:
        seen: list[Any] = []

        async def after(session: CurrentSession):
            seen.append(session["a"])
            document = await session.documents.open("report")
            seen.append(document.name)

        @here.app.post("/")
        async def handler(session: CurrentSession, tasks: BackgroundTasks):
            session["a"] = 1
            tasks.add_task(after, session)

        await client.post("/login/ann")
        await client.post("/")
        assert seen == [1, "report"]


async def test_head_is_like_get_without_a_body(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.api_route("/counted", methods=["GET", "HEAD"])
        async def counted(session: CurrentSession):
            session["seen"] = session.get("seen", 0) + 1
            return session["seen"]

        response = await client.head("/counted")
        assert (response.status_code, len(set_cookies(response))) == (200, 1)
        assert response.headers["vary"] == "Cookie"
        assert (await client.get("/counted")).json() == 2


async def test_other_middleware_around_and_inside(database_url: str) -> None:
    class Named(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["x-named"] = "yes"
            return response

    async with site(database_url) as here, with_routes(here).client() as client:
        here.app.add_middleware(Named)
        await client.post("/login/ann")
        response = await client.get("/data")
        assert (response.json(), response.headers["x-named"]) == ({"user": "ann"}, "yes")


async def test_the_applications_own_handler_for_our_errors_goes_first(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.exception_handler(StoreUnavailable)
        async def own(request: Request, error: StoreUnavailable):
            return PlainTextResponse("closed for repairs", 503)

        await client.post("/login/ann")
        here.store.is_away = True
        response = await client.get("/data")
        assert (response.status_code, response.text) == (503, "closed for repairs")
        assert response.headers["cache-control"] == "private, no-store"


def application(database: Path) -> tuple[FastAPI, Sessile]:
    app = FastAPI()
    sessile = Sessile(app, database_url=f"sqlite:///{database}")

    @app.post("/set/{value}")
    def put(value: str, session: CurrentSession):
        session["a"] = value

    @app.get("/get")
    async def get(session: CurrentSession):
        return session.get("a")

    return app, sessile


def test_the_applications_lifespan_opens_and_closes_the_manager(tmp_path: Path) -> None:
    app, sessile = application(tmp_path / "s.db")
    for turn in range(2):  # a process may start an application more than once
        with TestClient(app) as client:
            assert sessile.manager._is_open
            assert client.get("/get").json() is None
            client.post(f"/set/{turn}")
            assert client.get("/get").json() == str(turn)
        assert not sessile.manager._is_open


def test_without_a_lifespan_the_first_request_opens_the_manager(tmp_path: Path) -> None:
    app, sessile = application(tmp_path / "s.db")
    client = TestClient(app)  # every request of it has an event loop of its own
    assert client.get("/get").json() is None
    client.post("/set/1")
    assert client.get("/get").json() == "1"
    assert client.get("/api/v0/session").json()["reason"] == "anonymous"
    assert sessile.manager._is_open
    with TestClient(app):
        pass  # closes it
    assert not sessile.manager._is_open


def test_a_store_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    app, _ = application(tmp_path / "no folder" / "s.db")
    with pytest.raises(ConfigurationError, match="SESSILE_DATABASE_URL"), TestClient(app):
        pytest.fail("it started")


async def test_the_lifespan_of_the_application_itself_runs_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        order.append(f"up, open: {sessile.manager._is_open}")
        yield {"from": "lifespan"}
        order.append(f"down, open: {sessile.manager._is_open}")

    app = FastAPI(lifespan=lifespan)
    sessile = Sessile(app, database_url=f"sqlite:///{tmp_path / 's.db'}")

    async def drain():
        order.append(f"drain, open: {sessile.manager._is_open}")

    monkeypatch.setattr(sessile._service, "drain", drain)

    @app.get("/state")
    async def state(request: Request):
        return request.state["from"]

    with TestClient(app) as client:
        assert client.get("/state").json() == "lifespan"
    assert order == ["up, open: True", "drain, open: True", "down, open: True"]
    order.clear()
    await sessile.drain()  # what `sessile serve` awaits before its server closes the sockets
    assert order == ["drain, open: False"]


async def test_the_service_goes_before_routes_that_are_added_later(database_url: str) -> None:
    async with site(database_url) as here, with_routes(here).client() as client:

        @here.app.get("/{path:path}")
        async def everything(path: str):
            return f"the application's: {path}"

        await client.post("/login/ann")
        assert (await client.get("/api/session_state")).json()["user"] == {"id": "ann"}
        assert (await client.get("/api/v0/session")).json()["authenticated"] is True
        assert (await client.get("/sessile.js")).headers["content-type"].startswith("text/javascript")
        assert (await client.get("/api/v0/nothing")).json()["code"] == "not_found"
        assert (await client.get("/api/other")).json() == "the application's: api/other"


async def test_an_application_that_is_mounted_below_a_path(database_url: str) -> None:
    async with site(database_url) as here:
        with_routes(here)
        outer = Starlette()
        outer.mount("/deep", here.app)
        async with here.client(asgi=outer) as client:
            await client.post("/deep/login/ann")
            assert (await client.get("/deep/data")).json() == {"user": "ann"}
            assert (await client.get("/deep/api/v0/session")).json()["authenticated"] is True
            assert (await client.get("/api/v0/session")).status_code == 404


async def test_a_plain_starlette_application(tmp_path: Path) -> None:
    async def count(request: Request) -> PlainTextResponse:
        request.session["seen"] = request.session.get("seen", 0) + 1
        assert id(request.session) == id(for_starlette.session_of(request))
        return PlainTextResponse(str(request.session["seen"]))

    app = Starlette(routes=[Route("/", count)])
    for_starlette.Sessile(app, database_url=f"sqlite:///{tmp_path / 's.db'}")
    with TestClient(app) as client:
        assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]
        assert client.get("/api/v0/session").json()["reason"] == "anonymous"


async def test_the_middleware_alone_brings_no_routes(database_url: str) -> None:
    async with site(database_url) as here:

        async def count(request: Request) -> PlainTextResponse:
            request.session["seen"] = request.session.get("seen", 0) + 1
            return PlainTextResponse(str(request.session["seen"]))

        app = Starlette(routes=[Route("/", count)])
        app.add_middleware(for_starlette.SessionMiddleware, manager=here.manager)
        async with here.client(asgi=app) as client:
            assert [(await client.get("/")).text for _ in range(2)] == ["1", "2"]
            assert (await client.get("/api/v0/session")).status_code == 404


def test_what_does_not_fit_together_is_refused_where_it_is_written() -> None:
    app = FastAPI()
    sessile = Sessile(app, database_url="memory://")
    with pytest.raises(ConfigurationError, match="before"):
        Sessile(app, database_url="memory://")
    with pytest.raises(ConfigurationError, match="settings"):
        Sessile(FastAPI(), sessile.manager, idle_timeout_s=5)
    with pytest.raises(ConfigurationError, match="SESSILE_COOKIE_NAME"):
        Sessile(FastAPI(), database_url="memory://", cookie_name="__host-x")
    with pytest.raises(ConfigurationError, match="SESSILE_ALLOWED_ORIGINS"):
        Sessile(FastAPI(), database_url="memory://", allowed_origins=["https://*.example"])


@shows("D01", "http")
async def test_an_application_without_sessile_is_told_so() -> None:
    app = FastAPI()

    @app.get("/")
    async def handler(session: CurrentSession):
        return session.user_id

    with pytest.raises(ConfigurationError, match=r"Sessile\(app\)"):
        TestClient(app).get("/")


def test_the_openapi_document_shows_nothing_of_it() -> None:
    def described(with_sessile: bool) -> Any:
        app = FastAPI()
        if with_sessile:
            Sessile(app, database_url="memory://")

            @app.get("/a/{b}", dependencies=[Depends(require_user)])
            async def handler(b: int, session: CurrentSession, c: str = ""):
                return None
        else:

            @app.get("/a/{b}")
            async def handler(b: int, c: str = ""):  # type: ignore[misc]
                return None

        return app.openapi()

    assert described(True) == described(False)
