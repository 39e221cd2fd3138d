"""Under ASGI: views in `async def`, both middlewares, the API on the loop and in a thread, Channels' consumers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.test import AsyncClient, Client, override_settings

from sessile.integrations.django import SessionStore, get_manager, process
from sessile.integrations.django.asgi import with_service
from sessile.integrations.django.channels import SessionSocket
from sessile.integrations.django.service import close_service, manager_here, service_thread
from sessile.model.errors import StoreUnavailable
from sessile.model.session import EndReason
from sessile.testing.shows import shows_security
from tests.integration.django import project

pytestmark = pytest.mark.usefixtures("users")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The project on a file, which the API can open, too."""
    url = f"sqlite:///{tmp_path / 'sessile.db'}"
    with override_settings(SESSILE={"DATABASE_URL": url}):
        yield url
        process.close()


@pytest.fixture(params=["ours", "stock"])
def either(request: pytest.FixtureRequest, site: str) -> Iterator[str]:
    if request.param == "ours":
        yield request.param
    else:
        with override_settings(MIDDLEWARE=project.STOCK_MIDDLEWARE):
            yield request.param


@pytest.mark.usefixtures("either")
async def test_the_same_in_async_views() -> None:
    client = AsyncClient()
    assert (await client.get("/async/bare")).status_code == 200
    assert "sessionid" not in client.cookies
    assert (await client.post("/async/basket/a")).json() == {"a": 1}
    assert (await client.post("/async/basket/b")).json() == {"a": 1, "b": 1}
    anonymous = client.cookies["sessionid"].value
    assert (await client.post("/async/login/ada")).status_code == 200
    assert client.cookies["sessionid"].value != anonymous
    assert (await client.get("/async/get/basket")).json() == {"basket": {"a": 1, "b": 1}}
    ada = await User.objects.aget(username="ada")
    assert (await client.get("/async/whoami")).json() == {"django": "ada", "sessile": str(ada.pk)}
    assert (await client.get("/async/intake")).json() == {"step": 1}
    assert (await client.get("/whoami")).json() == {"django": "ada", "sessile": str(ada.pk)}
    await client.post("/async/logout")
    assert (await client.get("/async/whoami")).json() == {"django": "", "sessile": None}


@pytest.mark.usefixtures("site")
async def test_the_accessors_hold_in_async_views() -> None:
    client = AsyncClient()
    refused = await client.get("/async/members")
    assert (refused.status_code, refused.json()["reason"]) == (401, "no_cookie")
    await client.aforce_login(await User.objects.aget(username="ada"))
    session = await client.asession()
    await session.aload()
    pk = str((await User.objects.aget(username="ada")).pk)
    assert (await client.get("/async/members")).json() == {"user": pk, "handle": session.handle}


@pytest.mark.usefixtures("site")
async def test_waiting_on_the_loop_is_refused_and_not_silent() -> None:
    client = AsyncClient(raise_request_exception=False)
    await client.post("/async/basket/a")
    assert (await client.get("/async/blocking")).status_code == 500


@pytest.mark.usefixtures("site")
async def test_an_outage_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncClient()
    await client.post("/async/login/ada")
    token = client.cookies["sessionid"].value

    def away(*_args: Any, **_named: Any) -> Any:
        raise StoreUnavailable

    for owner in (process.here().manager, process.here().manager.serving):
        monkeypatch.setattr(owner, "authenticate", away)
    for path in ("/async/get/a", "/async/members", "/whoami"):
        response = await client.get(path)
        assert (response.status_code, response.headers.get("Retry-After")) == (503, "2")
        assert "sessionid" not in response.cookies
    assert client.cookies["sessionid"].value == token
    assert (await client.get("/async/bare")).status_code == 200


@pytest.mark.usefixtures("site")
async def test_parallel_requests_on_one_loop_keep_both_values() -> None:
    client = AsyncClient()
    await client.post("/async/basket/first")
    await asyncio.gather(*(client.post(f"/async/basket/{number}") for number in range(8)))
    basket = (await client.get("/async/get/basket")).json()["basket"]
    assert basket == {"first": 1, **{str(number): 1 for number in range(8)}}


@pytest.mark.parametrize("with_service_here", [False, True])
@pytest.mark.usefixtures("site")
async def test_who_asks_at_the_same_time_gets_the_same(with_service_here: bool) -> None:
    if with_service_here:
        await manager_here()
    client = AsyncClient()
    await client.post("/async/basket/a")
    assert (await client.get("/async/together")).json() == {"values": [{"a": 1}] * 5}
    assert (await client.get("/async/get/seen")).json() == {"seen": 5}
    assert (await client.get("/async/get/basket")).json() == {"basket": {"a": 1}}


@pytest.mark.usefixtures("site")
async def test_where_the_service_runs_a_session_is_read_on_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    await manager_here()
    client = AsyncClient()
    await client.post("/async/basket/a")
    await client.get("/async/get/basket")  # the first sight of the token is noted

    async def unreachable_thread(*_args: Any) -> None:
        raise AssertionError("this needs no thread")

    monkeypatch.setattr(process.here(), "in_thread", unreachable_thread)
    assert (await client.get("/async/get/basket")).json() == {"basket": {"a": 1}}
    assert (await client.get("/async/bare")).status_code == 200


def logged_in_client() -> Client:
    client = Client()
    client.force_login(User.objects.get(username="ada"))
    return client


@pytest.mark.usefixtures("site")
def test_the_api_under_wsgi_is_answered_by_a_thread() -> None:
    client = logged_in_client()
    ada = User.objects.get(username="ada")
    state = client.get("/api/session_state").json()
    assert state["success"]
    assert state["user"] == {"id": str(ada.pk)}
    assert state["session"]["session_id"] == client.session.handle
    assert client.get("/sessile.js").headers["Content-Type"].startswith("text/javascript")
    opened = client.put(
        "/api/v0/documents/by-name/intake",
        {"default": {"a": 1}},
        content_type="application/json",
        headers={"Origin": "http://testserver"},
    )
    assert opened.status_code in {200, 201}, opened.content
    assert client.get("/api/v0/events?hello=%7B%7D").status_code == 501
    assert client.get("/api/v0/nothing").status_code == 404
    visitor = Client()  # a log-in gave the other one a new token a moment ago
    visitor.post("/basket/a")
    before = visitor.cookies["sessionid"].value
    refreshed = visitor.post(
        "/api/v0/session/refresh", {}, content_type="application/json", headers={"Origin": "http://testserver"}
    )
    assert refreshed.status_code == 200, refreshed.content
    assert visitor.cookies["sessionid"].value != before
    assert visitor.get("/get/basket").json() == {"basket": {"a": 1}}


@pytest.mark.usefixtures("site")
@shows_security("V3.5.1")
def test_the_api_refuses_another_sites_page() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="ada"))
    for headers in ({"Origin": "https://evil.example"}, {}):
        response = strict.post("/api/v0/session/refresh", {}, content_type="application/json", headers=headers)
        assert response.status_code == 403
        assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.usefixtures("site")
def test_the_api_below_a_path() -> None:
    with override_settings(ROOT_URLCONF="tests.integration.django.mounted"):
        client = logged_in_client()
        assert client.get("/below/api/session_state").json()["success"]
        assert client.get("/api/session_state").status_code == 404


@pytest.mark.usefixtures("site")
async def test_the_api_under_asgi_is_on_the_loop() -> None:
    client = AsyncClient()
    await client.aforce_login(await User.objects.aget(username="ada"))
    state = (await client.get("/api/session_state")).json()
    assert state["success"]
    assert state["session"]["session_id"]
    from sessile.integrations.django import service

    assert service._thread is None


@pytest.mark.usefixtures("site")
@shows_security("V-25")
async def test_a_host_that_is_not_allowed_is_refused_by_the_service_too() -> None:
    with override_settings(ALLOWED_HOSTS=["good.example"]):
        said = await asked(with_service(unreachable), "/api/session_state", host=b"evil.example")
        assert said[0]["status"] == 400
        said = await asked(with_service(unreachable), "/api/session_state", host=b"good.example")
        assert said[0]["status"] in {200, 401}
    await close_service()


async def unreachable(*_args: Any) -> None:
    raise AssertionError("the path is the service's")


async def asked(application: Any, path: str, *, host: bytes = b"testserver", cookie: bytes = b"") -> list[Any]:
    said: list[Any] = []
    headers = [(b"host", host), *([(b"cookie", cookie)] if cookie else [])]
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers,
        "scheme": "http", "root_path": "", "http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("testserver", 80),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await application(scope, receive, send)
    return said


@pytest.mark.usefixtures("site")
async def test_the_lifespan_opens_and_closes_the_service() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    incoming: asyncio.Queue[Any] = asyncio.Queue()

    async def send(message: Any) -> None:
        said.put_nowait(message["type"])

    application = with_service(unreachable)
    living = asyncio.create_task(application({"type": "lifespan"}, incoming.get, send))
    await incoming.put({"type": "lifespan.startup"})
    assert await said.get() == "lifespan.startup.complete"
    assert (await manager_here()).is_open
    manager = await manager_here()
    await incoming.put({"type": "lifespan.shutdown"})
    await living
    assert await said.get() == "lifespan.shutdown.complete"
    assert not manager.is_open


@pytest.mark.usefixtures("site")
def test_the_service_of_a_loop_ends_with_the_loop() -> None:
    async def first() -> Any:
        return await manager_here()

    manager = asyncio.run(first())
    assert not manager.is_open


@pytest.mark.usefixtures("site")
def test_settings_that_change_close_the_thread() -> None:
    client = logged_in_client()
    assert client.get("/api/session_state").status_code == 200
    thread = service_thread()
    with override_settings(SESSION_COOKIE_NAME="other"):
        assert service_thread() is not thread


# -- Channels -------------------------------------------------------------------------------------------------------------------------------


def socket_application() -> Any:
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    class Consumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
        async def connect(self) -> None:
            await self.accept()
            session: SessionStore = self.scope["session"]
            await self.send_json({"user": session.user_id, "a": session.get("a")})

        async def receive_json(self, content: Any, **_named: Any) -> None:
            self.scope["session"]["a"] = content["a"]
            await self.scope["session"].asave()
            await self.send_json({"saved": True})

    return ProtocolTypeRouter({"websocket": SessionSocket(URLRouter([path("ws/own", Consumer.as_asgi())]))})


class Socket:
    """A browser's side of a socket, in the same process."""

    def __init__(self, cookie: str | None) -> None:
        headers = [(b"cookie", f"sessionid={cookie}".encode())] if cookie else []
        scope = {"type": "websocket", "path": "/ws/own", "headers": headers, "query_string": b"", "subprotocols": []}
        self._peer = ApplicationCommunicator(socket_application(), scope)

    async def connect(self) -> bool:
        await self._peer.send_input({"type": "websocket.connect"})
        return str((await self.output())["type"]) == "websocket.accept"

    async def output(self) -> Any:
        return await self._peer.receive_output(timeout=10)

    async def receive(self) -> Any:
        return json.loads((await self.output())["text"])

    async def send(self, content: Any) -> None:
        await self._peer.send_input({"type": "websocket.receive", "text": json.dumps(content)})

    async def leave(self) -> None:
        await self._peer.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()

    async def wait(self) -> None:
        await self._peer.wait(timeout=10)


@pytest.mark.usefixtures("site")
async def test_a_consumer_has_the_session_and_can_save() -> None:
    issued = await asyncio.to_thread(lambda: get_manager().create_session("7", data={"a": 1}))
    socket = Socket(issued.token)
    assert await socket.connect()
    assert await socket.receive() == {"user": "7", "a": 1}
    await socket.send({"a": 2})
    assert await socket.receive() == {"saved": True}
    await socket.leave()
    found = SessionStore(issued.token)
    await found.aload()
    assert found["a"] == 2
    await close_service()


@pytest.mark.usefixtures("site")
@shows_security("C-11")
async def test_the_end_of_the_session_closes_the_socket() -> None:
    issued = await asyncio.to_thread(lambda: get_manager().create_session("7"))
    socket, visitor = Socket(issued.token), Socket(None)
    assert await socket.connect()
    assert await visitor.connect()
    await socket.receive()
    assert await visitor.receive() == {"user": None, "a": None}
    manager = await manager_here()
    await manager.destroy_session(issued.session.session_id, reason=EndReason.ADMIN)
    closed = await socket.output()
    assert (closed["type"], closed["code"], closed["reason"]) == ("websocket.close", 4501, "session_ended")
    await socket.wait()
    await visitor.leave()
    await close_service()


@pytest.mark.usefixtures("site")
@shows_security("V16.5.3")
async def test_a_socket_in_an_outage_is_refused_and_not_anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    issued = await asyncio.to_thread(lambda: get_manager().create_session("7"))

    def away(*_args: Any, **_named: Any) -> Any:
        raise StoreUnavailable

    for owner in (process.here().manager, process.here().manager.serving):
        monkeypatch.setattr(owner, "authenticate", away)
    socket = Socket(issued.token)
    assert not await socket.connect()
