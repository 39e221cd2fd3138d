"""Who is there, over two server processes on one file: shown, counted, audited, and found out when a process dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessile.model.errors import StoreUnavailable
from sessile.runtime.blocking import SessionManager
from sessile.runtime.lane import drive
from sessile.runtime.settings import Settings
from sessile.testing import shows
from tests.integration.server.peer import Peer, connected, device, setting
from tests.integration.server.running import Running, ServerProcess, client_of, process_on, served, service_of, until

INTAKE = {"name": "intake"}
QUICK = {"SESSILE_PRESENCE_LEASE_S": "2", "SESSILE_PRESENCE_LINGER_S": "0.3"}

pytestmark = pytest.mark.server


async def get(server: ServerProcess, token: str, path: str) -> Any:
    """What the process answers over HTTP."""
    headers = {"authorization": f"Bearer {token}"}
    answer = await asyncio.to_thread(httpx.get, f"{server.origin}/api/v0{path}", headers=headers, timeout=20)
    answer.raise_for_status()
    return answer.json()


async def devices_of(server: ServerProcess, token: str, peer: Peer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await get(server, token, f"/documents/{peer.document_id}/devices"))["devices"]
    return found


async def devices_when(
    server: ServerProcess, token: str, peer: Peer, condition: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """The devices as soon as the condition holds for them: what a process writes is a moment behind its sockets."""
    found: list[dict[str, Any]] = []

    async def holds() -> bool:
        found[:] = await devices_of(server, token, peer)
        return condition(found)

    await soon(holds)
    return found


async def soon(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it holds."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - it is written by others, a moment later
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_on(server: ServerProcess | Running, token: str, label: str, **more: Any) -> AsyncIterator[Peer]:
    async with connected(server.socket_url, cookie=token) as peer:
        await peer.open(INTAKE, device={"label": label}, **more)
        yield peer


def audited(database: Path, document_id: str) -> list[str]:
    with SessionManager(Settings(database_url=f"sqlite:///{database}")) as manager:
        events = manager.audit.events(f"document:{document_id}")
        assert manager.audit.verify(f"document:{document_id}").faults == []
    return [event.type for event in reversed(events) if event.type.startswith("device_")]


@shows("H02", "H05", "G06", "socket", "http")
async def test_a_process_that_dies_disconnects_its_devices(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    phone = device()
    with process_on(database, **QUICK) as first, process_on(database, **QUICK) as second:
        token, other = first.token(), first.token()
        async with open_on(first, token, "Laptop") as here:
            await devices_when(first, token, here, lambda found: found[0]["is_connected"])
            async with open_on(second, other, "Phone", device_id=phone) as there:
                state = await there.expect("presence_state")
                assert [(d["device_no"], d["label"], d["tabs"]) for d in state["devices"]] == [
                    (1, "Laptop", 1),
                    (2, "Phone", 1),
                ]
                told = await here.expect(
                    "presence_diff", lambda frame: any(d["device_no"] == 2 for d in frame["devices"])
                )
                assert [(d["label"], d["tabs"], d["behind"]) for d in told["devices"] if d["device_no"] == 2] == [
                    ("Phone", 1, 0)
                ]
                await there.send({"type": "presence", "visible": False})
                await here.expect("presence_diff", lambda frame: any(not d["visible"] for d in frame["devices"]))
                sessions = (await get(first, token, "/sessions"))["sessions"]
                assert [(s["is_connected"], s["device"]["label"]) for s in sessions] == [
                    (True, "Laptop"),
                    (True, "Phone"),
                ]
                second.process.kill()
                second.process.wait()
            left = await here.expect("presence_diff", lambda frame: frame["left"] == [2])
            assert left["devices"] == []
            for seq in (1, 2):
                await here.change(setting(seq, "/a", seq, base=seq - 1))
                assert (await here.expect("ack"))["seq"] == seq
            laptop, gone = await devices_of(first, token, here)
            assert (laptop["is_own"], laptop["is_connected"], laptop["is_primary"], laptop["behind"]) == (
                True, True, True, 0,
            )  # fmt: skip
            assert (gone["label"], gone["is_own"], gone["is_connected"], gone["behind"]) == ("Phone", False, False, 2)
            assert gone["disconnected_at"] is not None
            assert gone["reconnected_at"] is None
            away = (await get(first, token, "/sessions"))["sessions"][1]
            assert (away["is_connected"], away["disconnected_at"] is None) == (False, False)
            assert audited(database, here.document_id) == ["device_disconnected"]
            async with open_on(first, other, "Phone", device_id=phone):
                await here.expect("presence_diff", lambda frame: any(d["device_no"] == 2 for d in frame["devices"]))
                found = await devices_when(first, token, here, lambda found: found[1]["is_connected"])
                assert (found[1]["behind"], found[1]["disconnected_at"]) == (0, gone["disconnected_at"])
                assert found[1]["reconnected_at"] > gone["disconnected_at"]
                back = (await get(first, token, "/sessions"))["sessions"][1]
                assert (back["is_connected"], back["reconnected_at"] > back["disconnected_at"]) == (True, True)
            assert audited(database, here.document_id) == ["device_disconnected", "device_reconnected"]


async def test_a_device_on_two_processes_is_one(tmp_path: Path) -> None:
    laptop = device()
    with process_on(tmp_path / "a.db", **QUICK) as first, process_on(tmp_path / "a.db", **QUICK) as second:
        token = first.token()
        async with open_on(first, token, "Phone") as watcher, open_on(first, token, "Laptop", device_id=laptop):
            async with open_on(second, token, "Laptop", device_id=laptop):
                await watcher.expect("presence_diff", lambda f: any(d["tabs"] == 2 for d in f["devices"]))
                found = await devices_when(first, token, watcher, lambda found: found[1]["tabs"] == 2)
                assert [(d["label"], d["tabs"]) for d in found] == [("Phone", 1), ("Laptop", 2)]
            told = await watcher.expect("presence_diff", lambda f: any(d["tabs"] == 1 for d in f["devices"]))
            assert told["left"] == []
            # Its last socket there has been closed for a while, and it is still here.
            found = await devices_when(first, token, watcher, lambda found: found[1]["tabs"] == 1)
            assert found[1]["disconnected_at"] is None


async def test_a_server_that_goes_away_in_order_disconnects_nobody_who_comes_back(tmp_path: Path) -> None:
    database, phone = tmp_path / "a.db", device()
    with process_on(database, **QUICK) as first, process_on(database, **QUICK) as second:
        token = first.token()
        async with open_on(first, token, "Laptop") as here:
            async with open_on(second, token, "Phone", device_id=phone) as there:
                await devices_when(first, token, here, lambda found: len(found) == 2 and found[1]["is_connected"])
                second.process.send_signal(signal.SIGTERM)
                assert await there.expect_close() == 4000
            await asyncio.to_thread(second.process.wait)
            assert (await devices_of(first, token, here))[1]["is_connected"], "it is given the time to come back"
            async with open_on(first, token, "Phone", device_id=phone):
                with SessionManager(Settings(database_url=f"sqlite:///{database}")) as manager:

                    async def are_removed() -> bool:
                        return len(_nodes(manager, here.document_id)) == 1

                    await soon(are_removed)  # the leases of the process that is gone
                assert (await devices_of(first, token, here))[1]["is_connected"]
                assert audited(database, here.document_id) == []


def _nodes(manager: SessionManager, document_id: str) -> set[str]:
    leases = drive(manager._store.read(lambda tx: tx.presence.of_document(document_id)))
    return {lease.node_id for lease in leases}


async def test_the_last_socket_disconnects_after_a_while_and_is_audited() -> None:
    async with served(presence_linger_s=0.1) as server:
        token = await server.token()
        async with open_on(server, token, "Laptop") as watcher:
            phone = await server.token()
            async with open_on(server, phone, "Phone"):
                await watcher.expect("presence_diff", lambda f: any(d["label"] == "Phone" for d in f["devices"]))
            await watcher.expect("presence_diff", lambda f: f["left"] == [2])

            async def is_away() -> bool:
                sessions = await server.manager.list_sessions("ada")
                return sessions[1].disconnected_at is not None

            await soon(is_away)
            session = (await server.manager.list_sessions("ada"))[1]
            events = await server.manager.audit.events(f"session:{session.session_id}")
            assert [event.type for event in events] == ["session_disconnected", "session_created"]
            assert (await server.manager.list_sessions("ada"))[0].disconnected_at is None


@shows("H01", "G06", "http")
async def test_what_a_device_says_of_itself_is_kept_with_its_session() -> None:
    async with served() as server:
        token, own = await server.token(), device()
        async with connected(
            server.socket_url,
            cookie=token,
            user_agent_header="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ) as peer:
            facts = {"screen": "1280x800", "time_zone": "Europe/Berlin", "language": "de", "platform": "Linux"}
            await peer.open(device_id=own, device=facts)
            session_id = (await server.manager.authenticate(token)).session_id

            async def is_known() -> bool:
                return (await server.manager.get_session(session_id)).device_id == own

            await soon(is_known)
            assert (await server.manager.get_session(session_id)).device == {"label": "Firefox on Linux", **facts}


@shows("H01", "H05", "http")
async def test_a_heartbeat_without_a_socket_is_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service_of() as service:
        manager = service.manager
        await manager.open()
        issued, own = await manager.create_session("ada"), device()
        async with client_of(service, token=issued.token) as client:
            listed = (await client.get("/api/v0/sessions")).json()["sessions"][0]
            assert (listed["is_connected"], listed["disconnected_at"], listed["reconnected_at"]) == (False, None, None)
            assert listed["device"] == {"label": "Unknown device"}
            body = {"device_id": own, "device": {"label": "Kiosk", "language": "de"}}
            answer = await client.post("/api/v0/session/heartbeat", json=body)
            assert answer.status_code == 200

            async def is_connected() -> bool:
                return bool((await client.get("/api/v0/sessions")).json()["sessions"][0]["is_connected"])

            await soon(is_connected)
            listed = (await client.get("/api/v0/sessions")).json()["sessions"][0]
            assert listed["device"] == {"label": "Kiosk", "language": "de"}
            assert (await manager.get_session(issued.session.session_id)).device_id == own
            writes: list[Any] = []
            write = manager._store.write

            async def counted(work: Any, *args: Any) -> Any:
                writes.append(work)
                return await write(work, *args)

            monkeypatch.setattr(manager._store, "write", counted)
            assert (await client.post("/api/v0/session/heartbeat", json=body)).status_code == 200
            await until(lambda: not service.hub.leases._is_waiting)
            assert writes == [], "what is known is not written again, and a lease not with every beat"


@shows("G06", "http")
async def test_the_devices_of_a_document_are_its_owners_to_see() -> None:
    async with service_of() as service:
        manager = service.manager
        await manager.open()
        ada, eve = await manager.create_session("ada"), await manager.create_session("eve")
        async with client_of(service, token=ada.token) as client:
            made = (await client.put("/api/v0/documents/by-name/form", json={"device_id": device()})).json()
            path = f"/api/v0/documents/{made['document_id']}/devices"
            (entry,) = (await client.get(path)).json()["devices"]
            assert sorted(entry) == [
                "behind", "device_no", "disconnected_at", "is_connected", "is_own", "is_primary", "label",
                "last_active_at", "reconnected_at", "tabs", "visible",
            ]  # fmt: skip
            assert (entry["device_no"], entry["label"], entry["is_connected"]) == (1, "Unknown device", False)
        async with client_of(service, token=eve.token) as client:
            assert (await client.get(path)).status_code == 404


async def test_presence_never_holds_a_socket_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(presence_linger_s=0.1) as server:
        asked: list[Any] = []

        async def away(*_: Any) -> Any:
            asked.append(_)
            raise StoreUnavailable

        for name in ("connected", "disconnected", "renew", "elsewhere"):
            monkeypatch.setattr(server.manager.presence, name, away)
        token = await server.token()
        async with open_on(server, token, "Laptop") as peer:
            await peer.expect("presence_state")
            await peer.change(setting(1, "/a", 1))
            assert (await peer.expect("ack"))["verdicts"][0]["verdict"] == "applied"
            await until(lambda: len(asked) >= 2)  # who is elsewhere, and that this one is here
            monkeypatch.undo()
            session_id = (await server.manager.authenticate(token)).session_id

            async def is_connected() -> bool:
                return (await server.manager.presence.of_sessions([session_id]))[session_id].is_connected

            await soon(is_connected)
        await until(lambda: not server.service.hub.connections)
