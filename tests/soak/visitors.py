"""Somebody who logs in and out again and again, on several devices, and writes down what they were told of it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.soak.application import PATH, PLATFORMS

PAUSE_S = 0.15
AWAY_PAUSE_S = 0.2
LOST_SHARE = 0.3


@dataclass
class Visits:
    """What was acknowledged, by handle."""

    begun: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    lent: int = 0
    verbs: int = 0


class Refused(Exception):
    """The server said no, or was killed before it could answer: nobody knows what came of it."""


class Visitor:
    """Goes on through every kill; `leave` ends it."""

    def __init__(self, user: str, *, url: str, seed: int) -> None:
        self.user = user
        self.visits = Visits()
        self._url = url
        self._random = random.Random(seed)
        self._task: asyncio.Task[None] | None = None

    def arrive(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def leave(self) -> None:
        """Raises what the visits ended with."""
        if self._task is None:
            return
        self._task.cancel()
        (problem,) = await asyncio.gather(self._task, return_exceptions=True)
        if problem is not None and not isinstance(problem, asyncio.CancelledError):
            raise problem

    async def _live(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=10) as http:
            while True:
                try:
                    await self._visit(http)
                except Refused:
                    await asyncio.sleep(AWAY_PAUSE_S)

    async def _visit(self, http: httpx.AsyncClient) -> None:
        names = self._random.sample(PLATFORMS, self._random.randrange(len(PLATFORMS) + 1))
        await self._do(http, "platforms", platforms=names)
        anonymous = self._begun(await self._do(http, "begin"))
        handle = self._begun(await self._do(http, "login", session_id=self._random.choice([None, anonymous])))
        for verb in self._random.choices(("rotate", "login", "switch", "lend"), k=3):
            if verb == "lend":
                await self._lend(http, handle)
            elif verb == "switch" and names:
                platform_id = f"{self.user}-{self._random.choice(names)}"
                await self._do(http, "switch", session_id=handle, platform_id=platform_id)
            elif verb != "switch":
                await self._do(http, verb, session_id=handle)
        await self._end(http, handle)

    async def _lend(self, http: httpx.AsyncClient, handle: str) -> None:
        """The log-in goes to another device, whose answer may be lost once, and which leaves at once."""
        offered = await self._do(http, "offer", session_id=handle)
        handoff_id = offered["handoff_id"]
        claim = (await self._do(http, "redeem", code=offered["code"]))["claim"]
        await self._do(http, "confirm", session_id=handle, handoff_id=handoff_id)
        lent = self._begun(await self._do(http, "complete", handoff_id=handoff_id, claim=claim))
        if self._random.random() < LOST_SHARE:
            assert self._begun(await self._do(http, "complete", handoff_id=handoff_id, claim=claim)) == lent
        self.visits.lent += 1
        await self._end(http, lent)

    def _begun(self, answer: dict[str, Any]) -> str:
        self.visits.begun.add(answer["session_id"])
        return str(answer["session_id"])

    async def _end(self, http: httpx.AsyncClient, handle: str) -> None:
        await self._do(http, "end", session_id=handle)
        self.visits.ended.add(handle)

    async def _do(self, http: httpx.AsyncClient, verb: str, **wish: Any) -> dict[str, Any]:
        await asyncio.sleep(self._random.random() * PAUSE_S)
        try:
            answer = await http.post(PATH, json={"verb": verb, "user": self.user, **wish})
        except httpx.TransportError:
            raise Refused(verb) from None
        if not answer.is_success:
            raise Refused(f"{verb}: {answer.status_code}")
        self.visits.verbs += 1
        told: dict[str, Any] = answer.json()
        return told
