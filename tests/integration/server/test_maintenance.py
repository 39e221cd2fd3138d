"""Maintenance at the sockets: people are told, sockets are sent away bit by bit and with a time, who is spared stays, work is kept, and all come back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessile.model.document import Owner
from sessile.model.errors import StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.server.realtime import maintenance
from tests.integration.server.peer import connected, hello, setting
from tests.integration.server.running import SERVICE_KEY, Running, process_on, served, until
from tests.integration.server.stream import streaming

INTAKE = {"name": "intake"}
SENT = 20


@pytest.mark.server
async def test_two_processes_drain_keep_what_was_sent_spare_admins_and_come_back(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    with process_on(database) as first, process_on(database) as second, operator(database) as manager:
        tokens = {user_id: first.token(user_id) for user_id in ("ada", "bea", "cyd")}
        manager.change_principal("ada", roles=["admin"])
        async with (
            connected(first.socket_url, cookie=tokens["ada"]) as spared,
            connected(second.socket_url, cookie=tokens["bea"]) as worker,
            connected(first.socket_url, cookie=tokens["cyd"]) as idle,
        ):
            for peer in (spared, worker, idle):
                await peer.open(INTAKE)
            for seq in range(1, SENT + 1):
                await worker.change(setting(seq, f"/n{seq}", seq))
            begin: dict[str, Any] = {"until": datetime.now(UTC) + timedelta(minutes=10), "roles_spared": ["admin"]}
            await asyncio.to_thread(manager.maintenance.begin, "Back at noon", drain_sockets=True, **begin)
            for peer in (spared, worker, idle):
                told = (await peer.expect("maintenance"))["maintenance"]
                assert told["message"] == "Back at noon"
            for peer in (worker, idle):
                goaway = await peer.expect("goaway")
                assert (goaway["reason"], goaway["retry_min_ms"]) == ("maintenance", 60_000)
                assert goaway["retry_max_ms"] >= goaway["retry_min_ms"] + 20_000, "they come back spread"
                assert await peer.expect_close() == 4000, "which is no log-out: clients come back"
            sent = setting(1, "/a", 1)
            await spared.change(sent)
            assert (await spared.expect("ack"))["verdicts"][0]["verdict"] == "applied", "who is spared works on"
            # Nothing that the server had taken is lost, whether its answer was still heard or not.
            kept = await asyncio.to_thread(kept_of, manager, "bea")
            heard = [frame["seq"] for frame in worker.frames if frame["type"] == "ack"]
            assert len(kept) >= max(heard, default=0)
            assert list(kept.values()) == list(range(1, len(kept) + 1)), "and nothing is left out"
            await asyncio.to_thread(refused_log_in, second.origin)
            await asyncio.to_thread(goes_on, second.origin, tokens["bea"])
            async with connected(second.socket_url, cookie=tokens["bea"]) as early:
                await early.send(hello(INTAKE))
                assert (await early.expect("goaway"))["reason"] == "maintenance"
                assert await early.expect_close() == 4000
                assert "welcome" not in early.kinds()
            async with connected(second.socket_url, cookie=tokens["ada"]) as also_spared:
                await also_spared.open(INTAKE)
                assert (await also_spared.expect("maintenance"))["maintenance"]["message"] == "Back at noon"
                assert await asyncio.to_thread(manager.maintenance.end) is True
                for peer in (spared, also_spared):  # one on each process: both know it
                    assert (await peer.expect("maintenance"))["maintenance"] is None
        async with connected(second.socket_url, cookie=tokens["bea"]) as back:
            await back.open(INTAKE)
            assert (await back.expect("initial_state"))["state"] == kept
            assert "maintenance" not in back.kinds()
        assert first.token("dan"), "and who is new comes in"


async def test_what_is_announced_is_told_at_once_begins_by_itself_and_lapses() -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        since = server.manager.clock.now() + timedelta(seconds=0.4)
        times: dict[str, Any] = {"since": since, "until": since + timedelta(seconds=0.4)}
        await server.manager.maintenance.begin("soon", drain_sockets=True, **times)
        told = await peer.expect("maintenance")
        assert told["maintenance"]["since"] < told["maintenance"]["until"]
        await peer.barrier()  # until then nothing else happens
        assert server.manager.clock.now() >= since or "goaway" not in peer.kinds()
        goaway = await peer.expect("goaway")
        assert goaway["retry_min_ms"] == 1000 * maintenance.RETRY_MIN_S
        assert await peer.expect_close() == 4000
        await until(lambda: not server.service.hub.maintenance.is_draining)
        async with connected(server.socket_url, cookie=await server.token()) as back:
            await back.open(INTAKE)


async def test_streams_of_events_are_told_and_sent_away_like_sockets() -> None:
    async with served() as server, streaming(server.origin, INTAKE, cookie=await server.token()) as stream:
        await stream.expect("welcome")
        await server.manager.maintenance.begin("now", drain_sockets=True)
        assert (await stream.expect("maintenance"))["maintenance"]["until"] is None
        assert (await stream.expect("goaway"))["reason"] == "maintenance"
        assert await stream.expect_close() == 4000


async def test_without_a_drain_people_are_only_told_and_anonymous_ones_are_sent_away_with_it() -> None:
    async with served(drain_timeout_s=0.2) as server:
        ada, nobody = await server.token(), await server.token(None)
        await server.manager.change_principal("ada", roles=["admin"])
        async with (
            connected(server.socket_url, cookie=ada) as peer,
            connected(server.socket_url, cookie=nobody) as other,
        ):
            for one in (peer, other):
                await one.open(INTAKE)
            await server.manager.maintenance.begin("look", roles_spared=["admin"])
            for one in (peer, other):
                await one.expect("maintenance")
                await one.barrier()
                assert "goaway" not in one.kinds()
            await server.manager.maintenance.begin("now", roles_spared=["admin"], drain_sockets=True)
            assert await other.expect_close() == 4000
            await peer.barrier()
            assert "goaway" not in peer.kinds()


async def test_news_that_was_missed_is_found_with_a_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        served(ping_interval_s=0.2) as server,
        connected(server.socket_url, cookie=await server.token()) as peer,
    ):
        await peer.open(INTAKE)
        monkeypatch.setattr("sessile.engine.maintenance.Event", lambda *_: Event(EventKind.ANOMALY, ""))
        await server.manager.maintenance.begin("unheard")
        assert (await peer.expect("maintenance"))["maintenance"]["message"] == "unheard"


async def test_nobody_is_sent_away_on_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as server, connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)

        async def away(_user_id: str) -> Any:
            raise StoreUnavailable

        monkeypatch.setattr(server.manager, "get_principal", away)
        await server.manager.maintenance.begin("now", roles_spared=["admin"], drain_sockets=True)
        await peer.expect("maintenance")
        await until(lambda: server.service.hub.maintenance.is_draining)
        await peer.barrier()
        assert "goaway" not in peer.kinds(), "whose roles cannot be read stays until they can"


async def test_many_sockets_are_closed_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "TURNS", 3)
    async with served(drain_timeout_s=0.9) as server:
        greeted: list[float] = []
        sent: list[float] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(stays_until_sent_away(server, greeted, sent))
            await until(lambda: len(greeted) == 6)
            await server.manager.maintenance.begin("now", drain_sockets=True)
        assert max(sent) - min(sent) >= 0.5, "two in each of three turns"


async def stays_until_sent_away(server: Running, greeted: list[float], sent: list[float]) -> None:
    async with connected(server.socket_url, cookie=await server.token()) as peer:
        await peer.open(INTAKE)
        now = asyncio.get_running_loop().time
        greeted.append(now())
        await peer.expect("goaway")
        sent.append(now())
        assert await peer.expect_close() == 4000


def operator(database: Path) -> SessionManager:
    return SessionManager(Settings(database_url=f"sqlite:///{database}"))


def kept_of(manager: SessionManager, user_id: str) -> dict[str, Any]:
    (document,) = manager.operators.documents(Owner(user_id=user_id))
    return dict(document.state)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def goes_on(origin: str, token: str) -> None:
    seen = httpx.get(f"{origin}/api/v0/session", headers=bearer(token), timeout=10).json()
    assert seen["authenticated"] is True
    assert seen["maintenance"]["message"] == "Back at noon"


def refused_log_in(origin: str) -> None:
    answer = httpx.post(f"{origin}/api/v0/sessions", json={"user_id": "eve"}, headers=bearer(SERVICE_KEY), timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (503, "maintenance")
    assert 500 < int(answer.headers["retry-after"]) <= 600
    assert answer.json()["until"] is not None
