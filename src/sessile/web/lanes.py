"""One verb for `async def` and `def` handlers: awaited on the event loop, finished in a worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


def in_lane(work: Callable[[], Coroutine[Any, Any, T]]) -> Awaitable[T]:
    """On an event loop: the coroutine, to be awaited. In a worker thread of AnyIO, where frameworks run `def` handlers: runs it on the loop
    and returns its *result*, so that nobody is left with a coroutine that cannot be awaited. Raises RuntimeError in any other thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import anyio.from_thread

        return cast("Awaitable[T]", anyio.from_thread.run(work))
    return work()
