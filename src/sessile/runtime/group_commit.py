"""Group commit: while one transaction is under way, submissions queue up, and the next transaction takes them all.

Nobody waits on purpose: with one submission at a time each has its own transaction. A batch that fails for another reason than the
store being away is tried again one by one, so that one bad submission cannot fail its neighbours.
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

Probe = Callable[[str], None]
"""Called with `before_commit` and `after_commit`; for tests that stop the process exactly there."""


def no_probe(_point: str) -> None:
    """The one that is used outside of tests."""


class GroupCommit:
    """One per process. `submit` is called on one event loop only."""

    def __init__(self, engine: ChangeEngine, batch_max: int, probe: Probe = no_probe) -> None:
        self._engine = engine
        self._batch_max = batch_max
        self._probe = probe
        self._waiting: deque[tuple[Submission, asyncio.Future[Outcome]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, submission: Submission) -> Outcome:
        """The outcome, after its commit. Raises StoreUnavailable when nothing is known to be committed, or too much is waiting."""
        if len(self._waiting) >= WAITING_MAX:
            raise StoreUnavailable("Too many changes are waiting for the store.")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="sessile-group-commit")
        return await future

    async def drained(self) -> None:
        """Returns when everything submitted so far has its outcome."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch_max))]
                await self._commit(batch)
        finally:
            self._worker = None

    async def _commit(self, batch: Sequence[tuple[Submission, asyncio.Future[Outcome]]]) -> None:
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


def _fail(batch: Sequence[tuple[Submission, asyncio.Future[Outcome]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
