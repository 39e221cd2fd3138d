"""Who is the master: the sentinels say, and the server itself confirms it when it is greeted."""

from __future__ import annotations

from typing import Final

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Address, Node
from sessile.stores.redis.lanes import Lane
from sessile.stores.redis.link import Locate
from sessile.stores.redis.wire import text_of

ASKED_MAX: Final = 3
"""So many are asked in one try; together they get all but a part of its time, which is for the server that they name."""


def fixed(node: Node) -> Locate:
    """For a server that is always in the same place."""

    async def locate() -> Node:
        return node

    return locate


class Sentinels:
    """Asked before each connect. The next time another one is asked first: one that is cut off would name the old master again and again."""

    def __init__(self, address: Address, lane: Lane) -> None:
        self._nodes = list(address.nodes)
        self._address = address
        self._lane = lane

    async def locate(self) -> Node:
        """The master's node. Raises CacheUnavailable."""
        nodes = self._nodes
        self._nodes = nodes[1:] + nodes[:1]
        within_s = self._lane.limits.connect_timeout_s / (ASKED_MAX + 1)
        question = ("SENTINEL", "get-master-addr-by-name", self._address.service)
        for node in nodes[:ASKED_MAX]:
            try:
                named = await self._lane.ask(node, self._address.sentinel_login, question, within_s)
            except CacheUnavailable:
                continue
            if isinstance(named, list) and len(named) == 2 and text_of(named[1]).isdigit():
                return Node(text_of(named[0]), int(named[1]))
        raise CacheUnavailable("no sentinel that answers knows the master of this service")
