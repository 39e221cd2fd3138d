"""Fork, diff, export, import and activity over HTTP, and kinds as a client meets them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from sessile.model.document import Actor
from sessile.model.errors import InvalidValue
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.app import Service, create_app
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables
from tests.integration.server.peer import connected, device, setting
from tests.integration.server.running import client_of, served, settings

BASE = "/api/v0/documents"


def whole_step(state: dict[str, Any]) -> None:
    if type(state.get("step", 0)) is not int:
        raise InvalidValue("/step", "a whole number is needed")


INTAKE = DocumentKind(name="intake", schema=whole_step, names=["intake"], default={"step": 1})


@asynccontextmanager
async def ada(*kinds: DocumentKind, tables: Tables | None = None) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    manager = AsyncSessionManager(settings(), store=MemoryStore(tables or Tables()), kinds=kinds)
    service = create_app(manager, standalone=True, stall_timeout_s=5)
    await service.open()
    try:
        token = (await manager.create_session("ada")).token
        async with client_of(service, token=token) as client:
            yield service, client
    finally:
        await service.close()


async def opened(client: httpx.AsyncClient, name: str, default: dict[str, Any] | None = None) -> str:
    answer = await client.put(f"{BASE}/by-name/{name}", json={} if default is None else {"default": default})
    assert answer.status_code == 201, answer.text
    return f"{BASE}/{answer.json()['document_id']}"


async def written(client: httpx.AsyncClient, path: str, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post(f"{path}/changes", json={"device_id": device(), "changes": list(changes)})
    verdicts: list[dict[str, Any]] = answer.json()["verdicts"]
    return verdicts


async def test_fork_and_diff() -> None:
    async with ada() as (_, client):
        path = await opened(client, "notes", {"a": 1})
        await written(client, path, setting(1, "/a", 2), setting(2, "/b", 3, base=1))
        checkpoint_id = (await client.post(f"{path}/checkpoints")).json()["checkpoint_id"]
        fork = await client.post(f"{path}/fork", json={"name": "copy", "at_version": 1})
        assert (fork.status_code, fork.json()["state"], fork.json()["version"]) == (201, {"a": 2}, 0)
        assert fork.headers["etag"] == f'"{fork.json()["epoch"]}.0"'
        now = await client.post(f"{path}/fork", json={"name": "other", "checkpoint_id": checkpoint_id})
        assert now.json()["state"] == {"a": 2, "b": 3}
        taken = await client.post(f"{path}/fork", json={"name": "copy"})
        assert (taken.status_code, taken.json()["code"]) == (409, "version_conflict")
        diff = await client.get(f"{path}/diff", params={"from": 0})
        assert diff.json()["differences"] == [{"path": "/a", "from": 1, "to": 2}, {"path": "/b", "to": 3}]
        back = await client.get(f"{path}/diff", params={"from": checkpoint_id, "to": "1"})
        assert back.json()["differences"] == [{"path": "/b", "from": 3}]
        for params, status in (({"from": "9"}, 422), ({"from": "x"}, 422), ({}, 422), ({"from": device()}, 404)):
            assert (await client.get(f"{path}/diff", params=params)).status_code == status, params


async def test_export_and_import() -> None:
    async with ada() as (_, client):
        path = await opened(client, "notes", {"a": 1})
        await written(client, path, setting(1, "/a", 2))
        exported = (await client.get(f"{path}/export")).json()
        assert "device_id" not in json.dumps(exported)
        taken = await client.post(f"{BASE}/import", json={"exported": exported})
        assert (taken.status_code, taken.json()["code"]) == (409, "version_conflict")
        made = await client.post(f"{BASE}/import", json={"exported": exported, "name": "again"})
        assert (made.status_code, made.json()["state"], made.json()["version"]) == (201, {"a": 2}, 1)
        exported["document"]["state"]["a"] = 3
        damaged = await client.post(f"{BASE}/import", json={"exported": exported, "name": "third"})
        assert (damaged.status_code, damaged.json()["code"]) == (422, "export_damaged")


async def test_activity_holds_what_the_application_adds() -> None:
    async with ada() as (_, client):
        path = await opened(client, "notes", {"a": 1})
        await written(client, path, setting(1, "/a", 2))
        await client.post(f"{path}/checkpoints", json={"label": "mine"})
        added = await client.post(f"{path}/activity", json={"type": "app.sent", "data": {"to": "clinic"}})
        assert (added.status_code, added.json()["event"]["data"]) == (201, {"to": "clinic"})
        first = (await client.get(f"{path}/activity", params={"limit": 2})).json()
        rest = (await client.get(f"{path}/activity", params={"before": first["before"]})).json()
        entries = first["entries"] + rest["entries"]
        assert [entry["type"] for entry in entries] == ["app.sent", "checkpoint", "change", "document_created"]
        assert (entries[1]["checkpoint"]["label"], entries[2]["change"]["verdict"]) == ("mine", "applied")
        assert rest["before"] is None
        for body in ({"type": "document_created"}, {"type": "app.x", "data": {"n": "x" * 5000}}, {}):
            assert (await client.post(f"{path}/activity", json=body)).status_code == 422
        assert (await client.get(f"{path}/activity", params={"before": "x"})).status_code == 422


async def test_strangers_find_nothing() -> None:
    async with ada() as (service, client):
        path = await opened(client, "notes")
        token = (await service.manager.create_session("eve")).token
        async with client_of(service, token=token) as eve:
            for base in (path, f"{BASE}/{device()}"):
                answers = [
                    await eve.post(f"{base}/fork", json={"name": "x"}),
                    await eve.get(f"{base}/diff", params={"from": "0"}),
                    await eve.get(f"{base}/export"),
                    await eve.get(f"{base}/activity"),
                    await eve.post(f"{base}/activity", json={"type": "app.x"}),
                ]
                assert {(a.status_code, a.json()["code"]) for a in answers} == {(404, "document_not_found")}


async def test_a_client_meets_a_kind() -> None:
    tables = Tables()
    async with ada(INTAKE, tables=tables) as (service, client):
        bad = await client.put(f"{BASE}/by-name/intake", json={"default": {"step": "one"}})
        assert (bad.status_code, bad.json()["path"]) == (422, "/default/step")
        path = await opened(client, "intake")
        read = (await client.get(path)).json()
        assert (read["state"], read["kind"], read["kind_version"]) == ({"step": 1}, "intake", 1)
        (verdict,) = await written(client, path, setting(1, "/step", "two"))
        assert (verdict["verdict"], verdict["detail"]["code"], verdict["detail"]["path"]) == (
            "rejected", "schema", "/step",
        )  # fmt: skip
        patched = await client.patch(path, json={"step": "two"}, headers={"if-match": "*"})
        assert (patched.status_code, patched.json()["verdict_detail"]) == (409, verdict["detail"])
        exported = (await client.get(f"{path}/export")).json()
        document = await service.manager.documents.get(Actor.system(), path.rpartition("/")[2])
    async with ada(tables=tables) as (_, stranger):
        assert (await stranger.get(path)).json()["state"] == document.state
        body = {"device_id": device(), "changes": [setting(1, "/step", 2)]}
        for answer in (
            await stranger.post(f"{path}/changes", json=body),
            await stranger.patch(path, json={"step": 2}, headers={"if-match": "*"}),
            await stranger.post(f"{BASE}/import", json={"exported": exported, "name": "x"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "schema_unknown")


async def test_a_socket_is_told_to_wait_where_the_kind_is_not_known(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with AsyncSessionManager(settings(database_url=url), kinds=[INTAKE]) as knowing:
        document = (await knowing.documents.open(Actor(user_id="ada"), "intake")).document
        async with served(database_url=url) as server:
            token = await server.token()
            async with connected(server.socket_url, cookie=token) as peer:
                await peer.open({"name": "intake"})
                assert (await peer.expect("initial_state"))["state"] == {"step": 1}
                await peer.change(setting(1, "/step", 2))
                refused = await peer.expect("error")
                assert (refused["code"], refused["retryable"], refused["ref"]) == (
                    "schema_unknown", True, document.document_id,
                )  # fmt: skip
        assert (await knowing.documents.get(Actor.system(), document.document_id)).version == 0


async def test_a_socket_follows_an_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    newer = replace(INTAKE, version=2, upgrades={1: lambda state: {**state, "upgraded": True}})
    async with AsyncSessionManager(settings(database_url=url), kinds=[INTAKE]) as older:
        await older.documents.open(Actor(user_id="ada"), "intake")
    async with (
        AsyncSessionManager(settings(database_url=url), kinds=[newer]) as new,
        served(database_url=url) as server,
        connected(server.socket_url, cookie=(await new.create_session("ada")).token) as peer,
    ):
        await peer.open({"name": "intake"})
        assert (await peer.expect("initial_state"))["state"] == {"step": 1}
        logged = await new.documents.change(Actor.system(), peer.document_id, [setting(1, "/step", 2)["operations"][0]])
        lines: list[dict[str, Any]] = []
        while len(lines) < 2:  # hints of another process may come one by one
            lines += (await peer.expect("state_update"))["changes"]
        assert [line["operations"][0]["op"] for line in lines] == ["replace", "set"]
        assert lines[0]["operations"][0]["value"] == {"step": 1, "upgraded": True}
        assert (lines[0]["device_no"], lines[1]["version"]) == (0, logged.version)
