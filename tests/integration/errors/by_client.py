"""What only the Python client raises."""

from __future__ import annotations

from sessile.client import Backoff, Client, Outbox
from sessile.client import errors as client_errors
from sessile.client.problems import error_from
from tests.integration.errors.provoked import NOBODY, Stage, Told, provokes
from tests.integration.server.running import served
from tests.unit.client.fake_server import DOCUMENT, TOKEN, Peer, fake_server

QUICK = Backoff(first_max_s=0.01, base_s=0.01, cap_s=0.02)


@provokes(client_errors.NotConnected)
async def a_question_without_a_server(stage: Stage) -> Told:
    async with served() as server:
        url = server.origin
    async with Client(url, token=stage.keep(TOKEN), backoff=QUICK) as client:
        await client.api.documents()
    return None


@provokes(client_errors.ConnectionLost)
async def a_question_that_the_network_swallows(stage: Stage) -> Told:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.heard("checkpoint")
        peer.socket.transport.abort()

    async with fake_server(script) as server, Client(server.url, token=stage.keep(TOKEN), backoff=QUICK) as client:
        await client.connected()
        await client.request(
            {"type": "checkpoint", "request_id": NOBODY, "document_id": DOCUMENT, "label": "x", "kind": "manual"}
        )
    return None


@provokes(client_errors.ClientClosed)
async def a_client_after_its_end(stage: Stage) -> Told:
    client = Client("http://127.0.0.1:9/", token=stage.keep(TOKEN), backoff=QUICK)
    async with client:
        pass
    client.reconnect()
    return None


@provokes(client_errors.ConnectionRefused)
async def an_outbox_of_somebody_else(stage: Stage) -> Told:
    async with served() as server:
        for user_id in ("ada", "eve"):
            token = stage.keep(await server.token(user_id))
            outbox = Outbox(stage.folder / "outbox.sqlite3")
            async with Client(server.origin, token=token, outbox=outbox, backoff=QUICK) as client:
                await client.connected()
    return None


@provokes(client_errors.OutboxUnavailable)
async def a_file_that_is_no_outbox(stage: Stage) -> Told:
    file = stage.folder / "outbox.sqlite3"
    file.write_bytes(b"no database" * 100)
    outbox = Outbox(file)
    try:
        await outbox.identity()
    finally:
        await outbox.close()
    return None


@provokes(client_errors.ServerRefused)
async def a_code_that_this_client_does_not_know(stage: Stage) -> Told:
    raise error_from({"code": "of_tomorrow", "message": "A newer server says this."})


@provokes(client_errors.NoSuchAddress)
async def a_service_that_is_mounted_elsewhere(stage: Stage) -> Told:
    async with served() as server:
        token = stage.keep(await server.token())
        async with Client(f"{server.origin}/elsewhere/", token=token, backoff=QUICK) as client:
            await client.api.documents()
    return None


@provokes(client_errors.ForeignSession)
async def somebody_elses_session_from_a_client(stage: Stage) -> Told:
    async with served() as server:
        token = stage.keep(await server.token())
        async with Client(server.origin, token=token, backoff=QUICK) as client:
            await client.api.end_session(NOBODY)
    return None


@provokes(client_errors.MalformedRequest)
async def an_argument_that_does_not_fit(stage: Stage) -> Told:
    async with served() as server:
        token = stage.keep(await server.token())
        async with Client(server.origin, token=token, backoff=QUICK) as client:
            await client.api.switch_platform("")
    return None


@provokes(client_errors.ServerFault)
async def a_fault_in_the_server(stage: Stage) -> Told:
    async with served() as server:
        token = stage.keep(await server.token())

        async def broken(*_arguments: object, **_more: object) -> None:
            raise RuntimeError("a defect")

        server.manager.list_sessions = broken  # type: ignore[method-assign, assignment]
        async with Client(server.origin, token=token, backoff=QUICK) as client:
            await client.api.sessions()
    return None
