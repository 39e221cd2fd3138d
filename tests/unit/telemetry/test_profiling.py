"""What an operation costs: counted exactly, in both lanes, with budgets; and nothing is left listening afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from sessile import AsyncSessionManager, SessionManager, Settings, telemetry
from sessile.model.document import Actor
from sessile.model.errors import SessionNotFound
from sessile.telemetry import BudgetExceeded, count_queries, profile
from sessile.telemetry.profiling import IN_BACKGROUND, OTHERS, PROFILES_MAX
from sessile.telemetry.statements import _before


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path}/a.db")


@pytest.fixture(autouse=True)
def _no_profiles() -> Iterator[None]:
    telemetry.forget_profiles()
    yield
    telemetry.forget_profiles()


def test_queries_of_the_blocking_lane_are_counted(settings: Settings) -> None:
    with SessionManager(settings) as manager:
        made = manager.create_session("ada")
        with count_queries(1) as read:
            manager.authenticate(made.token)
        assert (read.reads, read.writes, read.statements) == (1, 0, 1)
        assert 0 < read.statement_seconds <= read.seconds
        with count_queries() as ended:
            manager.destroy_session(made.session.session_id)
        assert (ended.reads, ended.writes) == (0, 1)
        assert ended.statements >= 2
        assert all(not text.startswith(("BEGIN", "COMMIT")) for _, text in ended.slowest)
        assert made.session.session_id not in str(ended.slowest), "values are not kept"


async def test_queries_of_the_asyncio_lane_are_counted_across_threads_and_shared_commits(settings: Settings) -> None:
    async with AsyncSessionManager(settings) as manager:
        made = await manager.create_session("ada")
        actor = Actor(user_id="ada", session_id=made.session.session_id)
        opened = await manager.documents.open(actor, "note")
        with count_queries() as seen:
            await asyncio.gather(*(manager.authenticate(made.token) for _ in range(20)))
        assert seen.statements == seen.reads < 20, "reads that wait share one"
        with count_queries() as seen:
            await manager.documents.change(
                actor, opened.document.document_id, [{"op": "set", "path": "/a", "value": 1}]
            )
        assert seen.writes == 1
        assert seen.statements > 4, "those that go to the driver itself, too"


def test_what_runs_between_requests_is_not_counted(settings: Settings) -> None:
    with SessionManager(settings) as manager, count_queries() as seen:
        before = IN_BACKGROUND.set(True)
        manager.cleanup_expired_sessions()
        IN_BACKGROUND.reset(before)
    assert (seen.transactions, seen.statements) == (0, 0)


def test_a_budget_of_queries_is_kept_or_named(settings: Settings) -> None:
    with SessionManager(settings) as manager:
        made = manager.create_session("ada")
        with pytest.raises(BudgetExceeded, match=r"2 queries, and 1 are allowed: .*SELECT") as over, count_queries(1):
            _twice(manager, made.token)
        assert over.value.measured.statements == 2
        with pytest.raises(BudgetExceeded, match="s, and 0 s are allowed"), count_queries(time_max_s=0):
            manager.authenticate(made.token)
        with pytest.raises(SessionNotFound), count_queries(0):  # its own error comes through
            manager.get_session("nobody's")


def _twice(manager: SessionManager, token: str) -> None:
    manager.authenticate(token)
    manager.authenticate(token)


def test_nothing_listens_when_nobody_counts(settings: Settings) -> None:
    with SessionManager(settings) as manager:
        token = manager.create_session("ada").token
        with count_queries() as outer:
            with count_queries() as inner:
                manager.authenticate(token)
            assert event.contains(Engine, "before_cursor_execute", _before)
            manager.authenticate(token)
        assert (inner.statements, outer.statements) == (1, 2)
        assert not event.contains(Engine, "before_cursor_execute", _before)
        manager.authenticate(token)
        assert outer.statements == 2


async def test_profiles_add_up_by_name_over_functions_of_both_colours(caplog: pytest.LogCaptureFixture) -> None:
    with SessionManager(Settings(database_url="memory://")) as manager:
        token = manager.create_session("ada").token

        @profile("load", time_max_s=0)
        def load() -> None:
            manager.authenticate(token)

        @profile("load")
        async def load_later() -> str:
            manager.authenticate(token)
            return "done"

        load()
        assert await load_later() == "done"
        with pytest.raises(ZeroDivisionError), profile("load"):
            _ = 1 / 0
    (kept,) = telemetry.profiles()
    assert (kept.name, kept.calls, kept.failures, kept.transactions, kept.over_budget) == ("load", 3, 1, 2, 1)
    assert kept.longest_s >= kept.mean_s > 0
    (record,) = caplog.records
    assert record.event_name == "budget_exceeded"  # type: ignore[attr-defined]


def test_a_strict_profile_raises_and_one_object_serves_again() -> None:
    strict = profile("never", time_max_s=0, strict=True)
    for _ in range(2):
        with pytest.raises(BudgetExceeded), strict:
            pass
    (kept,) = telemetry.profiles()
    assert (kept.calls, kept.over_budget) == (2, 2)


def test_the_number_of_names_is_bounded() -> None:
    for number in range(PROFILES_MAX + 5):
        with profile(f"name {number}"):
            pass
    names = {one.name: one.calls for one in telemetry.profiles()}
    assert (len(names), names[OTHERS]) == (PROFILES_MAX + 1, 5)
