"""Presence over the facades: heartbeats, lapsing in the background and by hand, and what an outage does not do."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sessile import Actor, AsyncSessionManager, SessionManager, Settings
from sessile.model.presence import SessionPresence
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables
from tests.unit.runtime.test_manager import Clock

SETTINGS = Settings(presence_lease_s=35)


def test_without_background_work_leases_lapse_by_hand() -> None:
    clock = Clock()
    manager = SessionManager(SETTINGS, store=MemoryStore(), clock=clock)
    session_id = manager.create_session("ada").session.session_id
    device = "01900000-0000-7000-8000-00000000000a"
    session = manager.presence.heartbeat(session_id, device_id=device, device={"label": "Till"})
    assert (session.device_id, session.device) == (device, {"label": "Till"})
    assert manager.presence.of_sessions([session_id]) == {session_id: SessionPresence(True, 0, True)}
    clock.time += timedelta(seconds=34)
    assert manager.presence.lapse() == 0
    clock.time += timedelta(seconds=1)
    assert manager.presence.lapse() == 1
    assert manager.get_session(session_id).disconnected_at == clock.time


def test_the_devices_of_a_document_are_the_same_in_both_facades() -> None:
    async def asynchronous(tables: Tables) -> object:
        return await AsyncSessionManager(store=MemoryStore(tables)).documents.devices(actor, document_id)

    tables, actor = Tables(), Actor(user_id="ada", device_id="01900000-0000-7000-8000-00000000000a")
    manager = SessionManager(store=MemoryStore(tables))
    document_id = manager.documents.open(actor, "form").document.document_id
    (device,) = manager.documents.devices(actor, document_id)
    assert (device.device_no, device.is_own, device.is_connected) == (1, True, False)
    assert asyncio.run(asynchronous(tables)) == [device]


def test_any_process_lapses_the_leases_of_another() -> None:
    async def run() -> None:
        tables, clock = Tables(), Clock()
        one, other = (AsyncSessionManager(SETTINGS, store=MemoryStore(tables), clock=clock) for _ in range(2))
        session_id = (await one.create_session("ada")).session.session_id
        await one.presence.heartbeat(session_id)
        for _ in range(3):
            await other._background.lapse()
            clock.time += timedelta(seconds=10)
            assert (await one.get_session(session_id)).disconnected_at is None
        clock.time += timedelta(seconds=5)
        await other._background.lapse()
        assert (await one.get_session(session_id)).disconnected_at == clock.time

    asyncio.run(run())


def test_after_an_outage_everybody_gets_the_time_to_renew() -> None:
    async def run() -> None:
        clock = Clock()
        manager = AsyncSessionManager(SETTINGS, store=MemoryStore(), clock=clock)
        session_id = (await manager.create_session("ada")).session.session_id
        await manager.presence.heartbeat(session_id)
        await manager._background.lapse()
        clock.time += timedelta(seconds=60)  # nobody could renew anything
        for _ in range(4):
            await manager._background.lapse()
            assert (await manager.get_session(session_id)).disconnected_at is None
            clock.time += timedelta(seconds=10)
        await manager._background.lapse()
        assert (await manager.get_session(session_id)).disconnected_at == clock.time

    asyncio.run(run())
