"""The blocking lane: a coroutine of the core, driven without an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class CoreSuspended(RuntimeError):
    """A store of the asyncio lane was given to the blocking facade."""


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never waits, without an event loop. Raises CoreSuspended if it waits after all."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise CoreSuspended("This store needs an event loop: use AsyncSessionManager, or a blocking store.")


def drive_each(items: AsyncIterator[T]) -> Iterator[T]:
    """What an asynchronous generator of the core gives, one by one. Raises CoreSuspended if it waits."""
    while True:
        try:
            item = drive(_next(items))
        except StopAsyncIteration:
            return
        yield item


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)
