"""People who click through all nodes while their sessions are ended, and the judge of what they were answered."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx
import pytest

from tests.nodes.running import Node, Running
from tests.nodes.visits import End, Login, Visit, ended, ended_everywhere, logged_in, plain_client, visited, wrote

IS_SOAK = os.environ.get("SESSILE_SOAK") == "1"
LONG_MARKS = (pytest.mark.soak, pytest.mark.skipif(not IS_SOAK, reason="takes long: SESSILE_SOAK=1"))
RECOVERS_WITHIN_S = 20.0
DEVICES = 2
PAUSE_MAX_S = 0.08
WRITES_SHARE = 0.15
GHOSTS_SHARE = 0.15
"""So often somebody comes with a cookie of a session that is over."""
GHOSTS_ASKED = 30


class Person:
    """One user with a session on each of two devices."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.devices: list[Login] = []


@dataclass
class Book:
    """What happened. The moments are of this process alone: an end has begun before it was sent, and returned when its answer was read."""

    visits: list[Visit] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    returned: dict[str, float] = field(default_factory=dict)
    ends: list[End] = field(default_factory=list)

    def faults(self, cut_off: Collection[str] = ()) -> list[str]:
        """What must not have been answered. 503 is for nodes that were cut off from the database."""
        return [fault for visit in self.visits if (fault := self._fault(visit, cut_off)) is not None]

    def accepted(self, cut_off: Collection[str] = ()) -> list[str]:
        """Those of the faults that must never be: sessions that came back."""
        return [fault for fault in self.faults(cut_off) if "accepted a session" in fault]

    def statuses(self) -> Counter[tuple[str, int]]:
        """How often each node answered what."""
        return Counter((visit.node, visit.status) for visit in self.visits)

    def _fault(self, visit: Visit, cut_off: Collection[str]) -> str | None:
        session_id = visit.session_id
        if visit.status == 200:
            returned = self.returned.get(session_id)
            if returned is not None and visit.began >= returned:
                return f"{visit.node} accepted a session {visit.began - returned:.3f} s after its end had returned"
            if visit.body["user"] != self.users[session_id]:
                return f"{visit.node} took {self.users[session_id]} for {visit.body['user']}"
            return None
        if visit.status == 401:
            begun = self.begun.get(session_id)
            is_due = begun is not None and begun <= visit.over
            return None if is_due else f"{visit.node} logged somebody out: {visit.body}"
        if visit.status == 503 and visit.node in cut_off:
            return None
        return f"{visit.node} answered {visit.status}: {visit.body}"


class Crowd:
    """At work from `async with` on. `nodes` are clicked through; who was ended logs in again on `door`, a node that can."""

    def __init__(self, nodes: tuple[Node, ...], door: Node, rng: random.Random, size: int = 8) -> None:
        self.book = Book()
        self.people = [Person(f"person {number}") for number in range(size)]
        self.http: httpx.AsyncClient
        self._nodes = nodes
        self._door = door
        self._rng = rng
        self._clicking: list[asyncio.Task[None]] = []
        self._losing: set[str] = set()
        self._writing: set[asyncio.Task[Visit]] = set()
        self.may_write = True
        """Whether anybody changes their session's data."""
        self.ghosts: list[Login] = []
        """What was ended, the latest last."""

    async def __aenter__(self) -> Self:
        self.http = plain_client()
        await asyncio.gather(*(self._log_in(person, DEVICES) for person in self.people))
        self._clicking = [asyncio.create_task(self._click(person)) for person in self.people]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises what a click failed with."""
        over = [task for task in self._clicking if task.done()]
        for task in self._clicking:
            task.cancel()
        await asyncio.gather(*self._clicking, return_exceptions=True)
        await self.http.aclose()
        for task in over:
            task.result()

    async def lose_one(self, by: Node) -> End:
        """Somebody's session is ended on this node; then every node is asked for it at once, and they log in again."""
        return await self._lose(by, is_everywhere=False)

    async def lose_all_of_one(self, by: Node) -> End:
        """All sessions of somebody are ended on this node in one go."""
        return await self._lose(by, is_everywhere=True)

    async def only_read(self) -> None:
        """Returns when nobody writes any more."""
        self.may_write = False
        await asyncio.gather(*self._writing)

    async def haunt(self) -> None:
        """Every node is asked for every session that is over. Also when everybody else has gone."""
        async with plain_client() as http:
            asked = [visited(http, node, login) for login in self.ghosts for node in self._nodes]
            self.book.visits += await asyncio.gather(*asked)

    async def _lose(self, by: Node, *, is_everywhere: bool) -> End:
        person = self._rng.choice([person for person in self.people if person.user not in self._losing])
        self._losing.add(person.user)
        try:
            lost = list(person.devices) if is_everywhere else [self._rng.choice(person.devices)]
            end = await self._end(person, lost, by, is_everywhere=is_everywhere)
            asked = [visited(self.http, node, login) for login in lost for node in self._nodes]
            self.book.visits += await asyncio.gather(*asked)
            self.ghosts += lost
            person.devices = [login for login in person.devices if login not in lost]
            await self._log_in(person, len(lost))
        finally:
            self._losing.discard(person.user)
        return end

    async def _end(self, person: Person, lost: list[Login], by: Node, *, is_everywhere: bool) -> End:
        """Repeated on the door where the node cannot: of a call that was refused nobody knows what it did."""
        while True:
            if is_everywhere:
                end = await ended_everywhere(self.http, by, person.user)
            else:
                end = await ended(self.http, by, lost[0].session_id)
            self.book.ends.append(end)
            for login in lost:
                self.book.begun.setdefault(login.session_id, end.began)
            if end.status == 200:
                self.book.returned |= dict.fromkeys((login.session_id for login in lost), end.over)
                return end
            assert end.status == 503, end
            by = self._door

    async def _log_in(self, person: Person, devices: int) -> None:
        made = await asyncio.gather(*(logged_in(self.http, self._door, person.user) for _ in range(devices)))
        for login in made:
            self.book.users[login.session_id] = login.user
            person.devices.append(login)

    async def _click(self, person: Person) -> None:
        while True:
            ghosts = self.ghosts[-GHOSTS_ASKED:] if self._rng.random() < GHOSTS_SHARE else []
            if logins := ghosts or person.devices:
                login, node = self._rng.choice(logins), self._rng.choice(self._nodes)
                self.book.visits.append(await self._visit(node, login))
            await asyncio.sleep(self._rng.random() * PAUSE_MAX_S)

    async def _visit(self, node: Node, login: Login) -> Visit:
        if not self.may_write or self._rng.random() >= WRITES_SHARE:
            return await visited(self.http, node, login)
        writing = asyncio.create_task(wrote(self.http, node, login, "n", 1))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        return await writing


async def warmed(service: Running) -> None:
    """Returns when every node serves from the cache."""
    async with plain_client() as http:
        login = await logged_in(http, service.nodes[0], "nobody in particular")
    await asyncio.to_thread(service.wait_for_cache, login.token)


async def recovered(service: Running) -> None:
    """Returns when every node answers again."""
    async with plain_client() as http:
        login = await logged_in(http, service.nodes[0], "nobody in particular")
        async with asyncio.timeout(RECOVERS_WITHIN_S):
            for node in service.nodes:
                while (await visited(http, node, login)).status != 200:  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.05)


@contextmanager
def planted(service: Running, name: str) -> Iterator[None]:
    """An error in every node, see `tests.nodes.server.PLANTS`."""
    for node in service.nodes:
        node.plant(name)
    try:
        yield
    finally:
        service.heal()
        for node in service.nodes:
            node.plant(None)
