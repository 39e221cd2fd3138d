"""Redis Cluster: each key has a slot, each slot a master. The identity of a cluster is made of those of all masters that have slots.

So whatever becomes of one of them, the whole is another server than before, and nothing that any of them holds is believed. That costs misses
after a failover, which are few, and saves the fence a row for each master.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Address, Node
from sessile.stores.redis.lanes import Lane
from sessile.stores.redis.link import OTHER_SERVER, Journal, Link, LinkStatus, OnReply, State
from sessile.stores.redis.route import Keyed
from sessile.stores.redis.sentinel import fixed
from sessile.stores.redis.slots import SLOTS, SlotMap, digest, key_slot
from sessile.stores.redis.wire import LOOK_AGAIN, Command, Greeting, ServerFault, unavailable


@dataclass(frozen=True, slots=True)
class View:
    """Who has which slot, and who was there when it was asked."""

    digest: str
    run_ids: Mapping[Node, str]
    owners: list[Node | None]


async def _still_master(link: Link) -> str:
    """Its identity. Raises CacheUnavailable: a node that was asked may not have heard yet that another one has taken over, and a master that steps down
    keeps its connections."""
    identity = await link.identity()
    role = await link.call(identity, ("ROLE",))
    if not isinstance(role, list) or role[0] != b"master":
        raise CacheUnavailable("a master of the cluster has stepped down")
    return identity


class ClusterRoute:
    """A `Route` over the masters of a cluster. When its view is doubted, one looks again for all. Meanwhile it goes on serving where it is right: each
    link knows its server, and a node refuses keys that are not its own."""

    def __init__(self, address: Address, lane: Lane) -> None:
        self._lane = lane
        self._greeting = Greeting(address.login, in_cluster=True)
        self._journal = Journal(str(address), lane.limits)
        self._turns = lane.turns()
        self._map = SlotMap(address, lane)
        self._links: dict[Node, Link] = {}
        self._view: View | None = None
        self._doubts = 1
        self._doubts_settled = 0
        self._look_at = 0.0
        self._looked_at = float("-inf")
        self._reason = "the cluster was not asked yet"

    async def server(self) -> str:
        view = self._view
        if view is not None and not self._is_doubted and not await self._is_right(view):
            self._doubts += 1
        for _ in range(2):  # a look that was under way may have begun before the last doubt
            if self._is_doubted and time.monotonic() >= self._look_at:
                await self._turns.finish(self._look)
        view = self._view
        if view is None or self._is_doubted:
            raise CacheUnavailable(self._reason)
        return view.digest

    async def call(self, server: str, key: str, command: Command) -> Any:
        view = await self._seen(server)
        [reply] = await self._asked(view, view.owners[key_slot(key)], [command])
        return reply

    def at_once(self, server: str, key: str, command: Command) -> asyncio.Future[Any] | None:
        return None  # what is moved or asked of another node is looked at by `call`

    async def call_many(self, server: str, commands: Sequence[Keyed]) -> list[Any]:
        if not commands:
            return []
        view = await self._seen(server)
        by_owner: dict[Node | None, list[int]] = {}
        for index, (key, _) in enumerate(commands):
            by_owner.setdefault(view.owners[key_slot(key)], []).append(index)
        asked = [self._asked(view, node, [commands[index][1] for index in of]) for node, of in by_owner.items()]
        replies: list[Any] = [None] * len(commands)
        for of, found in zip(by_owner.values(), await self._lane.together(asked), strict=True):
            for index, reply in zip(of, found, strict=True):
                replies[index] = reply
        return replies

    def post(self, server: str, key: str, command: Command, on_reply: OnReply | None) -> None:
        view = self._view
        node = view.owners[key_slot(key)] if view is not None and view.digest == server else None
        link = None if node is None else self._links.get(node)
        if view is None or node is None or link is None:
            raise CacheUnavailable(OTHER_SERVER)
        link.post(view.run_ids[node], command, on_reply)

    def status(self) -> list[LinkStatus]:
        whole: State = (
            "up" if not self._is_doubted else "new" if self._journal.connects == self._journal.failures == 0 else "down"
        )
        return [self._journal.status(whole), *(link.status() for link in self._links.values())]

    async def close(self) -> None:
        await self._turns.close()
        links, self._links, self._view = self._links, {}, None
        self._look_at = float("inf")
        self._reason = "the link was closed"
        await self._lane.together([link.close() for link in links.values()])

    @property
    def _is_doubted(self) -> bool:
        return self._doubts != self._doubts_settled

    async def _is_right(self, view: View) -> bool:
        """Whether every master is still there and the same. Asks nobody whose connection is up."""
        for node, run_id in view.run_ids.items():
            link = self._links.get(node)
            try:
                if link is None or await link.identity() != run_id:
                    return False
            except CacheUnavailable:
                return False
        return True

    async def _seen(self, server: str) -> View:
        """The view, if it is of what was meant. Raises CacheUnavailable."""
        now = time.monotonic()
        if self._is_doubted and now >= max(self._look_at, self._looked_at + self._lane.limits.pause_min_s):
            # Only who has nothing to go by waits.
            await (self._turns.finish(self._look) if self._view is None else self._turns.begin(self._look))
        view = self._view
        if view is None:
            raise CacheUnavailable(self._reason)
        if view.digest != server:
            raise CacheUnavailable(OTHER_SERVER)
        return view

    async def _asked(self, view: View, node: Node | None, commands: Sequence[Command]) -> list[Any]:
        """The replies of the owner of their slots."""
        link = None if node is None else self._links.get(node)
        if node is None or link is None:
            self._doubts += 1
            raise CacheUnavailable("nobody has the slot of this key, as far as is known")
        try:
            replies = await link.call_many(view.run_ids[node], commands)
        except CacheUnavailable:
            self._doubts += 1
            raise
        for index, reply in enumerate(replies):
            if type(reply) is ServerFault:
                if reply.code in {"MOVED", "ASK"}:
                    replies[index] = await self._redirected(view, node, reply, commands[index])
                elif reply.code in LOOK_AGAIN:
                    self._doubts += 1
        return replies

    async def _redirected(self, view: View, asked: Node, fault: ServerFault, command: Command) -> Any:
        """Slots are on the move (MOVED: this one has arrived). Followed once, and only to a master that is a part of what was meant."""
        if fault.code == "MOVED":
            self._doubts += 1
        host, _, port = fault.detail.partition(" ")[2].rpartition(":")
        node = Node(host or asked.host, int(port)) if port.isdigit() else None
        if node is not None and fault.code == "MOVED":
            self._map.ask_first(node)  # it has heard of it
        link = None if node is None else self._links.get(node)
        if node is None or link is None or node not in view.run_ids:
            raise unavailable(fault)
        commands = [("ASKING",), command] if fault.code == "ASK" else [command]
        reply = (await link.call_many(view.run_ids[node], commands))[-1]
        if type(reply) is ServerFault and reply.code in {"MOVED", "ASK"}:
            raise unavailable(reply)
        return reply

    async def _look(self) -> None:
        """Makes a new view, at growing pauses while that fails."""
        if not self._is_doubted or time.monotonic() < self._look_at:
            return
        doubts = self._doubts
        try:
            view = await self._viewed()
        except CacheUnavailable as error:
            self._reason = str(error)
            self._journal.lost()
            self._journal.went_down(self._reason)
            self._look_at = time.monotonic() + self._journal.pause_s()
            return
        self._view, self._doubts_settled = view, doubts
        self._journal.went_up()
        self._looked_at = time.monotonic()

    async def _viewed(self) -> View:
        ranges = await self._map.ranges()
        masters = list(dict.fromkeys(node for _, _, node in ranges))
        links = {node: self._links.get(node) or self._link(node) for node in masters}
        left = [link for node, link in self._links.items() if node not in links]
        self._links = links
        await self._lane.together([link.close() for link in left])
        run_ids = await self._lane.together([_still_master(links[node]) for node in masters])
        owners: list[Node | None] = [None] * SLOTS
        for first, last, node in ranges:
            owners[first : last + 1] = [node] * (last + 1 - first)
        return View(digest(run_ids), dict(zip(masters, run_ids, strict=True)), owners)

    def _link(self, node: Node) -> Link:
        return self._lane.link(f"cluster node {node}", fixed(node), self._greeting)
