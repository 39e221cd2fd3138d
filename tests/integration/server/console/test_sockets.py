"""The console beside real sockets: how they show in it, and that an end closes them; and inside other applications."""

from __future__ import annotations

from pathlib import Path

import httpx
from fastapi import FastAPI

from sessile.engine.operators import Act
from sessile.integrations.fastapi import Sessile
from sessile.model.operator_access import Role
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from tests.integration.server.peer import connected, setting
from tests.integration.server.running import Running, served, until


async def signed_in(server: Running, role: Role = Role.OPERATOR) -> tuple[httpx.AsyncClient, dict[str, str]]:
    http = httpx.AsyncClient(base_url=server.origin)
    token = (await server.manager.operator_access.issue_token("ada", role, lifetime_s=60)).token
    answer = await http.post("/console/login", data={"token": token}, headers={"origin": server.origin})
    assert answer.status_code == 303, answer.text
    csrf = (await http.get("/api/console/session")).json()["csrf"]
    return http, {"origin": server.origin, "x-csrf-token": csrf}


async def test_a_socket_shows_with_its_round_trip_and_is_closed_by_an_end() -> None:
    async with served(ping_interval_s=0.3, console=True, database_url="memory://") as server:
        issued = await server.manager.create_session("bob")
        session_id = issued.session.session_id
        http, headers = await signed_in(server)
        async with connected(server.socket_url, cookie=issued.token) as peer:
            await peer.open()
            hub = server.service.hub
            ping = await peer.expect("ping")
            await peer.send({"type": "pong", "at": ping["at"]})
            await until(lambda: hub.round_trips.of_session(session_id) is not None)
            assert server.service.console is not None
            server.service.console.monitor.counted_at = float("-inf")
            await until(lambda: bool(hub.leases.node_id))
            row = (await http.get(f"/api/console/sessions/{session_id}")).json()["session"]
            assert 0 <= row["rtt_ms"] < 10_000
            overview = (await http.get("/api/console/overview")).json()
            assert overview["heartbeat"]["samples"] >= 1
            assert overview["heartbeat"]["p50_ms"] <= overview["heartbeat"]["p95_ms"]
            ended = await http.post(f"/api/console/sessions/{session_id}/end", json={"reason": "test"}, headers=headers)
            assert ended.json()["ended"] == 1
            assert await peer.expect_close() == 4501
            assert hub.round_trips.of_session(session_id) is None
            assert hub.joined == 1
        await http.aclose()


async def test_a_resync_gives_the_sessions_own_sockets_their_documents_whole(tmp_path: Path) -> None:
    """Asked for in this process, and in another one."""
    url = f"sqlite:///{tmp_path / 'sessile.db'}"
    async with served(console=True, database_url=url) as server:
        mine, other = [await server.manager.create_session("bob") for _ in range(2)]
        http, headers = await signed_in(server)
        path = f"/api/console/sessions/{mine.session.session_id}/resync"
        notes = {"name": "notes", "default": {"text": "here"}}
        async with (
            connected(server.socket_url, cookie=mine.token) as peer,
            connected(server.socket_url, cookie=other.token) as elsewhere,
        ):
            await peer.open(notes)
            await elsewhere.open(notes)
            await elsewhere.expect("initial_state")
            first = await peer.expect("initial_state")
            told = await http.post(path, json={"reason": "test"}, headers=headers)
            assert told.status_code == 200, told.text
            again = await peer.expect("initial_state")
            assert [again[name] for name in ("version", "epoch", "state")] == [
                first[name] for name in ("version", "epoch", "state")
            ]
            async with AsyncSessionManager(Settings(database_url=url)) as another:
                act = Act(subject="", action="resync", reason="test", by="ada")
                await another.oversight.resync(mine.session.session_id, [], act)
                await peer.expect("initial_state")
            await peer.change(setting(1, "/text", "on"))
            assert (await peer.expect("ack"))["verdicts"][0]["verdict"] == "applied"
            update = await elsewhere.expect("state_update")
            assert update["from"] == first["version"]
            assert elsewhere.kinds().count("initial_state") == 1
        await http.aclose()


async def test_it_is_beside_an_application_and_its_own_paths_stay() -> None:
    app = FastAPI()
    Sessile(app, database_url="memory://", console=True)

    @app.get("/consoles")
    async def consoles() -> str:
        return "the application's own"

    outer = FastAPI()
    outer.mount("/app", app)
    for base, application in (("", app), ("/app", outer)):
        transport = httpx.ASGITransport(app=application)
        browser = httpx.AsyncClient(transport=transport, base_url="https://ops.example")
        async with app.router.lifespan_context(app), browser as http:
            page = await http.get(f"{base}/console/login")
            assert f'<base href="{base}/console/">' in page.text
            assert (await http.get(f"{base}/api/console/session")).json()["reason"] == "no_cookie"
            assert (await http.get(f"{base}/consoles")).json() == "the application's own"
            assert (await http.get(f"{base}/api/v0/session")).json()["authenticated"] is False
