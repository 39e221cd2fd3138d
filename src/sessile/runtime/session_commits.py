"""Changes of sessions' data go together, as those of documents do: while one transaction is under way, changes queue up, and the next takes them all.

No timer: alone, a change pays for one commit. Each has an outcome of its own; one that is refused fails none of its neighbours.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from typing import Final

from sessile.engine.sessions import DataChange, SessionEngine
from sessile.model.errors import StoreUnavailable
from sessile.model.session import Session

TOGETHER_MAX: Final = 64
WAITING_MAX: Final = 10_000
"""Beyond that the store counts as too slow."""

_Waiting = tuple[DataChange, asyncio.Future[Session]]


class SessionCommits:
    """One for each manager; used on one event loop at a time."""

    def __init__(self, engine: SessionEngine) -> None:
        self._engine = engine
        self._waiting: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, change: DataChange) -> Session:
        """The session as it is after the commit. Raises like `SessionEngine.change_data`."""
        if len(self._waiting) >= WAITING_MAX:
            raise StoreUnavailable("Too many changes are waiting for the store.")
        future: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, future))
        # A loop that has gone took its worker along: test clients may give every request a loop of its own.
        if self._worker is None or self._worker.done():
            # Not in the context of the request that happened to be first: it holds that request's session.
            self._worker = asyncio.create_task(
                self._work(), name="sessile-session-commits", context=contextvars.Context()
            )
        return await asyncio.shield(future)

    async def drained(self) -> None:
        """Returns when everything submitted so far has its outcome."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), TOGETHER_MAX)
            await self._commit([self._waiting.popleft() for _ in range(count)])

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            outcomes = await self._engine.change_data_of([change for change, _ in batch])
        except StoreUnavailable as error:
            _answer(batch, [error] * len(batch))
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to the one whose change it was
            if len(batch) == 1:
                _answer(batch, [error])
                return
            for one in batch:
                await self._commit([one])
        else:
            _answer(batch, outcomes)


def _answer(batch: Sequence[_Waiting], outcomes: Sequence[Session | Exception]) -> None:
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        if future.done():
            continue  # whoever asked has gone
        if isinstance(outcome, Exception):
            future.add_done_callback(_retrieved)
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _retrieved(future: asyncio.Future[Session]) -> None:
    """Whoever asked may have gone; the error was theirs."""
    if not future.cancelled():
        future.exception()
