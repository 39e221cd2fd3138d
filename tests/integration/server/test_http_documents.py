"""Documents, changes and checkpoints over HTTP, next to what a socket sees of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx

from sessile.server.app import Service
from sessile.testing import shows
from tests.integration.server.peer import connected, device, setting, valid
from tests.integration.server.running import client_of, served, service_of

BASE = "/api/v0/documents"


@asynccontextmanager
async def ada() -> AsyncIterator[tuple[Service, httpx.AsyncClient, str]]:
    """A logged-in client and the path of its document."""
    async with service_of() as service:
        await service.open()
        token = (await service.manager.create_session("ada")).token
        async with client_of(service, token=token) as client:
            opened = await client.put(f"{BASE}/by-name/intake", json={"default": {"step": 1}})
            assert opened.status_code == 201
            yield service, client, f"{BASE}/{opened.json()['document_id']}"


@shows("I01", "http")
async def test_open_list_read_and_archive() -> None:
    async with ada() as (_, client, path):
        again = await client.put(f"{BASE}/by-name/intake", json={"default": {"other": 1}, "device_id": device()})
        assert (again.status_code, again.json()["state"], again.json()["device_no"]) == (200, {"step": 1}, 1)
        listed = (await client.get(BASE)).json()["documents"]
        assert [(entry["name"], "state" in entry) for entry in listed] == [("intake", False)]
        read = await client.get(path)
        assert read.json()["state"] == {"step": 1}
        assert (await client.get(path, headers={"if-none-match": read.headers["etag"]})).status_code == 304
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(BASE)).json()["documents"] == []
        assert (await client.put(f"{BASE}/by-name/intake")).status_code == 201


async def test_names_may_hold_anything_readable() -> None:
    async with ada() as (_, client, _path):
        for name in ("a/b", "Ümläut 日本", "per cent %", "dots..", "q?x#y"):
            answer = await client.put(f"{BASE}/by-name/{quote(name, safe='')}")
            assert (answer.status_code, answer.json()["name"]) == (201, name)
        for name, status in (("%00", 422), ("a%0Ab", 404), ("x" * 201, 422)):
            assert (await client.put(f"{BASE}/by-name/{name}")).status_code == status


@shows("I02", "http")
async def test_a_merge_patch_needs_the_version_it_was_made_for() -> None:
    async with ada() as (_, client, path):
        tag = (await client.get(path)).headers["etag"]
        assert (await client.patch(path, json={"a": 1})).status_code == 428
        changed = await client.patch(path, json={"a": 1, "step": None}, headers={"if-match": tag})
        assert (changed.status_code, changed.json()["state"]) == (200, {"a": 1})
        stale = await client.patch(path, json={"a": 2}, headers={"if-match": tag})
        assert (stale.status_code, stale.json()["current"]) == (412, changed.headers["etag"])
        for wrong in ("nonsense", f"W/{tag}", '"x.1"'):
            assert (await client.patch(path, json={"a": 2}, headers={"if-match": wrong})).status_code == 412
        current = await client.get(path)
        assert (current.json()["state"], current.headers["etag"]) == ({"a": 1}, changed.headers["etag"])
        blind = await client.patch(path, json={"a": 3}, headers={"if-match": "*"})
        assert blind.json()["state"] == {"a": 3}
        listed = await client.patch(path, json={"a": 4}, headers={"if-match": f'"other.1", {blind.headers["etag"]}'})
        assert listed.status_code == 200


async def test_of_two_patches_made_for_one_version_one_is_refused() -> None:
    async with ada() as (_, client, path):
        tag = (await client.get(path)).headers["etag"]
        answers = await asyncio.gather(
            *(client.patch(path, json={"winner": n}, headers={"if-match": tag}) for n in range(8))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
        winner = next(answer for answer in answers if answer.status_code == 200)
        assert (await client.get(path)).json()["state"]["winner"] == winner.json()["state"]["winner"]


@shows("G03", "http")
async def test_the_outbox_over_http_is_answered_like_on_the_socket() -> None:
    async with ada() as (_, client, path):
        body = {"device_id": device(), "changes": [setting(1, "/a", 1), setting(2, "/a", 2)]}
        ack = await client.post(f"{path}/changes", json=body)
        assert [verdict["version"] for verdict in valid(ack.json())["verdicts"]] == [1, 2]
        assert (await client.post(f"{path}/changes", json=body)).json() == ack.json()
        gap = await client.post(f"{path}/changes", json={**body, "changes": [setting(5, "/a", 5)]})
        assert (gap.status_code, valid(gap.json())["expected_seq"]) == (409, 3)
        reused = await client.post(f"{path}/changes", json={**body, "changes": [setting(2, "/a", "other")]})
        assert (reused.status_code, valid(reused.json())["reason"]) == (409, "identity_reused")
        bad = await client.post(f"{path}/changes", json={**body, "changes": [{}]})
        assert (bad.status_code, bad.json()["code"], bad.json()["path"]) == (422, "invalid_change", "/changes/0/seq")


@shows("G03", "http")
async def test_what_happened_since() -> None:
    async with ada() as (_, client, path):
        snapshot = valid((await client.get(f"{path}/changes")).json())
        epoch, device_id = snapshot["epoch"], device()
        body = {"device_id": device_id, "changes": [setting(seq, "/a", seq) for seq in (1, 2, 3)]}
        await client.post(f"{path}/changes", json=body)
        delta = valid((await client.get(f"{path}/changes", params={"since": f"{epoch}.1"})).json())
        assert (delta["type"], delta["from"], delta["to"]) == ("state_update", 1, 3)
        same = valid((await client.get(f"{path}/changes", params={"since": f"{epoch}.3"})).json())
        assert (same["from"], same["to"], same["changes"]) == (3, 3, [])
        for since in (f"{epoch}.9", "other.1"):
            params = {"since": since, "device_id": device_id}
            whole = valid((await client.get(f"{path}/changes", params=params)).json())
            assert (whole["type"], whole["version"], whole["last_seq"]) == ("initial_state", 3, 3)
        for wrong in ("", "x", f"{epoch}.-1", f"{epoch}.1.2", f"{epoch}."):
            assert (await client.get(f"{path}/changes", params={"since": wrong})).status_code == 422


@shows("I03", "I05", "http")
async def test_checkpoints_and_restore() -> None:
    async with ada() as (_, client, path):
        body = {"label": "first", "request_id": "r1"}
        made = await client.post(f"{path}/checkpoints", json=body)
        assert (made.status_code, made.json()["label"]) == (201, "first")
        assert (await client.post(f"{path}/checkpoints", json=body)).json() == made.json()
        await client.patch(path, json={"a": 1}, headers={"if-match": "*"})
        checkpoint_id = made.json()["checkpoint_id"]
        preview = await client.post(f"{path}/restore", json={"checkpoint_id": checkpoint_id, "dry_run": True})
        assert preview.json()["differences"] == [{"path": "/a", "current": 1}]
        late = await client.post(f"{path}/restore", json={"checkpoint_id": checkpoint_id, "version": 0})
        assert (late.status_code, late.json()["code"]) == (409, "version_conflict")
        restored = await client.post(f"{path}/restore", json={"checkpoint_id": checkpoint_id})
        assert (valid(restored.json())["version"], restored.json()["generation"]) == (2, 1)
        assert (await client.get(path)).json()["state"] == {"step": 1}
        kinds = [entry["kind"] for entry in (await client.get(f"{path}/checkpoints")).json()["checkpoints"]]
        assert kinds == ["before_restore", "manual"]
        unknown = await client.post(f"{path}/restore", json={"checkpoint_id": device()})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "checkpoint_not_found")


@shows("I07", "http")
async def test_conflicts_and_activity() -> None:
    async with ada() as (_, client, path):
        for number in range(2):
            body = {"device_id": device(), "changes": [setting(1, "/step", 10 + number)]}
            await client.post(f"{path}/changes", json=body)
        (conflict,) = (await client.get(f"{path}/conflicts")).json()["conflicts"]
        assert (conflict["path"], conflict["base"], conflict["winner"], conflict["loser"]) == ("/step", 1, 11, 10)
        page = (await client.get(f"{path}/activity", params={"limit": 2})).json()
        assert [entry["change"]["version"] for entry in page["entries"]] == [2, 1]
        rest = (await client.get(f"{path}/activity", params={"before": page["before"]})).json()
        assert ([entry["type"] for entry in rest["entries"]], rest["before"]) == (["document_created"], None)


async def test_foreign_documents_answer_like_unknown_ones_everywhere() -> None:
    async with ada() as (service, client, path):
        mine = (await client.get(path)).json()
        checkpoint_id = (await client.post(f"{path}/checkpoints")).json()["checkpoint_id"]
        eve_token = (await service.manager.create_session("eve")).token
        async with client_of(service, token=eve_token) as eve:
            changes = {"device_id": device(), "changes": [setting(1, "/a", 1)]}
            for base in (path, f"{BASE}/{device()}"):
                answers = [
                    await eve.get(base),
                    await eve.patch(base, json={"a": 1}, headers={"if-match": "*"}),
                    await eve.delete(base),
                    await eve.get(f"{base}/changes"),
                    await eve.post(f"{base}/changes", json=changes),
                    await eve.get(f"{base}/conflicts"),
                    await eve.get(f"{base}/activity"),
                    await eve.get(f"{base}/checkpoints"),
                    await eve.post(f"{base}/checkpoints"),
                    await eve.post(f"{base}/restore", json={"checkpoint_id": checkpoint_id}),
                ]
                assert {(a.status_code, a.json()["code"]) for a in answers} == {(404, "document_not_found")}
                assert len({a.text for a in answers}) == 1
            assert (await eve.get(BASE)).json() == {"documents": []}
        assert (await client.get(path)).json() == mine


async def test_what_http_changes_a_socket_sees() -> None:
    async with served() as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as peer, client_of(server.service, token=token) as client:
            await peer.open({"name": "intake"})
            await peer.expect("initial_state")
            await client.patch(f"{BASE}/{peer.document_id}", json={"a": 1}, headers={"if-match": "*"})
            assert (await peer.expect("state_update"))["to"] == 1
