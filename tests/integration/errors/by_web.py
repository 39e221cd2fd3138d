"""What an application's handlers and the service answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import Depends
from fastapi.responses import StreamingResponse

from sessile.integrations.fastapi import CurrentSession, require_fresh
from sessile.model import errors
from sessile.model.limits import DOCUMENTS_PER_SOCKET_MAX
from sessile.server import refusals
from sessile.server.app import Service
from sessile.server.limits import BODY_BYTES_MAX
from tests.integration.damaged import damage
from tests.integration.errors.provoked import NOBODY, SECRET, Stage, Told, provokes
from tests.integration.fastapi.site import Site, site
from tests.integration.flask.site import site as flask_site
from tests.integration.server.peer import connected, device
from tests.integration.server.running import JSON, client_of, served, service_of

DOCUMENTS = "/api/v0/documents"


# -- an application's own handlers ------------------------------------------------------------------------------------


@asynccontextmanager
async def visited(stage: Stage, user_id: str | None = "ada") -> AsyncIterator[tuple[Site, httpx.AsyncClient]]:
    """An application, and a browser with a session there."""
    async with site() as here:
        issued = await here.manager.create_session(user_id, data={"own": SECRET})
        async with here.client() as client:
            client.cookies.set("sessile", stage.keep(issued.token))
            yield here, client


@provokes(errors.SessionClosed)
async def a_write_in_a_stream(stage: Stage) -> Told:
    async with visited(stage) as (here, client):

        @here.app.get("/")
        async def handler(session: CurrentSession):
            async def stream():
                yield b"the first byte"
                session["late"] = 1

            return StreamingResponse(stream())

        await client.get("/")
    return None


@provokes(errors.SessionReadOnly)
async def a_write_with_the_token_from_before_a_log_in(stage: Stage) -> Told:
    async with visited(stage, None) as (here, client):

        @here.app.post("/")
        async def handler(session: CurrentSession):
            session["a"] = 1

        session = await here.manager.authenticate(client.cookies["sessile"])
        await here.manager.login(session.session_id, "ada")
        return await client.post("/")


@provokes(errors.SessionDamaged)
async def a_row_that_was_changed_by_hand(stage: Stage) -> Told:
    async with visited(stage) as (here, client):

        @here.app.get("/")
        async def handler():
            return await here.manager.change_session_data(
                session.session_id, [("set", ("a",), 1)], user_id=session.user_id
            )

        session = await here.manager.authenticate(client.cookies["sessile"])
        await here.store.write(damage, session.session_id, SECRET.encode())
        return await client.get("/")


@provokes(errors.FreshnessRequired)
async def a_log_in_of_long_ago(stage: Stage) -> Told:
    async with visited(stage) as (here, client):

        @here.app.post("/", dependencies=[Depends(require_fresh(60))])
        async def handler():
            return None

        here.clock.advance(61)
        return await client.post("/")


@provokes(errors.BindingRequired)
async def a_route_for_a_device_that_is_none(stage: Stage) -> Told:
    async with visited(stage) as (here, client):

        @here.app.post("/")
        async def handler(session: CurrentSession):
            session.require_bound(always=True)

        return await client.post("/")


# -- the service over HTTP --------------------------------------------------------------------------------------------


async def asked(stage: Stage, method: str, path: str, *, origin: bool = True, **more: Any) -> httpx.Response:
    """The service's answer to somebody who is logged in and has the document `form`, whose id is put for {id}."""
    async with service_of() as service:
        await service.open()
        token = stage.keep((await service.manager.create_session("ada")).token)
        async with client_of(service, token=token) as client:
            opened = await client.put(f"{DOCUMENTS}/by-name/form", json={"default": {"a": SECRET}})
            if not origin:
                del client.headers["origin"]
            return await client.request(method, path.replace("{id}", opened.json()["document_id"]), **more)


@provokes(errors.SessileError)
async def a_fault_that_nobody_foresaw(stage: Stage) -> Told:
    async with service_of() as service:
        await service.open()
        token = stage.keep((await service.manager.create_session("ada")).token)

        async def broken(*_: object) -> None:
            raise RuntimeError(SECRET)

        service.manager.documents.list = broken  # type: ignore[method-assign, assignment]
        transport = httpx.ASGITransport(app=service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.get(DOCUMENTS, headers={"authorization": f"Bearer {token}"})


@provokes(errors.BindingRefused)
async def a_registration_without_a_proof(stage: Stage) -> Told:
    return await asked(stage, "POST", "/api/v0/session/dbsc/registration")


@provokes(errors.OriginRefused)
async def a_log_out_from_another_site(stage: Stage) -> Told:
    return await asked(stage, "POST", "/api/v0/session/logout", headers={"origin": "https://evil.example"})


@provokes(errors.CsrfFailed)
async def a_log_out_from_nowhere(stage: Stage) -> Told:
    return await asked(stage, "POST", "/api/v0/session/logout", origin=False)


@provokes(refusals.MalformedFrame)
async def a_body_that_is_cut_short(stage: Stage) -> Told:
    return await asked(stage, "POST", f"{DOCUMENTS}/{{id}}/changes", content=f'{{"a": "{SECRET}', headers=JSON)


@provokes(refusals.InvalidRequest)
async def a_body_of_the_wrong_shape(stage: Stage) -> Told:
    return await asked(stage, "POST", f"{DOCUMENTS}/{{id}}/changes", json={"device_id": 5, "changes": SECRET})


@provokes(refusals.JsonRequired)
async def a_form(stage: Stage) -> Told:
    return await asked(stage, "POST", f"{DOCUMENTS}/{{id}}/changes", data={"a": SECRET})


@provokes(refusals.FrameTooLarge)
async def a_body_over_the_limit(stage: Stage) -> Told:
    body = json.dumps({"a": SECRET + "x" * BODY_BYTES_MAX})
    return await asked(stage, "PATCH", f"{DOCUMENTS}/{{id}}", content=body, headers=JSON)


@provokes(refusals.NoSuchPage)
async def an_address_of_nothing(stage: Stage) -> Told:
    return await asked(stage, "GET", f"/api/v0/{SECRET}")


@provokes(refusals.LivePushUnavailable)
async def a_socket_of_a_server_that_has_workers_only(stage: Stage) -> Told:
    with flask_site() as here:
        answer = here.client().get("/ws", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        return httpx.Response(answer.status_code, headers=list(answer.headers), content=answer.data)


@provokes(refusals.MethodRefused)
async def a_method_that_the_address_does_not_take(stage: Stage) -> Told:
    return await asked(stage, "DELETE", "/api/v0/session")


@provokes(refusals.ForeignSession)
async def the_end_of_somebody_elses_session(stage: Stage) -> Told:
    return await asked(stage, "DELETE", f"/api/v0/sessions/{NOBODY}")


@provokes(refusals.PreconditionRequired)
async def a_blind_patch(stage: Stage) -> Told:
    return await asked(stage, "PATCH", f"{DOCUMENTS}/{{id}}", json={"a": 1})


@provokes(refusals.PreconditionFailed)
async def a_patch_for_another_version(stage: Stage) -> Told:
    return await asked(stage, "PATCH", f"{DOCUMENTS}/{{id}}", json={"a": 1}, headers={"if-match": '"x.7"'})


# -- the service on a socket ------------------------------------------------------------------------------------------


@provokes(refusals.UnknownFrameType)
async def a_frame_of_tomorrow(stage: Stage) -> Told:
    async with served() as server, connected(server.socket_url) as peer:
        await peer.open(token=stage.keep(await server.token()))
        await peer.send({"type": "guess", "text": SECRET})
        return await peer.expect("error")


@provokes(refusals.TooMany)
async def more_documents_than_a_socket_may_have(stage: Stage) -> Told:
    async with served() as server, connected(server.socket_url) as peer:
        await peer.open(token=stage.keep(await server.token()))
        wanted = [{"name": f"form {number}"} for number in range(DOCUMENTS_PER_SOCKET_MAX + 1)]
        answers = []
        for part in (wanted[:25], wanted[25:50], wanted[50:]):
            await peer.send({"type": "subscribe", "request_id": device(), "documents": part})
            answers.append(await peer.expect("subscribed"))
        error: dict[str, Any] = answers[-1]["documents"][0]["error"]
        return error


@provokes(refusals.Draining)
async def a_socket_for_a_server_that_goes(stage: Stage) -> Told:
    async with service_of() as service:
        await service.start()
        await service.drain()
        return await handshake(service)


async def handshake(service: Service) -> httpx.Response:
    """The answer to a socket that is not let in, as a server that can answer sends it."""
    sent: list[Any] = []
    received: asyncio.Queue[Any] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})
    scope = {
        "type": "websocket", "scheme": "ws", "path": "/ws", "headers": [(b"host", b"testserver")], "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip

    async def send(message: Any) -> None:
        sent.append(message)

    await service(scope, received.get, send)
    start, body = sent
    return httpx.Response(start["status"], headers=start["headers"], content=body["body"])
