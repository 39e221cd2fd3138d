"""How many sockets somebody may have at once in this process, and how fast one may send (OWASP WebSocket Security)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from sessile.model.session import Session
from sessile.server.refusals import TooMany
from sessile.web.asgi import Message, Receive, Scope

OF_ADDRESS: Final = "There are too many sockets of this address."
OF_USER: Final = "There are too many sockets of this user."
BURST_S: Final = 10.0
"""A socket may be ahead of its pace by what it may send in this time: a page that comes back sends everything that waited."""


class Places:
    """`most` of them for each key; 0 is any number."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    def take(self, key: str) -> Callable[[], None] | None:
        """The way to give the place back, which may be called again; None when there is none left."""
        if self.most and self._taken[key] >= self.most:
            return None
        self._taken[key] += 1
        is_held = True

        def give_back() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._taken[key] -= 1
                if self._taken[key] <= 0:
                    del self._taken[key]

        return give_back

    def taken(self, key: str) -> int:
        return self._taken.get(key, 0)


def taken(places: Places, key: str, message: str) -> Callable[[], None]:
    """One of them; returns the way to give it back. Raises TooMany."""
    give_back = places.take(key)
    if give_back is None:
        raise TooMany(message)
    return give_back


def address_of(scope: Scope) -> str:
    """Where the connection comes from, as the server tells it: of headers only those count that a trusted proxy has set."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def owner_of(session: Session) -> str:
    """Whose socket it is: the user's, or an anonymous session's."""
    return f"user:{session.user_id}" if session.user_id is not None else f"session:{session.session_id}"


def paced(receive: Receive, frames_per_s: float) -> Receive:
    """`receive`, but no faster than that over time: what comes faster waits, unread, so the peer's own buffers fill and nothing is lost. 0: as it comes."""
    if not frames_per_s:
        return receive
    now = asyncio.get_running_loop().time
    free_at = now()
    """When all frames so far would have come, had each kept the pace."""

    async def receive_paced() -> Message:
        nonlocal free_at
        message = await receive()
        if message["type"] == "websocket.receive":
            free_at = max(free_at, now()) + 1 / frames_per_s
            ahead_s = free_at - now() - BURST_S
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
        return message

    return receive_paced
