"""Who has a document open on other nodes: read when the first reader comes, when a node tells of a change, and now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from sessile.model.errors import StoreUnavailable
from sessile.model.presence import Elsewhere
from sessile.server.realtime.presence import Board

_log = logging.getLogger("sessile.server")

KNOWN_WITHIN_S: Final = 1.0
"""So long a newcomer's `presence_state` waits for it; what is known later comes as a difference."""


class Nodes(Protocol):
    """What is needed of the hub."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...

    async def elsewhere(self, document_id: str) -> Elsewhere: ...


class Around:
    def __init__(self, nodes: Nodes, document_id: str, board: Board) -> None:
        self._nodes = nodes
        self._document_id = document_id
        self._board = board
        self._is_reading = False
        self._read_again = False
        self._known = asyncio.Event()

    def look(self) -> None:
        """Reads once for everybody. Calls during a read lead to one more."""
        self._read_again = True
        if not self._is_reading:
            self._is_reading = True
            self._nodes.spawn(self._read())

    async def known(self) -> None:
        """Returns when it has been read once, or could not be in time."""
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                await self._known.wait()
        except TimeoutError:
            _log.info(
                "who else has document %s open is not known yet",
                self._document_id,
                extra={"event_name": "presence_unknown"},
            )

    async def _read(self) -> None:
        try:
            while self._read_again:
                self._read_again = False
                self._board.set_elsewhere(await self._nodes.elsewhere(self._document_id))
        except StoreUnavailable:
            _log.info(
                "who else has document %s open waits for the store",
                self._document_id,
                extra={"event_name": "presence_waits"},
            )
        finally:
            self._is_reading = False
            self._known.set()
