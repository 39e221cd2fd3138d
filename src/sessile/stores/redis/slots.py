"""The slots of a cluster: which one a key has, and which master has which."""

from __future__ import annotations

import hashlib
from binascii import crc_hqx
from collections.abc import Sequence
from typing import Final

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Address, Node
from sessile.stores.redis.lanes import Lane
from sessile.stores.redis.sentinel import ASKED_MAX
from sessile.stores.redis.wire import text_of

SLOTS: Final = 16_384
Range = tuple[int, int, Node]
"""First slot, last slot, their master."""


def key_slot(key: str) -> int:
    """CRC16 of the key, or of what stands between its first `{` and the next `}`."""
    data = key.encode()
    begin = data.find(b"{")
    if begin >= 0:
        end = data.find(b"}", begin + 1)
        if end > begin + 1:
            data = data[begin + 1 : end]
    return crc_hqx(data, 0) % SLOTS


def digest(run_ids: Sequence[str]) -> str:
    """The identity of servers together, in whatever order."""
    return hashlib.sha256("\n".join(sorted(set(run_ids))).encode()).hexdigest()


def read_slots(reply: object, asked: Node) -> list[tuple[int, int, Node]]:
    """First slot, last slot and master, from what CLUSTER SLOTS answers. Raises CacheUnavailable."""
    try:
        if isinstance(reply, list) and reply:
            # A node that does not know its own host names it with nothing: it is the one that was asked.
            return [
                (int(first), int(last), Node(text_of(master[0]) or asked.host, int(master[1])))
                for first, last, master, *_ in reply
            ]
    except (TypeError, ValueError, IndexError):
        pass
    raise CacheUnavailable("the cluster does not say who has which slot")


class SlotMap:
    """Asks any node, whatever its role. Those that do not answer are asked last the next time."""

    def __init__(self, address: Address, lane: Lane) -> None:
        self._known = list(address.nodes)
        self._login = address.login
        self._lane = lane

    async def ranges(self) -> list[Range]:
        """As one node sees it; it may not have heard of the latest change. Raises CacheUnavailable."""
        within_s = self._lane.limits.connect_timeout_s / (ASKED_MAX + 1)
        for node in self._known[:ASKED_MAX]:
            self._known.remove(node)
            self._known.append(node)
            try:
                found = read_slots(await self._lane.ask(node, self._login, ("CLUSTER", "SLOTS"), within_s), node)
            except CacheUnavailable:
                continue
            self._known = list(dict.fromkeys([*self._known, *(master for _, _, master in found)]))
            return found
        raise CacheUnavailable("no node of the cluster says who has which slot")

    async def owner(self, slot: int) -> Node:
        """Raises CacheUnavailable."""
        for first, last, node in await self.ranges():
            if first <= slot <= last:
                return node
        raise CacheUnavailable("nobody has this slot")

    def ask_first(self, node: Node) -> None:
        """The next time."""
        self._known = [node, *(known for known in self._known if known != node)]
