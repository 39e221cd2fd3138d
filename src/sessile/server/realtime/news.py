"""News about documents for one socket: checkpoints, restores, presence. What the socket itself asked for is answered to it once, with its
request id, and not told a second time as news."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from sessile.server.realtime.outbox import Outbox
from sessile.server.realtime.wire import Encoded

T = TypeVar("T")
_REMEMBERED: Final = 64


class News:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # Lists, because most sockets ask for neither and a deque is large.
        self._checkpoints: list[str] = []
        self._restores: list[tuple[str, int]] = []
        self._held: dict[str, list[tuple[int, Encoded]]] = {}

    def tell(self, document_id: str, frame: Encoded, *, request_id: str | None, restored_version: int | None) -> None:
        """Queues the frame unless the socket gets it as an answer. A full socket goes without: the state reaches it later all the
        same, and lists of checkpoints come over HTTP."""
        if request_id is not None and request_id in self._checkpoints:
            return
        if restored_version is not None:
            if document_id in self._held:
                self._held[document_id].append((restored_version, frame))
                return
            if (document_id, restored_version) in self._restores:
                return
        self._outbox.offer(frame)

    def answering_checkpoint(self, request_id: str) -> None:
        _remember(self._checkpoints, request_id)

    @contextmanager
    def answering_restore(self, document_id: str) -> Iterator[Callable[[int], None]]:
        """Holds news of restores of this document back until it is clear which one is the socket's own: call with its version."""
        self._held[document_id] = []
        try:
            yield lambda version: _remember(self._restores, (document_id, version))
        finally:
            for version, frame in self._held.pop(document_id):
                self.tell(document_id, frame, request_id=None, restored_version=version)


def _remember(known: list[T], one: T) -> None:
    known.append(one)
    del known[:-_REMEMBERED]
