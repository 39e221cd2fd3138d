"""After a long absence, over HTTP: outbox and backup in, verdicts and the merged state out, and nobody writes into what is not theirs."""

from __future__ import annotations

from typing import Any

from sessile.testing import shows
from tests.integration.server.running import client_of, service_of

DEVICE = "01900000-0000-7000-8000-00000000000a"
OTHER = "01900000-0000-7000-8000-00000000000b"


def change(seq: int, path: str, value: Any, base: int = 0) -> dict[str, Any]:
    operations = [{"op": "set", "path": path, "value": value}]
    return {"seq": seq, "base_version": base, "generation": 0, "operations": operations}


@shows("I06", "http")
async def test_outbox_and_backup_come_back_once() -> None:
    async with service_of() as service:
        issued = await service.manager.create_session("ada")
        path = f"/api/v0/session/{issued.session.session_id}/restore"
        async with client_of(service, token=issued.token) as client:
            opened = (await client.put("/api/v0/documents/by-name/form", json={"default": {"a": 1}})).json()
            body = {
                "document": {"document_id": opened["document_id"]},
                "device_id": DEVICE,
                "changes": [change(1, "/b", 2), change(2, "/c", 3)],
                "backup": {"epoch": opened["epoch"], "version": 0, "values": {"/d": 4}},
            }
            for _ in range(2):
                answer = (await client.post(path, json=body)).json()
                assert [verdict["verdict"] for verdict in answer["ack"]["verdicts"]] == ["applied", "applied"]
                assert (answer["nack"], answer["backup"]["verdict"]) == (None, "applied")
                assert answer["state"]["state"] == {"a": 1, "b": 2, "c": 3, "d": 4}
                assert (answer["state"]["version"], answer["state"]["last_seq"]) == (3, 2)
            gap = {**body, "changes": [change(9, "/e", 5)], "backup": None}
            answer = (await client.post(path, json=gap)).json()
            assert (answer["ack"], answer["nack"]["expected_seq"]) == (None, 3)


async def test_a_backup_meets_what_was_changed_meanwhile_as_a_conflict() -> None:
    async with service_of() as service:
        issued = await service.manager.create_session("ada")
        path = f"/api/v0/session/{issued.session.session_id}/restore"
        async with client_of(service, token=issued.token) as client:
            opened = (await client.put("/api/v0/documents/by-name/form", json={"default": {"a": 1}})).json()
            changes = {"device_id": OTHER, "changes": [change(1, "/a", "newer")]}
            await client.put("/api/v0/documents/by-name/form", json={"device_id": OTHER})
            await client.post(f"/api/v0/documents/{opened['document_id']}/changes", json=changes)
            body = {
                "document": {"name": "form"},
                "device_id": DEVICE,
                "backup": {"epoch": opened["epoch"], "version": 0, "values": {"/a": "older"}},
            }
            answer = (await client.post(path, json=body)).json()
            assert answer["ack"] is None
            assert {answer["state"]["conflicts"][0]["winner"], answer["state"]["conflicts"][0]["loser"]} == {
                "newer",
                "older",
            }


async def test_a_devices_own_newer_outbox_beats_its_backup() -> None:
    async with service_of() as service:
        issued = await service.manager.create_session("ada")
        path = f"/api/v0/session/{issued.session.session_id}/restore"
        async with client_of(service, token=issued.token) as client:
            opened = (await client.put("/api/v0/documents/by-name/form", json={"device_id": DEVICE})).json()
            body = {
                "document": {"name": "form"},
                "device_id": DEVICE,
                "changes": [change(1, "/a", "newer")],
                "backup": {
                    "epoch": opened["epoch"],
                    "version": 0,
                    "values": {"/a": "older", "/" + "k" * 200 + "/" + "l" * 200: 1},
                },
            }
            answer = (await client.post(path, json=body)).json()
            assert (answer["state"]["state"]["a"], answer["state"]["conflicts"]) == ("newer", [])


async def test_only_ones_own_session_and_documents() -> None:
    async with service_of() as service:
        ada, eve = await service.manager.create_session("ada"), await service.manager.create_session("eve")
        async with client_of(service, token=ada.token) as client, client_of(service, token=eve.token) as other:
            opened = (await client.put("/api/v0/documents/by-name/form", json={})).json()
            body: dict[str, Any] = {"document": {"document_id": opened["document_id"]}, "device_id": DEVICE}
            stolen = await other.post(f"/api/v0/session/{ada.session.session_id}/restore", json=body)
            assert (stolen.status_code, stolen.json()["code"]) == (404, "session_not_found")
            foreign = await other.post(f"/api/v0/session/{eve.session.session_id}/restore", json=body)
            assert (foreign.status_code, foreign.json()["code"]) == (404, "document_not_found")
            own = f"/api/v0/session/{ada.session.session_id}/restore"
            for wrong in (
                {**body, "document": {}},
                {**body, "backup": {"epoch": "e", "version": 0, "values": {}}},
                {**body, "backup": {"epoch": "e", "version": 0, "values": {"": {}}}},
                {**body, "backup": {"epoch": "e", "version": 0, "values": {"no pointer": 1}}},
                {**body, "changes": [{"seq": 1}]},
            ):
                assert (await client.post(own, json=wrong)).status_code == 422, wrong
