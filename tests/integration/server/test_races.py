"""Things that happen at the worst moment, made to happen there: nothing is missed, shown twice or let through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from sessile.model.document import Actor
from sessile.model.events import Event
from sessile.testing import shows
from tests.integration.server.peer import connected, hello
from tests.integration.server.running import Running, client_of, served, until

Verb = Callable[..., Awaitable[Any]]


def after(verb: Verb, then: Callable[[], Awaitable[object]], *, times: int = 1) -> Verb:
    """The verb, with something happening between its end and its caller's next step, the first `times`."""
    left = times

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        result = await verb(*arguments, **named)
        if left:
            left -= 1
            await then()
            await asyncio.sleep(0.02)  # whatever that set off has run
        return result

    return wrapped


async def commit(server: Running, document_id: str, value: int) -> None:
    """A change by server code."""
    operations = [{"op": "set", "path": "/n", "value": value}]
    await server.manager.documents.change(Actor.system(), document_id, operations)


def without_changes(monkeypatch: pytest.MonkeyPatch, server: Running) -> None:
    """Every event becomes a hint, as it comes from another process."""
    hub = server.service.hub
    listen = hub._on_events

    def stripped(events: Sequence[Event]) -> None:
        listen([replace(event, changes=(), checkpoint=None, restored=None) for event in events])

    monkeypatch.setattr(hub, "_on_events", stripped)


@pytest.mark.parametrize("hints_only", [False, True], ids=["own process", "another process"])
@pytest.mark.parametrize("is_first", [False, True], ids=["others read it", "first reader"])
@pytest.mark.parametrize("way", ["by id", "by name", "resume"])
async def test_what_is_committed_during_the_read_is_sent_after_it(
    monkeypatch: pytest.MonkeyPatch, way: str, *, is_first: bool, hints_only: bool
) -> None:
    async with served() as server, AsyncExitStack() as others:
        if hints_only:
            without_changes(monkeypatch, server)
        documents = server.manager.documents
        opened = await documents.open(Actor(user_id="ada"), "intake")
        document_id, epoch = opened.document.document_id, opened.document.epoch

        if not is_first:
            other = await others.enter_async_context(connected(server.socket_url, cookie=await server.token()))
            await other.open({"document_id": document_id})
            await other.expect("presence_state")

        async def then() -> None:
            await commit(server, document_id, 1)

        verb = {"by id": "open_by_id", "by name": "open", "resume": "since"}[way]
        monkeypatch.setattr(documents, verb, after(getattr(documents, verb), then))
        wanted: dict[str, Any] = {"name": "intake"} if way == "by name" else {"document_id": document_id}
        if way == "resume":
            wanted |= {"epoch": epoch, "version": 0}
        async with connected(server.socket_url, cookie=await server.token()) as peer:
            await peer.send(hello(wanted))
            assert (await peer.expect("state_update", lambda frame: frame["to"] > 0))["from"] == 0
            await commit(server, document_id, 2)
            update = await peer.expect("state_update", lambda frame: frame["to"] > 0)
            assert (update["from"], update["to"]) == (1, 2)


async def test_a_lost_event_is_made_good_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open({"name": "intake"})
        await peer.expect("presence_state")
        with monkeypatch.context() as lossy:
            lossy.setattr(server.service.hub, "_document_event", lambda *_: None)
            await commit(server, peer.document_id, 1)
        await commit(server, peer.document_id, 2)
        seen: list[int] = []
        while seen[-1:] != [2]:
            seen += [change["version"] for change in (await peer.expect("state_update"))["changes"]]
        assert seen == [1, 2]


async def test_a_lost_event_is_made_good_by_the_next_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        served(ping_interval_s=0.1) as server,
        connected(server.socket_url, cookie=await server.token()) as peer,
    ):
        await peer.open({"name": "intake"})
        await peer.expect("presence_state")
        monkeypatch.setattr(server.service.hub, "_document_event", lambda *_: None)
        await commit(server, peer.document_id, 1)
        assert (await peer.expect("state_update"))["to"] == 1


async def test_a_session_that_ends_while_its_credential_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as server:
        manager = server.manager
        for way in ("cookie", "token"):
            issued = await manager.create_session("ada")

            async def then(session_id: str = issued.session.session_id) -> None:
                await manager.destroy_session(session_id)

            with monkeypatch.context() as patched:
                patched.setattr(manager, "authenticate", after(manager.authenticate, then))
                cookie = issued.token if way == "cookie" else None
                async with connected(server.socket_url, cookie=cookie) as peer:
                    await peer.send(hello(token=issued.token if way == "token" else None))
                    assert await peer.expect_close() == 4501
                    assert "welcome" not in peer.kinds()


async def test_a_patch_does_not_overwrite_what_came_between_its_read_and_its_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with served() as server:
        documents = server.manager.documents
        opened = await documents.open(Actor(user_id="ada"), "intake")
        document_id = opened.document.document_id

        async def then() -> None:
            await commit(server, document_id, 1)

        path = f"/api/v0/documents/{document_id}"
        async with client_of(server.service, token=await server.token()) as client:
            tag = (await client.get(path)).headers["etag"]
            with monkeypatch.context() as patched:
                patched.setattr(documents, "get", after(documents.get, then))
                answer = await client.patch(path, json={"n": "stale"}, headers={"if-match": tag})
            current = await client.get(path)
            assert (answer.status_code, answer.json()["current"]) == (412, current.headers["etag"])
            assert current.json()["state"] == {"n": 1}


async def test_unsubscribing_and_coming_back_leaves_one_subscription() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open({"name": "intake"})
        await peer.expect("presence_state")
        for _ in range(20):
            await peer.request("request_sync", reason="gap", epoch="other", version=0)
            await peer.request("unsubscribe")
            subscribe = {"type": "subscribe", "request_id": "r", "documents": [{"document_id": peer.document_id}]}
            await peer.send(subscribe)
        await peer.barrier()
        (connection,) = server.service.hub.connections
        assert len(connection.subscriptions) == 1
        (channel,) = server.service.hub._channels.values()
        assert channel.subscriptions == set(connection.subscriptions.values())


@shows("G05", "socket")
async def test_closed_sockets_leave_nothing_behind() -> None:
    async with served(presence_linger_s=0) as server:
        hub, token = server.service.hub, await server.token()
        for _ in range(5):
            async with connected(server.socket_url, cookie=token) as peer:
                await peer.open({"name": "intake"})
                await peer.socket.close()
        await until(lambda: not hub.connections)
        assert (hub._channels, hub._by_session, hub._unproven) == ({}, {}, {})
        await until(lambda: not hub._tasks)
