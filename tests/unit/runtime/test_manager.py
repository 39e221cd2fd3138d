"""The facades: opening and closing, touches, background work, listeners, and what an outage does not do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sessile import (
    Actor,
    AsyncSessionManager,
    ConfigurationError,
    SessionManager,
    SessionNotFound,
    Settings,
    StoreUnavailable,
)
from sessile.model.events import Event, EventKind
from sessile.model.limits import REPLAY_CHANGES_MAX
from sessile.runtime.lane import CoreSuspended, drive
from sessile.stores.memory import MemoryStore
from sessile.stores.sql import AsyncSqliteStore
from sessile.testing import shows

T = TypeVar("T")


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class FlakyStore(MemoryStore):
    """Away while `is_away`."""

    is_away = False

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        if self.is_away:
            raise StoreUnavailable
        return await super().write(work, *args)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        if self.is_away:
            raise StoreUnavailable
        return await super().read(work, *args)


def test_opening_and_closing_twice_is_no_harm(tmp_path: Path) -> None:
    async def run() -> None:
        manager = AsyncSessionManager(Settings(database_url=f"sqlite:///{tmp_path}/a.db"))
        await manager.open()
        await manager.open()
        await manager.ready()
        await manager.close()
        await manager.close()
        with pytest.raises(StoreUnavailable):
            await manager.ready()
        await manager.open()
        await manager.ready()
        await manager.close()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["mysql://h/db", "postgresql://h", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_a_database_that_is_not_supported_is_refused_with_the_fix(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_DATABASE_URL"):
        AsyncSessionManager(Settings(database_url=url))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    manager = SessionManager(Settings(database_url=f"sqlite:///{tmp_path}/missing/a.db"))
    with pytest.raises(ConfigurationError, match="missing"):
        manager.open()


def test_the_blocking_facade_refuses_a_store_that_waits(tmp_path: Path) -> None:
    manager = SessionManager(Settings(), store=AsyncSqliteStore(f"sqlite:///{tmp_path}/a.db"))

    async def run() -> None:
        with pytest.raises(CoreSuspended):
            manager.open()

    asyncio.run(run())


def test_drive_gives_results_and_errors() -> None:
    async def seven() -> int:
        return 7

    async def wrong() -> int:
        raise SessionNotFound

    assert drive(seven()) == 7
    with pytest.raises(SessionNotFound):
        drive(wrong())


def test_activity_is_written_together_and_survives_an_outage() -> None:
    async def run() -> None:
        store, clock = FlakyStore(), Clock()
        async with AsyncSessionManager(store=store, clock=clock) as manager:
            issued = await manager.create_session("ann")
            clock.time += timedelta(hours=12)
            store.is_away = True
            await manager.touch_session(issued.session)
            with pytest.raises(StoreUnavailable):
                await manager._touches.write()
            store.is_away = False
            await manager._touches.write()
            session = await manager.get_session(issued.session.session_id)
            assert session.last_seen_at == clock.time
            assert session.idle_expires_at == clock.time + timedelta(hours=24)
            assert session.version == issued.session.version

    asyncio.run(run())


def test_closing_writes_the_last_activity() -> None:
    async def run() -> None:
        store, clock = MemoryStore(), Clock()
        manager = AsyncSessionManager(store=store, clock=clock)
        await manager.open()
        issued = await manager.create_session("ann")
        clock.time += timedelta(hours=12)
        await manager.touch_session(issued.session)
        await manager.close()
        async with AsyncSessionManager(store=store, clock=clock) as again:
            assert (await again.get_session(issued.session.session_id)).last_seen_at == clock.time

    asyncio.run(run())


def test_one_of_several_processes_shortens_logs_to_the_end() -> None:
    async def run() -> None:
        from sessile.stores.memory.store import Tables

        tables, clock = Tables(), Clock()
        settings = Settings(compaction_batch=100, log_retention_d=2)
        one = AsyncSessionManager(settings, store=MemoryStore(tables), clock=clock)
        other = AsyncSessionManager(settings, store=MemoryStore(tables), clock=clock)
        actor = Actor(user_id="ada")
        document_id = (await one.documents.open(actor, "form")).document.document_id
        for number in range(REPLAY_CHANGES_MAX + 250):
            await one.documents.change(actor, document_id, [{"op": "set", "path": "/n", "value": number}])
        await other._background.compact()
        assert len(await one.documents.log(actor, document_id, limit=10_000)) == REPLAY_CHANGES_MAX + 250
        clock.time += timedelta(days=3)
        await one._background.compact()
        kept = await one.documents.log(actor, document_id, limit=10_000)
        assert (len(kept), kept[-1].version) == (REPLAY_CHANGES_MAX, 251)
        assert await other.documents.compact() == 0

    asyncio.run(run())


@shows("A09", "asyncio")
def test_one_of_several_processes_sweeps_all_batches() -> None:
    async def run() -> None:
        from sessile.stores.memory.store import Tables

        tables, clock = Tables(), Clock()
        settings = Settings(sweep_batch=3)
        one = AsyncSessionManager(settings, store=MemoryStore(tables), clock=clock)
        other = AsyncSessionManager(settings, store=MemoryStore(tables), clock=clock)
        issued = [await one.create_session(f"user {number}") for number in range(7)]
        clock.time += timedelta(days=3)
        ended: list[Event] = []
        one.subscribe(ended.extend)
        await one._background.sweep()
        assert sorted(event.key for event in ended) == sorted(each.session.session_id for each in issued)
        late = await other.create_session("late")
        clock.time += timedelta(minutes=59)
        await other._background.sweep()
        assert await other.validate_session(late.session.session_id)
        clock.time += timedelta(days=3)
        await other._background.sweep()
        assert [session.session_id for session in await other.list_sessions("late")] == []

    asyncio.run(run())


@shows("I04", "asyncio")
def test_documents_that_changed_get_automatic_checkpoints() -> None:
    async def run() -> None:
        manager = AsyncSessionManager(store=MemoryStore(), clock=Clock())
        actor = Actor(user_id="ann")
        document_id = (await manager.documents.open(actor, "intake")).document.document_id
        await manager._background.take_checkpoints()
        assert await manager.documents.checkpoints(actor, document_id) == []
        await manager.documents.change(actor, document_id, [{"op": "set", "path": "/a", "value": 1}])
        await manager._background.take_checkpoints()
        await manager._background.take_checkpoints()
        assert [str(each.kind) for each in await manager.documents.checkpoints(actor, document_id)] == ["automatic"]

    asyncio.run(run())


def test_a_listener_that_fails_undoes_nothing_and_starves_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with AsyncSessionManager(store=MemoryStore()) as manager:
            told: list[EventKind] = []

            def failing(_events: Sequence[Event]) -> None:
                raise ValueError("a defect")

            manager.subscribe(failing)
            stop = manager.subscribe(lambda events: told.extend(event.kind for event in events))
            issued = await manager.create_session("ann")
            with caplog.at_level(logging.ERROR, "sessile.manager"):
                assert await manager.destroy_session(issued.session.session_id)
            assert told == [EventKind.SESSION_ENDED]
            assert "listener" in caplog.text
            stop()
            await manager.create_session("bob")
            assert len(told) == 1

    asyncio.run(run())


@shows("A12", "asyncio")
def test_an_outage_is_never_an_answer() -> None:
    async def run() -> None:
        store = FlakyStore()
        manager = AsyncSessionManager(store=store)
        issued = await manager.create_session("ann")
        store.is_away = True
        for call in (
            lambda: manager.authenticate(issued.token),
            lambda: manager.get_session_context(issued.session.session_id),
            lambda: manager.validate_session(issued.session.session_id),
            lambda: manager.destroy_session(issued.session.session_id),
            lambda: manager.list_sessions("ann"),
        ):
            with pytest.raises(StoreUnavailable):
                await call()
        store.is_away = False
        assert (await manager.authenticate(issued.token)).user_id == "ann"

    asyncio.run(run())


def test_background_loops_outlive_an_outage(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        from sessile.runtime import background

        monkeypatch.setattr(background, "RETRY_INTERVAL_S", 0.0)
        rounds = asyncio.Semaphore(0)
        outcomes = iter([StoreUnavailable(), StoreUnavailable(), ValueError("a defect"), None, None])

        async def work() -> None:
            outcome = next(outcomes, None)
            rounds.release()
            if outcome is not None:
                raise outcome

        task = asyncio.create_task(background._repeat("looking", 0.0, work))
        for _ in range(6):
            await rounds.acquire()
        assert not task.done()
        task.cancel()

    with caplog.at_level(logging.WARNING, "sessile.background"):
        asyncio.run(run())
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_two_processes_on_one_file_hear_of_each_other(tmp_path: Path) -> None:
    async def run() -> None:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db")
        async with AsyncSessionManager(settings) as one, AsyncSessionManager(settings) as other:
            heard: asyncio.Queue[Event] = asyncio.Queue()

            def listener(events: Sequence[Event]) -> None:
                for event in events:
                    heard.put_nowait(event)

            other.subscribe(listener)
            actor = Actor(user_id="ann")
            document_id = (await one.documents.open(actor, "intake")).document.document_id
            await one.documents.change(actor, document_id, [{"op": "set", "path": "/a", "value": 1}])
            event = await asyncio.wait_for(heard.get(), 10)
            assert (event.kind, event.key, event.version, event.changes) == (
                EventKind.DOCUMENT_CHANGED,
                document_id,
                1,
                (),
            )
            delta = await other.documents.since(actor, document_id, epoch=event.epoch, version=0)
            assert [change.version for change in delta.changes] == [1]

    asyncio.run(run())
