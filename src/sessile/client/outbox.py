"""The outbox as the event loop sees it: every call runs in the file's own thread, one after the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sessile.client.effects import Pending
from sessile.client.errors import OutboxUnavailable
from sessile.client.outbox_file import Identity, OutboxFile
from sessile.model.document import State
from sessile.model.token import uuid7

T = TypeVar("T")


def new_id() -> str:
    """A UUIDv7 of now."""
    return uuid7(datetime.now(UTC), os.urandom(10))


class Outbox:
    """What one user has made on this device and the server has not acknowledged. `Outbox("agent.sqlite3")` survives the process;
    `Outbox(None)` lives in memory. One file belongs to one user: another user's connection is refused (`ConnectionRefused`).

    Every call raises OutboxUnavailable when the file cannot be used, and runs to its end even when its caller is cancelled.
    """

    def __init__(self, path: str | Path | None = None, *, make_id: Callable[[], str] = new_id) -> None:
        self._path = Path(path) if path is not None else None
        self._make_id = make_id
        self._thread: ThreadPoolExecutor | None = None
        self._file: OutboxFile | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Outbox({str(self._path) if self._path is not None else None!r})"

    @property
    def is_durable(self) -> bool:
        """True when stored changes survive the process."""
        return self._path is not None

    async def open(self) -> None:
        """Opens or makes the file. Again is no harm. Raises ConfigurationError for a file that is not an outbox."""
        await self._run(_nothing)

    async def close(self) -> None:
        """Waits for what is under way and lets go of the file. What was in memory is gone."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)
        if self._file is not None:
            self._file.close()

    async def identity(self) -> Identity:
        return await self._run(OutboxFile.identity)

    async def claim(self, owner: str) -> None:
        await self._run(OutboxFile.claim, owner)

    async def add(self, name: str, draft: Pending, initial: State | None) -> Pending:
        """Stored, with device and seq."""
        return await self._run(OutboxFile.add, name, draft, initial)

    async def continue_after(self, name: str, device_id: str, last_seq: int) -> None:
        await self._run(OutboxFile.continue_after, name, device_id, last_seq)

    async def acknowledged(self, name: str) -> int:
        """The seq up to which everything of the present device is acknowledged."""
        return await self._run(OutboxFile.acknowledged, name)

    async def entries(self, name: str) -> list[Pending]:
        return await self._run(OutboxFile.entries, name)

    async def entries_after(self, name: str, device_id: str, after: int, limit: int) -> list[Pending]:
        return await self._run(OutboxFile.entries_after, name, device_id, after, limit)

    async def waiting(self) -> list[tuple[str, State | None]]:
        return await self._run(OutboxFile.waiting)

    async def acknowledge(self, name: str, device_id: str, through: int) -> None:
        await self._run(OutboxFile.acknowledge, name, device_id, through)

    async def renew(self, device_id: str) -> str:
        return await self._run(OutboxFile.renew, device_id)

    async def _run(self, call: Callable[..., T], *values: Any) -> T:
        if self._is_closed:
            raise OutboxUnavailable("The outbox is closed.")
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sessile-outbox")
        # Shielded: a cancelled call that still waits for its turn would be taken out of the thread's queue.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self._call, call, values))

    def _call(self, call: Callable[..., T], values: tuple[Any, ...]) -> T:
        if self._file is None:
            self._file = OutboxFile(self._path, self._make_id)
        return call(self._file, *values)


def _nothing(_file: OutboxFile) -> None:
    pass
