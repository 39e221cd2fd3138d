"""Group commit: what shares a transaction, what a failure reaches, what a cancelled request leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from sessile.engine.changes import ChangeEngine
from sessile.model.document import Actor, Outcome, Submission
from sessile.model.errors import StoreUnavailable
from sessile.runtime.group_commit import BESIDE_MIN, WAITING_MAX, GroupCommit


class Engine:
    """Commits when it is let; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failing: dict[str, Exception] = {}
        self.away = False

    async def submit(self, batch: Sequence[Submission]) -> list[Outcome]:
        names = [submission.document_id for submission in batch]
        self.batches.append(names)
        self.began.set()
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable
        for name in names:
            if name in self.failing:
                raise self.failing[name]
        return [Outcome(name, "", ()) for name in names]


def submission(name: str) -> Submission:
    return Submission(name, (), Actor(user_id="ann"))


def committing(engine: Engine, batch_max: int = 256, probe: Any = None, writers: int = 1) -> GroupCommit:
    return GroupCommit(cast("ChangeEngine", engine), batch_max, probe or (lambda _point: None), writers)


async def started(engine: Engine, commits: GroupCommit, names: Sequence[str]) -> list[asyncio.Task[Outcome]]:
    """The first is under way, the others wait behind it."""
    engine.gate.clear()
    tasks = [asyncio.create_task(commits.submit(submission(name))) for name in names[:1]]
    await engine.began.wait()
    tasks += [asyncio.create_task(commits.submit(submission(name))) for name in names[1:]]
    await asyncio.sleep(0)
    return tasks


def test_what_arrives_during_a_commit_shares_the_next_one() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine)
        tasks = await started(engine, commits, ["a", "b", "c", "d"])
        engine.gate.set()
        outcomes = await asyncio.gather(*tasks)
        assert [outcome.document_id for outcome in outcomes] == ["a", "b", "c", "d"]
        assert engine.batches == [["a"], ["b", "c", "d"]]

    asyncio.run(run())


def test_a_batch_has_a_bound() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine, batch_max=2)
        tasks = await started(engine, commits, ["a", "b", "c", "d"])
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert engine.batches == [["a"], ["b", "c"], ["d"]]

    asyncio.run(run())


def test_one_bad_submission_does_not_fail_its_neighbours() -> None:
    async def run() -> None:
        engine = Engine()
        engine.failing["c"] = ValueError("a defect")
        commits = committing(engine)
        tasks = await started(engine, commits, ["a", "b", "c", "d"])
        engine.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [Outcome, Outcome, ValueError, Outcome]
        assert engine.batches == [["a"], ["b", "c", "d"], ["b"], ["c"], ["d"]]

    asyncio.run(run())


def test_an_outage_is_told_to_all_and_not_tried_again() -> None:
    async def run() -> None:
        engine = Engine()
        engine.away = True
        commits = committing(engine)
        tasks = await started(engine, commits, ["a", "b", "c"])
        engine.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 3
        assert engine.batches == [["a"], ["b", "c"]]
        engine.away = False
        assert (await commits.submit(submission("again"))).document_id == "again"

    asyncio.run(run())


def test_a_cancelled_wait_before_its_turn_commits_nothing_and_harms_nobody() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine)
        tasks = await started(engine, commits, ["a", "b", "c"])
        tasks[1].cancel()
        await asyncio.sleep(0)
        engine.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        assert engine.batches == [["a"], ["c"]]

    asyncio.run(run())


def test_a_cancelled_wait_during_its_commit_does_not_stop_the_commit() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine)
        tasks = await started(engine, commits, ["a", "b"])
        tasks[0].cancel()
        engine.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert isinstance(results[1], Outcome)

    asyncio.run(run())


def test_the_queue_is_bounded() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine)
        tasks = await started(engine, commits, ["a", *["b"] * WAITING_MAX])
        with pytest.raises(StoreUnavailable, match="waiting"):
            await commits.submit(submission("one too many"))
        engine.gate.set()
        assert len(await asyncio.gather(*tasks)) == WAITING_MAX + 1

    asyncio.run(run())


def test_drained_waits_for_everything_submitted() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine)
        tasks = await started(engine, commits, ["a", "b"])
        draining = asyncio.create_task(commits.drained())
        await asyncio.sleep(0)
        assert not draining.done()
        engine.gate.set()
        await draining
        assert all(task.done() for task in tasks)

    asyncio.run(run())


def test_the_probe_stands_before_and_after_each_commit() -> None:
    async def run() -> None:
        points: list[str] = []
        engine = Engine()
        await committing(engine, probe=points.append).submit(submission("a"))
        assert points == ["before_commit", "after_commit"]

    asyncio.run(run())


def test_a_few_wait_for_the_transaction_under_way_although_there_are_more_writers() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine, writers=2)
        tasks = await started(engine, commits, ["a", "b", "c"])
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert engine.batches == [["a"], ["b", "c"]]

    asyncio.run(run())


def test_many_are_shared_out_and_a_document_under_way_waits() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine, writers=2)
        others = [f"d{number}" for number in range(BESIDE_MIN)]
        tasks = await started(engine, commits, ["a", "a", *others])
        for _ in range(5):
            await asyncio.sleep(0)
        assert engine.batches == [["a"], others]
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert engine.batches == [["a"], others, ["a"]]

    asyncio.run(run())


def test_more_of_one_document_than_fit_go_one_after_the_other() -> None:
    async def run() -> None:
        engine = Engine()
        commits = committing(engine, batch_max=8, writers=4)
        tasks = [asyncio.create_task(commits.submit(submission("a"))) for _ in range(100)]
        await asyncio.gather(*tasks)
        await commits.drained()
        assert {len(batch) for batch in engine.batches} == {8, 4}

    asyncio.run(run())
