"""Reads of sessions that wait go together: one transaction for all of them, and one row for all who ask for the same session.

Whoever asks joins a read that is not sent yet, never one that is under way: its answer could be from before something that the asker was told.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sessile.model.session import Session
from sessile.ports import Store, Transaction

_READS_AT_ONCE: Final = 4
_SESSIONS_A_READ: Final = 256

Found = Session | None


class JoinedReads:
    """A `SessionReader` for an event loop. While the store is slow or comes back from an outage, at most four reads are under way, however many ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, asyncio.Future[Found]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, session_id: str) -> Found:
        """As it was committed last. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # test clients may give every request a loop of its own
            self._loop, self._waiting, self._under_way = loop, {}, set()
        future = self._waiting.get(session_id)
        if future is None:
            future = self._waiting[session_id] = loop.create_future()
            future.add_done_callback(_retrieved)
            self._send(loop)
        return await asyncio.shield(future)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and len(self._under_way) < _READS_AT_ONCE:
            ids = list(self._waiting)[:_SESSIONS_A_READ]
            task = loop.create_task(self._read({session_id: self._waiting.pop(session_id) for session_id in ids}))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._loop is not None and not self._loop.is_closed():
            self._send(self._loop)

    async def _read(self, asked: dict[str, asyncio.Future[Found]]) -> None:
        try:
            found = await self._store.read(_get_many, list(asked))
        except BaseException as error:
            for future in asked.values():
                if not future.done():
                    future.cancel() if isinstance(error, asyncio.CancelledError) else future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for session_id, future in asked.items():
                if not future.done():
                    future.set_result(found.get(session_id))


def _get_many(tx: Transaction, session_ids: list[str]) -> dict[str, Session]:
    return tx.sessions.get_many(session_ids)


def _retrieved(future: asyncio.Future[Found]) -> None:
    """Whoever asked may be gone; the error was theirs."""
    if not future.cancelled():
        future.exception()
