"""Who listens to a client: callables by class of event, and readers that take events one by one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from sessile.client.events import Event

logger = logging.getLogger("sessile.client")
E = TypeVar("E", bound=Event)
WAITING_MAX: Final = 10_000
"""Events that a reader may leave unread; beyond, the oldest go."""


class Emitter:
    def __init__(self) -> None:
        self._listeners: dict[type[Event], list[Callable[[Any], None]]] = {}
        self._readers: list[tuple[deque[Event], asyncio.Event]] = []
        self._is_closed = False

    def on(self, kind: type[E], listener: Callable[[E], None]) -> Callable[[], None]:
        """Calls `listener` for events of that class. Returns the way to stop."""
        listeners = self._listeners.setdefault(kind, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    async def events(self) -> AsyncIterator[Event]:
        """Every event from the first `anext` on, until `close`."""
        reader = (deque[Event](maxlen=WAITING_MAX), asyncio.Event())
        queue, wake = reader
        self._readers.append(reader)
        try:
            while True:
                while queue:
                    yield queue.popleft()
                if self._is_closed:
                    return
                wake.clear()
                await wake.wait()
        finally:
            self._readers.remove(reader)

    def emit(self, event: Event) -> None:
        """A listener that raises is logged and hinders nobody."""
        for kind in type(event).__mro__:
            for listener in tuple(self._listeners.get(kind, ())):
                try:
                    listener(event)
                except Exception:
                    logger.exception(
                        "a listener for %s failed", type(event).__name__, extra={"event_name": "client_listener_failed"}
                    )
        for queue, wake in self._readers:
            queue.append(event)
            wake.set()

    def close(self) -> None:
        """Readers end when they have read what is there."""
        self._is_closed = True
        for _queue, wake in self._readers:
            wake.set()
