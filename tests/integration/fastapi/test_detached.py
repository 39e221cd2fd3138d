"""Work with a session after its response: `session.detached()` in background tasks and tasks of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import BackgroundTasks

from sessile.integrations.fastapi import CurrentSession, DetachedSession
from sessile.model.document import Actor
from sessile.model.errors import (
    InvalidValue,
    SessileError,
    SessionClosed,
    SessionEnded,
    SessionNotFound,
    SessionReadOnly,
    SessionUpdateError,
)
from tests.integration.fastapi.site import Site, site, token_of


@asynccontextmanager
async def with_routes(database_url: str) -> AsyncIterator[Site]:
    async with site(database_url) as here:

        @here.app.post("/login/{name}")
        async def login(name: str, session: CurrentSession):
            await session.login(name)

        @here.app.get("/data")
        async def data(session: CurrentSession):
            return {"user": session.user_id, **session}

        yield here


async def test_a_background_task_changes_the_session(database_url: str) -> None:
    async with with_routes(database_url) as here, here.client() as client:

        async def report(later: DetachedSession):
            async with later:
                later["report"] = f"ready for {later.user_id}"
                later["basket"]["apple"] += 1

        @here.app.post("/order")
        async def order(session: CurrentSession, tasks: BackgroundTasks):
            session["basket"] = {"apple": 1}
            tasks.add_task(report, session.detached())

        await client.post("/login/ann")
        await client.post("/order")
        assert (await client.get("/data")).json() == {"user": "ann", "report": "ready for ann", "basket": {"apple": 2}}


async def test_a_def_task_uses_with(database_url: str) -> None:
    async with with_routes(database_url) as here, here.client() as client:

        def report(later: DetachedSession) -> None:
            with later:
                later["report"] = len(later)

        @here.app.post("/order")
        def order(session: CurrentSession, tasks: BackgroundTasks):
            session["a"] = 1  # the first write of a visitor: the session begins with the response
            tasks.add_task(report, session.detached())

        await client.post("/order")
        assert (await client.get("/data")).json() == {"user": None, "a": 1, "report": 1}


async def test_it_is_saved_as_a_delta_beside_what_others_change(database_url: str) -> None:
    async with with_routes(database_url) as here, here.client() as client:

        @here.app.post("/a")
        async def a(session: CurrentSession):
            session["a"] = 1

        await client.post("/a")
        handle = (await here.record(token_of(client))).session_id
        async with DetachedSession(here.manager, handle) as one, DetachedSession(here.manager, handle) as other:
            one["one"], other["other"] = 1, 2
        assert (await client.get("/data")).json() == {"user": None, "a": 1, "one": 1, "other": 2}


async def test_an_exception_saves_nothing_and_save_does_so_at_once(database_url: str) -> None:
    async with with_routes(database_url) as here, here.client() as client:
        await client.post("/login/ann")
        handle = (await here.record(token_of(client))).session_id

        async def fail() -> None:
            async with DetachedSession(here.manager, handle) as later:
                later["kept"] = 1
                await later.save()
                later["lost"] = 1
                raise RuntimeError("planted")

        with pytest.raises(RuntimeError, match="planted"):
            await fail()
        assert (await client.get("/data")).json() == {"user": "ann", "kept": 1}
        with pytest.raises(InvalidValue):
            async with DetachedSession(here.manager, handle) as later:
                later["odd"] = object()


async def test_outside_of_its_block_it_is_closed() -> None:
    async with with_routes("memory://") as here:
        issued = await here.manager.create_session("ann", data={"a": 1})
        later = DetachedSession(here.manager, issued.session.session_id)
        with pytest.raises(SessionClosed, match="async with"):
            later.get("a")
        async with later:
            assert later["a"] == 1
        assert later["a"] == 1
        with pytest.raises(SessionClosed):
            later["a"] = 2


async def test_documents_belong_to_the_same_user(database_url: str) -> None:
    async with with_routes(database_url) as here:
        issued = await here.manager.create_session("ann")
        async with DetachedSession(here.manager, issued.session.session_id) as later:
            await later.documents.open("report", default={"pages": 3})
        owned = await here.manager.documents.list(Actor(user_id="ann"))
        assert [one.name for one in owned] == ["report"]


@pytest.mark.parametrize(
    ("between", "expected"), [("logout", SessionEnded), ("end", SessionEnded), ("other login", SessionEnded)]
)
async def test_what_is_over_does_not_come_back(database_url: str, between: str, expected: type[SessileError]) -> None:
    async with with_routes(database_url) as here, here.client() as client:
        gate, raised = here.gate("done"), list[BaseException]()
        tasks: set[asyncio.Task[Any]] = set()

        async def slow(later: DetachedSession) -> None:
            try:
                async with later:
                    later["late"] = 1
                    await gate.wait()
            except SessileError as error:
                raised.append(error)

        @here.app.post("/start")
        async def start(session: CurrentSession):
            tasks.add(asyncio.create_task(slow(session.detached())))
            session["a"] = 1

        @here.app.post("/logout")
        async def logout(session: CurrentSession):
            await session.logout()

        await client.post("/login/ann")
        await client.post("/start")
        handle = (await here.record(token_of(client))).session_id
        if between == "logout":
            await client.post("/logout")
        elif between == "end":
            await here.manager.destroy_session(handle)
        else:
            await client.post("/login/bob")
        gate.set()
        await asyncio.gather(*tasks)
        assert [type(error) for error in raised] == [expected]


async def test_a_session_that_became_somebodys_is_not_entered_as_the_visitors(database_url: str) -> None:
    async with with_routes(database_url) as here, here.client() as client:
        kept: list[DetachedSession] = []

        @here.app.post("/start")
        async def start(session: CurrentSession):
            session["a"] = 1
            kept.append(session.detached())

        await client.post("/start")
        await client.post("/login/ann")
        with pytest.raises(SessionUpdateError):
            async with kept[0]:
                pass


async def test_nobody_and_a_superseded_view_have_none(database_url: str) -> None:
    async with with_routes(database_url) as here, here.client() as client, here.client() as old:
        kept: list[DetachedSession] = []

        @here.app.post("/start")
        async def start(session: CurrentSession):
            kept.append(session.detached())

        @here.app.post("/a")
        async def a(session: CurrentSession):
            session["a"] = 1

        await client.post("/start")
        with pytest.raises(SessionNotFound):
            async with kept.pop():
                pass
        await client.post("/a")
        old.cookies.set("sessile", token_of(client))
        await client.post("/login/ann")
        await old.post("/start")
        with pytest.raises(SessionReadOnly):
            async with kept.pop():
                pass


async def test_it_is_no_activity_and_holds_nothing_of_the_request(database_url: str) -> None:
    async with with_routes(database_url) as here, here.client() as client:
        kept: list[DetachedSession] = []

        @here.app.post("/start")
        async def start(session: CurrentSession):
            kept.append(session.detached())

        await client.post("/login/ann")
        await client.post("/start")
        here.clock.advance(3600)
        before = (await here.record(token_of(client))).idle_expires_at
        async with kept[0] as later:
            later["a"] = 1
        assert (await here.record(token_of(client))).idle_expires_at == before
