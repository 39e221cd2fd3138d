"""The two ways to run one test body: on an event loop, or driven without one.

A body is a coroutine. In the blocking lane nothing in it may wait: `drive` raises CoreSuspended if it does, so a blocking store that
secretly needs a loop is found out by every test.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from sessile.runtime.lane import drive

T = TypeVar("T")
Call = Callable[[], Coroutine[Any, Any, T]]
_JOIN_TIMEOUT_S: Final = 60


class Lane(Protocol):
    name: str

    def run(self, body: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end."""
        ...

    async def together(self, calls: Sequence[Call[T]]) -> list[T | BaseException]:
        """Starts all at the same moment, as concurrently as the lane can; what each returned or raised, in their order."""
        ...

    async def pause(self, seconds: float) -> None:
        """Lets real time pass."""
        ...


class BlockingLane:
    """No loop. Concurrency is real threads that wait for each other at a barrier before they start."""

    name = "blocking"

    def run(self, body: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine that never waits. Raises CoreSuspended if it does."""
        return drive(body)

    async def pause(self, seconds: float) -> None:
        """Lets real time pass, in this thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - there is no loop

    async def together(self, calls: Sequence[Call[T]]) -> list[T | BaseException]:
        """One thread a call. Raises TimeoutError when one does not come to an end."""
        outcomes: list[T | BaseException] = [TimeoutError()] * len(calls)
        barrier = threading.Barrier(len(calls))

        def work(index: int, call: Call[T]) -> None:
            barrier.wait(_JOIN_TIMEOUT_S)
            try:
                outcomes[index] = drive(call())
            except Exception as error:  # noqa: BLE001 - handed to the test, which says what it expects
                outcomes[index] = error

        threads = [threading.Thread(target=work, args=item, daemon=True) for item in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_JOIN_TIMEOUT_S)
            if thread.is_alive():
                raise TimeoutError("A call of a race did not come to an end: is there a deadlock?")
        return outcomes


class AsyncioLane:
    """An event loop for each body. Concurrency is tasks, and whatever threads the store has of its own."""

    name = "asyncio"

    def run(self, body: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on a loop of its own."""
        return asyncio.run(body)

    async def pause(self, seconds: float) -> None:
        """Lets real time pass, and other tasks run."""
        await asyncio.sleep(seconds)

    async def together(self, calls: Sequence[Call[T]]) -> list[T | BaseException]:
        """One task a call."""
        barrier = asyncio.Barrier(len(calls))

        async def work(call: Call[T]) -> T:
            await barrier.wait()
            return await call()

        tasks: list[Awaitable[T]] = [asyncio.ensure_future(work(call)) for call in calls]
        async with asyncio.timeout(_JOIN_TIMEOUT_S):
            return list(await asyncio.gather(*tasks, return_exceptions=True))


LANES: Final[dict[str, Lane]] = {lane.name: lane for lane in (BlockingLane(), AsyncioLane())}
