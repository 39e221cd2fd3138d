"""What the console's API tells and does, over HTTP, on memory and SQLite."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sessile.model.document import Actor
from sessile.model.operator_access import Role
from sessile.model.platform import PlatformEntry
from sessile.model.presence import PresenceLease
from sessile.runtime.settings import Settings
from tests.integration.server.console.bench import Bench, Operator, console

DEVICE = "01900000-0000-7000-8000-00000000000a"
SECRET = "a-secret-that-nobody-shall-see-8Qw2Zr5LmX"


@dataclass
class Scene:
    """Ada with two sessions, one of them connected, and a document; an operator and an admin."""

    bench: Bench
    operator: Operator
    admin: Operator
    here: str
    away: str
    document_id: str


@asynccontextmanager
async def scene(**settings: Any) -> AsyncIterator[Scene]:
    async with console(**settings) as bench:
        manager = bench.manager
        await manager.sync_platforms("ada", [PlatformEntry(platform_id=f"p{n}", name=f"Shop {n}") for n in (1, 2)])
        here = (await manager.create_session("ada", device={"label": "Firefox"}, data={"hidden": SECRET})).session
        bench.clock.advance(1)
        away = (await manager.create_session("ada")).session
        document = await manager.documents.open(Actor(user_id="ada", device_id=DEVICE), "form", default={"a": 1})
        now = bench.clock.now()
        lease = PresenceLease(
            node_id="n1",
            session_id=here.session_id,
            device_id=DEVICE,
            label="Firefox",
            tabs=2,
            seen_at=now,
            lease_until=now + timedelta(hours=9),
        )
        await manager.presence.connected([lease])
        yield Scene(
            bench,
            await bench.sign_in(),
            await bench.sign_in(Role.ADMIN, "root"),
            here.session_id,
            away.session_id,
            document.document.document_id,
        )


@pytest.fixture(params=["memory", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/sessile.db"


async def test_sessions_are_found_and_shown(database: str) -> None:
    async with scene(database_url=database) as at:
        page = await at.operator.json("/sessions", q="user:ada", limit=1)
        assert (page["total"], page["sessions"][0]["session_id"]) == (2, at.away)
        assert page["query"]["terms"] == [{"qualifier": "user", "value": "ada"}]
        page = await at.operator.json("/sessions", q="user:ada", limit=1, after=page["after"])
        row = page["sessions"][0]
        assert (row["session_id"], row["state"], row["device"], row["tabs"]) == (at.here, "online", "Firefox", 2)
        assert row["nodes"] == ["n1"]
        shown = await at.operator.json(f"/sessions/{at.here}")
        assert shown["session"].items() >= row.items()
        assert [one["label"] for one in shown["devices"]] == ["Firefox"]
        assert [one["id"] for one in shown["platforms"]] == ["p1", "p2"]
        assert [one["name"] for one in shown["documents"]] == ["form"]
        assert shown["user"]["sessions"] == 2
        assert SECRET not in json.dumps(shown)
        wrong = await at.operator.get("/sessions", q="colour:red")
        assert (wrong.status_code, wrong.json().get("path")) == (422, "/q")
        for missing in ("x", "01890000-0000-7000-8000-000000000000"):
            assert (await at.operator.get(f"/sessions/{missing}")).status_code == 404


async def test_one_is_ended_and_everybody_sees_who_did_it(database: str) -> None:
    async with scene(database_url=database) as at:
        answer = await at.operator.post(f"/sessions/{at.here}/end", reason="stolen laptop")
        assert answer.json() == {"ended": 1, "already_over": 0, "sockets": 2}
        again = await at.operator.post(f"/sessions/{at.here}/end", reason="stolen laptop")
        assert again.json() == {"ended": 0, "already_over": 1, "sockets": 0}
        assert not await at.bench.manager.validate_session(at.here)
        (act,) = await at.bench.acts(f"session:{at.here}")
        assert (act["by"], act["reason"], act["before"]) == ("ada", "stolen laptop", {"state": "online"})
        for action in ("extend", "resync"):
            refused = await at.operator.post(f"/sessions/{at.here}/{action}", reason="x")
            assert (refused.status_code, refused.json().get("code")) == (409, "session_over")
        timeline = await at.operator.json(f"/sessions/{at.here}/timeline")
        assert {"operator_acted", "session_ended", "session_created"} <= {one["name"] for one in timeline["entries"]}
        times = [one["at"] for one in timeline["entries"]]
        assert times == sorted(times, reverse=True)


async def test_many_are_ended_only_with_their_number() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        ids = [(await bench.manager.create_session("bob")).session.session_id for _ in range(21)]
        for body in (
            {"session_ids": ids},
            {"session_ids": ids, "confirm": 20},
            {"q": "user:bob"},
            {"q": "user:bob", "confirm": 22},
        ):
            refused = await operator.post("/sessions/end", reason="x", **body)
            assert (refused.status_code, refused.json().get("count")) == (409, 21)
        assert (await operator.post("/users/bob/end", reason="x")).json().get("code") == "confirmation_needed"
        done = await operator.post("/sessions/end", reason="x", q="user:bob", confirm=21)
        assert done.json() == {"ended": 21, "already_over": 0, "sockets": 0, "remaining": 0}
        assert (await operator.json("/sessions", q="state:ended user:bob"))["total"] == 21
        few = await operator.post("/sessions/end", reason="x", session_ids=ids[:20])
        assert few.json()["already_over"] == 20
        wrong: list[dict[str, Any]] = [
            {},
            {"q": "user:bob", "session_ids": ids},
            {"session_ids": []},
            {"session_ids": ["x"]},
        ]
        for given in wrong:
            assert (await operator.post("/sessions/end", reason="x", **given)).status_code == 422


async def test_a_session_is_extended_moved_and_told_to_look_again(database: str) -> None:
    async with scene(database_url=database) as at:
        at.bench.clock.advance(600)
        extended = (await at.operator.post(f"/sessions/{at.here}/extend", reason="call")).json()
        assert extended["moved"] is True
        switched = await at.operator.post(
            f"/sessions/{at.here}/platform", platform_id="p2", expected="p1", reason="call"
        )
        assert switched.json()["session"]["platform_id"] == "p2"
        late = await at.operator.post(f"/sessions/{at.here}/platform", platform_id="p2", expected="p1", reason="call")
        assert (late.status_code, late.json().get("code")) == (409, "version_conflict")
        foreign = await at.operator.post(f"/sessions/{at.here}/platform", platform_id="p9", reason="call")
        assert foreign.json().get("code") == "platform_refused"
        told: list[Any] = []
        at.bench.manager.subscribe(lambda events: told.extend(events))
        assert (await at.operator.post(f"/sessions/{at.here}/resync", reason="call")).json() == {
            "sockets": 2,
            "documents": 0,
        }
        assert [(one.kind, one.key) for one in told] == [("session_changed", at.here)]
        acts = [
            (act["action"], act.get("before"), act.get("after")) for act in await at.bench.acts(f"session:{at.here}")
        ]
        assert [act[0] for act in acts] == [
            "extend",
            "switch_platform",
            "switch_platform",
            "switch_platform_failed",
            "resync",
        ]
        assert acts[1][1:] == ({"platform_id": "p1"}, {"platform_id": "p2"})


async def test_a_user_is_shut_out_and_let_in(database: str) -> None:
    async with scene(database_url=database) as at:
        shown = await at.operator.json("/users/ada")
        assert (shown["user"]["sessions"], len(shown["sessions"]), len(shown["documents"])) == (2, 2, 1)
        assert (await at.operator.get("/users/nobody")).status_code == 404
        disabled = (await at.admin.post("/users/ada/disable", reason="fraud")).json()
        assert (disabled["ended"], disabled["user"]["sessions"]) == (2, 0)
        assert disabled["user"]["disabled_at"] is not None
        enabled = (await at.admin.post("/users/ada/enable", reason="mistake")).json()
        assert enabled["user"]["disabled_at"] is None
        await at.bench.manager.create_session("ada")
        assert (await at.operator.post("/users/ada/end", reason="x")).json()["ended"] == 1
        acts = [(act["action"], act["by"]) for act in await at.bench.acts("user:ada")]
        assert acts == [("disable", "root"), ("enable", "root"), ("end_sessions", "ada")]


async def test_a_document_goes_back_after_a_look(database: str) -> None:
    async with scene(database_url=database) as at:
        documents, path = at.bench.manager.documents, f"/documents/{at.document_id}"
        system = Actor.system()
        kept = await documents.checkpoint(system, at.document_id, label="good")
        await documents.change(system, at.document_id, [{"op": "set", "path": "/a", "value": 2}])
        shown = await at.operator.json(path)
        assert shown["document"]["version"] == 1
        assert "state" not in json.dumps(shown)
        assert (await at.operator.json(f"{path}/state"))["state"] == {"a": 2}
        assert (await at.operator.json(f"{path}/state", at=kept.checkpoint_id))["state"] == {"a": 1}
        diff = await at.operator.json(f"{path}/diff", **{"from": kept.checkpoint_id, "to": "now"})
        assert diff["differences"] == [{"path": "/a", "from": 1, "to": 2}]
        look = await at.operator.post(f"{path}/restore", checkpoint_id=kept.checkpoint_id, dry_run=True)
        assert look.json() == {"dry_run": True, "version": 1, "differences": [{"path": "/a", "from": 2, "to": 1}]}
        body = {"checkpoint_id": kept.checkpoint_id, "dry_run": False, "reason": "undo"}
        assert (await at.operator.post(f"{path}/restore", **body)).json().get("path") == "/expected_version"
        late = await at.operator.post(f"{path}/restore", **body, expected_version=0)
        assert (late.status_code, late.json().get("code")) == (409, "version_conflict")
        done = (await at.operator.post(f"{path}/restore", **body, expected_version=1)).json()
        assert done["version"] == 2
        assert (await documents.get(system, at.document_id)).state == {"a": 1}
        assert done["before"] in {
            one["checkpoint_id"] for one in (await at.operator.json(f"{path}/checkpoints"))["checkpoints"]
        }
        fork = await at.operator.post(f"{path}/fork", name="copy", at=1, reason="compare")
        assert (fork.status_code, fork.json()["document"]["owner_user_id"]) == (201, "ada")
        acts = [act["action"] for act in await at.bench.acts(f"document:{at.document_id}")]
        assert acts == [
            "show_state",
            "show_state",
            "diff",
            "restore_preview",
            "restore",
            "restore_failed",
            "restore",
            "fork",
        ]


async def test_who_may_not_see_content_sees_none_in_the_history() -> None:
    async with scene() as at:
        operations = [{"op": "set", "path": "/a", "value": SECRET}]
        await at.bench.manager.documents.change(Actor.system(), at.document_id, operations)
        looker = await at.bench.sign_in(Role.READ_ONLY, "eve")
        history = await looker.json(f"/documents/{at.document_id}/history")
        change = next(one["change"] for one in history["entries"] if one["type"] == "change")
        assert change.get("paths") == ["/a"]
        assert SECRET not in json.dumps(history)
        seen = await at.operator.json(f"/documents/{at.document_id}/history")
        assert SECRET in json.dumps(seen)


async def test_the_audit_log_is_found_verified_and_copied(database: str) -> None:
    async with scene(database_url=database) as at:
        await at.operator.post(f"/sessions/{at.here}/end", reason="=cmd|' /C calc'!A0")
        found = await at.operator.json("/audit", by="ada", type="operator_acted")
        assert [one["session_id"] for one in found["events"]] == [at.here]
        page = await at.operator.json("/audit", limit=2)
        rest = await at.operator.json("/audit", limit=500, before=page["before"])
        ids = [one["id"] for one in [*page["events"], *rest["events"]]]
        assert len(ids) == len(set(ids)) > 5
        verified = await at.operator.json("/audit/verify")
        assert (verified["ok"], verified["faults"]) == (True, [])
        csv_file = await at.admin.get("/audit/export", format="csv")
        assert csv_file.headers["content-disposition"].startswith('attachment; filename="sessile-audit-')
        rows = list(csv.DictReader(io.StringIO(csv_file.text)))
        assert all(not cell.startswith(("=", "+", "@", "-")) for row in rows for cell in row.values())
        lines = (await at.admin.get("/audit/export", stream=f"session:{at.here}")).text.splitlines()
        assert [json.loads(line)["stream"] for line in lines] == [f"session:{at.here}"] * len(lines)
        assert len(lines) >= 3
        acts = [act["action"] for act in await at.bench.acts() if act["type"] == "operator_acted"]
        assert acts == ["audit_export", "audit_export"]
        for wrong in ({"since": "yesterday"}, {"before": "x"}, {"limit": "0"}):
            assert (await at.operator.get("/audit", **wrong)).status_code == 422


async def test_devices_numbers_and_parts(database: str) -> None:
    async with scene(database_url=database) as at:
        devices = await at.operator.json("/devices", q="fire")
        assert [(one["session_id"], one["user_id"], one["tabs"]) for one in devices["devices"]] == [(at.here, "ada", 2)]
        at.bench.count_anew()
        overview = await at.operator.json("/overview")
        assert overview["counts"] == {
            "live": 2, "online": 1, "degraded": 0, "offline": 0, "quiet": 1, "users": 1, "anonymous": 0, "overdue": 0,
        }  # fmt: skip
        assert [(one["node_id"], one["sessions"], one["tabs"]) for one in overview["nodes"]] == [("n1", 1, 2)]
        history = overview["history"]
        assert {len(values) for values in history["series"].values()} == {len(history["at_s"])} == {60}
        for window, count in (("1h", 180), ("24h", 288)):
            assert len((await at.operator.json("/overview", window=window))["history"]["at_s"]) == count
        health = await at.operator.json("/health")
        assert {one["name"]: one["state"] for one in health["components"]}.items() >= {
            "database": "ok",
            "redis": "off",
        }.items()
        assert health["state"] == "ok"


async def test_settings_are_told_without_secrets() -> None:
    async with console(secret_keys=SECRET, database_url="memory://", service_key=SECRET + "2") as bench:
        admin = await bench.sign_in(Role.ADMIN)
        told = await admin.json("/settings")
        by_name = {one["name"]: one for one in told["settings"]}
        assert set(by_name) == set(Settings.model_fields)
        assert (by_name["service_key"]["value"], by_name["service_key"]["is_secret"]) == ("set", True)
        for unset in ("redis_url", "encryption_keys", "alert_webhook_url"):
            assert (by_name[unset]["value"], by_name[unset]["is_secret"]) == (None, True), unset
        assert by_name["idle_timeout_s"]["is_default"] is True
        assert SECRET not in json.dumps(told)
        about = await admin.json("/about")
        assert about["database"] == "memory"
        assert {"name", "version", "licence"} == set(about["licences"][0])


async def test_an_outage_signs_nobody_out(tmp_path: Path) -> None:
    async with console(database_url=f"sqlite:///{tmp_path}/sessile.db") as bench:
        operator = await bench.sign_in()
        store = bench.manager._store
        await store.close()
        answer = await operator.get("/overview")
        assert (answer.status_code, answer.json().get("code")) == (503, "store_unavailable")
        assert "set-cookie" not in answer.headers
        await store.open()
        assert (await operator.get("/overview")).status_code == 200
