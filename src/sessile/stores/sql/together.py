"""Calls that wait for a thread go together: the hop to a thread and back, and a transaction's beginning and end, are paid once for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from sessile.model.errors import StoreUnavailable

Answer = tuple[Any, Exception | None]
"""What a call gave, or the error that it alone met."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the engine that waits for its turn."""

    work: Callable[..., Any]
    args: Sequence[Any]
    future: asyncio.Future[Any]


class Together:
    """`run` gets the calls that waited, in their order, on one of the threads; it returns an answer for each, or raises for all of them.
    `answered` is called on the loop with the calls and their answers before anybody is told."""

    def __init__(
        self,
        name: str,
        threads: int,
        calls_max: int,
        run: Callable[[Sequence[Call]], list[Answer]],
        answered: Callable[[list[Answer]], list[Answer]] | None = None,
    ) -> None:
        self._name = name
        self._threads = threads
        self._calls_max = calls_max
        self._run = run
        self._answered = answered
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Call] = deque()
        self._under_way = 0
        self._is_closing = False
        self._idle: asyncio.Future[None] | None = None

    def open(self) -> None:
        self._is_closing = False
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=f"sessile-{self._name}")

    def abandon(self) -> None:
        """Lets go without waiting: for an opening that failed or was cancelled."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    async def finish(self) -> None:
        """Takes nothing new, and returns when everything that was submitted has its answer."""
        self._is_closing = True
        if self._under_way or self._waiting:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    async def close(self) -> None:
        """Waits for what is under way; what still waits then gets StoreUnavailable."""
        self._is_closing = True
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown)

    def submit(self, work: Callable[..., Any], args: Sequence[Any]) -> asyncio.Future[Any]:
        """The call's outcome. It runs to its end even when the future is cancelled. Raises StoreUnavailable when nothing is open."""
        if self._pool is None or self._is_closing:
            raise StoreUnavailable("The store is not open.")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(Call(work, args, future))
        self._next()
        return future

    async def alone(self, work: Callable[..., Any], *args: Any) -> Any:
        """Runs something else on one of the threads. Raises StoreUnavailable when nothing is open."""
        if self._pool is None:
            raise StoreUnavailable("The store is not open.")
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args))

    def _next(self) -> None:
        while self._waiting and (self._under_way < self._threads or self._pool is None):
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._calls_max))]
            if self._pool is None:
                _fail(batch, StoreUnavailable("The store is not open."))
                continue
            self._under_way += 1
            done = asyncio.get_running_loop().run_in_executor(self._pool, self._run, batch)
            done.add_done_callback(partial(self._done, batch))

    def _done(self, batch: Sequence[Call], done: asyncio.Future[list[Answer]]) -> None:
        self._under_way -= 1
        failure = StoreUnavailable() if done.cancelled() else done.exception()
        if failure is not None:
            _fail(batch, failure)
        else:
            answers = done.result()
            if self._answered is not None:
                answers = self._answered(answers)
            for call, (result, error) in zip(batch, answers, strict=True):
                if call.future.done():
                    continue  # whoever asked has gone
                if error is not None:
                    call.future.set_exception(error)
                else:
                    call.future.set_result(result)
        self._next()
        if self._idle is not None and not self._under_way and not self._idle.done():
            self._idle.set_result(None)


def _fail(batch: Sequence[Call], error: BaseException) -> None:
    for call in batch:
        if not call.future.done():
            call.future.set_exception(error)
