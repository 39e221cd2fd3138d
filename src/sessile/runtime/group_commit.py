"""Group commit: while one transaction is under way, submissions queue up, and the next transaction takes them all.

Nobody waits on purpose: with one submission at a time each has its own transaction. A batch that fails for another reason than the
store being away is tried again one by one, so that one bad submission cannot fail its neighbours.

Where a database writes several transactions at once, many waiting submissions are shared out, so that one is judged while another is being
written. A few are not: two transactions cost more than one with twice the changes. Changes of a document stay in order, because what a
transaction under way has to do with is left for later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from sessile.engine.changes import ChangeEngine
from sessile.model.document import Outcome, Submission
from sessile.model.errors import StoreUnavailable

WAITING_MAX: Final = 10_000
"""Submissions that may wait for their turn; beyond, the store counts as too slow and the client tries again later."""

BESIDE_MIN: Final = 32
"""So many have to be waiting for a transaction beside another one."""

Probe = Callable[[str], None]
"""Called with `before_commit` and `after_commit`; for tests that stop the process exactly there."""


def no_probe(_point: str) -> None:
    """The one that is used outside of tests."""


_Waiting = tuple[Submission, asyncio.Future[Outcome]]


class GroupCommit:
    """One per process. `submit` is called on one event loop only. `writers`: how many transactions may be under way."""

    def __init__(self, engine: ChangeEngine, batch_max: int, probe: Probe = no_probe, writers: int = 1) -> None:
        self._engine = engine
        self._batch_max = batch_max
        self._probe = probe
        self._writers = writers
        self._waiting: deque[_Waiting] = deque()
        self._under_way: dict[asyncio.Task[None], frozenset[str]] = {}
        """With the documents of each."""
        self._is_starting = False

    async def submit(self, submission: Submission) -> Outcome:
        """The outcome, after its commit. Raises StoreUnavailable when nothing is known to be committed, or too much is waiting."""
        if len(self._waiting) >= WAITING_MAX:
            raise StoreUnavailable("Too many changes are waiting for the store.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((submission, future))
        # Not at once: what is submitted in the same turn of the loop goes along.
        if not self._is_starting and (not self._under_way or len(self._waiting) % BESIDE_MIN == 0):
            self._is_starting = True
            loop.call_soon(self._start)
        return await future

    async def drained(self) -> None:
        """Returns when everything submitted so far has its outcome."""
        while self._waiting or self._under_way:
            await asyncio.wait(self._under_way) if self._under_way else await asyncio.sleep(0)

    def _start(self) -> None:
        self._is_starting = False
        while self._waiting and len(self._under_way) < self._writers:
            if self._under_way and len(self._waiting) < BESIDE_MIN:
                return
            batch = self._take()
            if not batch:
                return
            task = asyncio.get_running_loop().create_task(self._commit(batch), name="sessile-group-commit")
            self._under_way[task] = frozenset(submission.document_id for submission, _ in batch)
            task.add_done_callback(self._ended)

    def _take(self) -> list[_Waiting]:
        """A fair share of what waits, without the documents that are under way."""
        share = -(-len(self._waiting) // (self._writers - len(self._under_way)))
        size = min(self._batch_max, max(BESIDE_MIN, share))
        if not self._under_way:
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), size))]
        busy = frozenset().union(*self._under_way.values())
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        for item in self._waiting:
            (batch if len(batch) < size and item[0].document_id not in busy else left).append(item)
        self._waiting = left
        return batch

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._start()

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        # Who gave up before the turn came has no transaction; who gives up later gets no answer, but the change is kept.
        batch = [(submission, future) for submission, future in batch if not future.done()]
        if not batch:
            return
        try:
            self._probe("before_commit")
            outcomes = await self._engine.submit([submission for submission, _ in batch])
            self._probe("after_commit")
        except StoreUnavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to those who wait for an answer
            if len(batch) == 1:
                _fail(batch, error)
                return
            for one in batch:
                await self._commit([one])
        else:
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
