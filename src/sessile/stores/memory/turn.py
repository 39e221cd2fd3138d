"""Writers take turns, also while one of them waits for the cache."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType


class Turn:
    """A lock for whoever asks: tasks of a loop, or threads without one. One turn serves either, not both at once."""

    def __init__(self) -> None:
        self._thread = threading.Lock()
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def __aenter__(self) -> None:
        lock = self._of_loop()
        if lock is None:
            self._thread.acquire()
        else:
            await lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock = self._of_loop()
        if lock is None:
            self._thread.release()
        else:
            lock.release()

    def _of_loop(self) -> asyncio.Lock | None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        if self._task is None or self._task[0] is not loop:
            self._task = (loop, asyncio.Lock())
        return self._task[1]
