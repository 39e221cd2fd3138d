"""The thread of the blocking lane: what it does when, whose turn it is, and that nothing ends it but `stop`."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessile.model.errors import StoreUnavailable
from sessile.runtime.background import Background
from sessile.runtime.blocking import SessionManager
from sessile.runtime.blocking_background import BlockingBackground
from sessile.runtime.lane import drive
from sessile.runtime.settings import Settings
from sessile.testing import FakeClock

SETTINGS = Settings(
    database_url="memory://",
    checkpoint_interval_s=10,
    compaction_interval_s=1000,
    sweep_interval_s=20,
    retention_interval_s=1000,
)


class Rounds:
    """In the place of what really is done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failure: Exception | None = None
        self.ran = threading.Event()

    async def _do(self, name: str) -> None:
        self.ran.set()
        if self.failure is not None:
            raise self.failure
        self.done.append(name)

    async def follow_settings(self) -> None:
        """Every few seconds, so it is not counted here."""

    async def take_checkpoints(self) -> None:
        await self._do("checkpoint")

    async def compact(self) -> None:
        await self._do("compaction")

    async def sweep(self) -> None:
        await self._do("sweep")

    async def forget(self) -> None:
        await self._do("retention")


def background(rounds: Any, settings: Settings = SETTINGS) -> BlockingBackground:
    return BlockingBackground(rounds, settings)


def test_each_piece_of_work_has_its_interval() -> None:
    rounds = Rounds()
    made = background(rounds)
    made.run_due(0)
    assert rounds.done == ["checkpoint", "compaction", "sweep", "retention"]
    rounds.done.clear()
    for now in range(1, 41):
        made.run_due(now)
    assert rounds.done == ["checkpoint", "checkpoint", "sweep", "checkpoint", "checkpoint", "sweep"]


def test_an_outage_is_told_once_and_a_fault_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds()
    made = background(rounds)
    with caplog.at_level(logging.WARNING, "sessile.background"):
        rounds.failure = StoreUnavailable()
        for now in (0, 10, 20):
            made.run_due(now)
        assert [record.levelname for record in caplog.records].count("WARNING") == 4
        rounds.failure = ZeroDivisionError()
        made.run_due(30)
        assert "ZeroDivisionError" in caplog.text
    rounds.failure = None
    made.run_due(40)
    assert rounds.done == ["checkpoint", "sweep"]


def test_it_starts_once_stops_and_starts_again() -> None:
    rounds = Rounds()
    made = background(rounds, Settings(database_url="memory://", checkpoint_interval_s=0.01))
    assert not made.is_running
    made.start()
    made.start()
    assert [thread.name for thread in threading.enumerate()].count("sessile-background") == 1
    assert rounds.ran.wait(10)
    made.stop()
    made.stop()
    assert not made.is_running
    rounds.ran.clear()
    made.start()
    assert rounds.ran.wait(10)
    made.stop()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[SessionManager, SessionManager, FakeClock]]:
    """Two processes' managers on one file."""
    clock = FakeClock()
    settings = Settings(database_url=f"sqlite:///{tmp_path / 's.db'}", idle_timeout_s=60, expiry_warning_s=10)
    one, other = (SessionManager(settings, clock=clock) for _ in range(2))
    with one, other:
        yield one, other, clock


def rounds_of(manager: SessionManager) -> Background:
    """The very ones that the manager's thread would run."""
    found: Any = manager.serving.background._jobs[2].work
    rounds: Background = found.__self__
    return rounds


def test_one_of_several_sweeps(two: tuple[SessionManager, SessionManager, FakeClock]) -> None:
    one, other, clock = two
    handles = [one.create_session("ann").session.session_id for _ in range(3)]
    clock.advance(61)
    turns = [drive(rounds_of(manager)._elected("sweep", 60)) for manager in (other, one)]
    assert turns == [True, False]
    one.serving.background.run_due(time.monotonic())
    assert all(len(one.audit.events(f"session:{handle}")) == 1 for handle in handles), "it was not its turn"
    other.serving.background.run_due(time.monotonic())
    for handle in handles:
        kinds = [event.type for event in one.audit.events(f"session:{handle}")]
        assert sorted(kinds) == ["session_created", "session_ended"]
    clock.advance(2 * other.settings.sweep_interval_s + 1)
    assert drive(rounds_of(one)._elected("sweep", 60)), "the one before is gone, and its lease is over"


def test_a_child_process_has_no_thread_until_it_starts_one(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 's.db'}")
    with SessionManager(settings) as manager:
        manager.serving.begin()
        token = manager.create_session("ann").token
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            told = b"failed"
            try:
                before = (manager.is_open, manager.serving.background.is_running)
                manager.open()
                manager.serving.begin()
                seen = manager.authenticate(token).user_id
                manager.create_session("bob")
                told = repr((before, seen, manager.serving.background.is_running)).encode()
            finally:
                os.write(writing, told)
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reading, 1000).decode() == repr(((False, False), "ann", True))
        os.close(reading)
        os.close(writing)
        assert manager.serving.background.is_running
        assert manager.authenticate(token).user_id == "ann", "the parent's connections still work"
        assert len(manager.list_sessions("bob")) == 1
