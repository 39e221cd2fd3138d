"""The blocking lane: a coroutine of the core, driven without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
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
