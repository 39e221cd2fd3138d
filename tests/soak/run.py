"""Round after round: people work, the server is killed, starts again, and everybody must come back to the same state."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from sessile.model.errors import SessileError
from tests.soak import checker, rows
from tests.soak.people import DOCUMENTS, Person
from tests.soak.process import Server
from tests.soak.server import SERVICE_KEY
from tests.soak.visitors import Visitor

USERS = ("ann", "ben")
VISITORS = ("dan", "eva")
"""They have no documents: they log in and out, switch platforms and lend their log-ins."""
WRITERS = 2
READERS = 1
"""Devices of each user. A reader has nothing to send, so only news can tell it that it is behind."""
KILLS = (
    "any time",
    "before_commit",
    "in_transaction",
    "after_commit",
    "after_ack",
    "before_checkpoint",
    "after_checkpoint",
    "before_restore",
    "after_restore",
    "starting",
)
"""Where the server dies. The named ones are probes of the manager; `after_ack` is when a device has just been told."""
AWAY_SHARE = 0.3
RESTORE_SHARE = 0.2
LEAVE_SHARE = 0.25
RECOVERY_TIMEOUT_S = 30.0


class Failed(AssertionError):
    """`faults` are what the checker or the recovery found."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults[:10]) + (f" and {len(faults) - 10} more" if len(faults) > 10 else ""))


@dataclass
class Figures:
    """What a soak measured. Times in seconds, from a server that serves again to every device being at the head."""

    seed: int
    kills: int = 0
    kills_by_point: dict[str, int] = field(default_factory=dict)
    changes: int = 0
    acknowledged: int = 0
    refused: int = 0
    restores: int = 0
    connections: int = 0
    told_again: int = 0
    visits: int = 0
    """What visitors did and were told of."""
    sessions: int = 0
    sessions_ended: int = 0
    sessions_lent: int = 0
    audit_streams: int = 0
    audit_events: int = 0
    lost: int = 0
    doubled: int = 0
    recovery_median_s: float = 0.0
    recovery_p99_s: float = 0.0
    recovery_max_s: float = 0.0
    duration_s: float = 0.0

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


class Soak:
    """`told` gets a line for each kill. With `stops_early` the log is checked after each, so that a fault ends the soak at once."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        plant: str | None = None,
        recovery_timeout_s: float = RECOVERY_TIMEOUT_S,
        told: Callable[[str], None] = print,
        stops_early: bool = False,
    ) -> None:
        self._random = random.Random(seed)
        self._folder = folder
        self._database = folder / "soak.db"
        self._server = Server(self._database, folder / "server.log", plant)
        self._recovery_timeout_s = recovery_timeout_s
        self._told = told
        self._stops_early = stops_early
        self._people: list[Person] = []
        self._visitors: list[Visitor] = []
        self._recoveries_s: list[float] = []
        self._ended_token = ""
        self._kill_at_ack = False
        self._moved = asyncio.Event()
        """Set with every event of every device."""
        self._points: list[str] = []
        self.figures = Figures(seed)

    async def run(self, kills: int) -> Figures:
        """Raises Failed with everything that was wrong."""
        began_s = time.monotonic()
        try:
            await self._begin()
            for number in range(1, kills + 1):
                await self._round(number, kills)
                if self._stops_early:
                    self._check()
            await self._check_ended_session()
        finally:
            await self._server.stop()
            everybody: list[Person | Visitor] = [*self._people, *self._visitors]
            left = await asyncio.gather(*(somebody.leave() for somebody in everybody), return_exceptions=True)
        for problem in left:
            if problem is not None:
                raise problem
        self._check()
        self.figures.duration_s = round(time.monotonic() - began_s, 1)
        return self.figures

    # -- the beginning ----------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """The first start is killed in the middle of its migration."""
        await self._server.spawn()
        await asyncio.sleep(0.4 + 0.4 * self._random.random())
        self._server.kill()
        await self._server.process.wait()
        await self._server.spawn()
        await self._server.ready()
        for user in USERS:
            for number in range(1, WRITERS + READERS + 1):
                self._people.append(
                    Person(
                        user,
                        number,
                        url=self._server.url,
                        token=(await self._session(user))[1],
                        folder=self._folder,
                        seed=self._random.randrange(2**32),
                        writes=number <= WRITERS,
                        on_told=self._on_told,
                        on_event=lambda _event: self._moved.set(),
                    )
                )
        for person in self._people:
            await person.arrive()
        for user in VISITORS:
            self._visitors.append(Visitor(user, url=self._server.url, seed=self._random.randrange(2**32)))
            self._visitors[-1].arrive()
        handle, self._ended_token = await self._session("cat")
        async with self._http(self._ended_token) as http:
            (await http.delete(f"api/v0/sessions/{handle}")).raise_for_status()

    async def _session(self, user: str) -> tuple[str, str]:
        """Handle and token."""
        async with self._http(SERVICE_KEY) as http:
            answer = await http.post("api/v0/sessions", json={"user_id": user})
        made = answer.raise_for_status().json()
        return made["session_id"], made["token"]

    def _http(self, bearer: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._server.url, headers={"authorization": f"Bearer {bearer}"}, timeout=10)

    # -- one kill ---------------------------------------------------------------------------------------------------

    async def _round(self, number: int, kills: int) -> None:
        point = self._next_point()
        for person in self._people:
            person.work()
        await asyncio.sleep(0.1 + 0.3 * self._random.random())
        if self._random.random() < RESTORE_SHARE:
            await self._random.choice(self._people).save_checkpoint(then_restore=True)
        if self._random.random() < AWAY_SHARE:
            await self._server.tell("away 1")
            await asyncio.sleep(0.15)
        began_s = time.monotonic()
        await self._kill(point)
        killed_s = time.monotonic()
        await self._server.spawn()
        if point == "starting":
            await asyncio.sleep(0.6 * self._random.random())
            self._server.kill()
            await self._server.process.wait()
            await self._server.spawn()
        await self._somebody_leaves()
        await self._server.ready()
        ready_s = time.monotonic()
        recovery_s = await self._recovery(ready_s)
        self._recoveries_s.append(recovery_s)
        self.figures.kills += 1
        self.figures.kills_by_point[point] = self.figures.kills_by_point.get(point, 0) + 1
        made = sum(len(person.history.made) for person in self._people)
        self._told(
            f"{number:4}/{kills} killed: {point:17} after {killed_s - began_s:4.2f} s, "
            f"serves again after {ready_s - killed_s:4.2f} s, all at the head {recovery_s:5.2f} s later, {made} changes"
        )

    def _next_point(self) -> str:
        if not self._points:
            self._points = list(KILLS)
            self._random.shuffle(self._points)
        return self._points.pop()

    async def _kill(self, point: str) -> None:
        by_hand: asyncio.Task[None] | None = None
        if point in ("any time", "starting"):
            self._server.kill()
        elif point == "after_ack":
            self._kill_at_ack = True
        else:
            await self._server.tell(f"kill {point}")
        if "checkpoint" in point or "restore" in point:
            person = self._random.choice(self._people)
            by_hand = asyncio.create_task(person.save_checkpoint(then_restore="restore" in point))
        await self._server.ended(by=point)
        if by_hand is not None:
            await by_hand

    def _on_told(self) -> None:
        if self._kill_at_ack:
            self._kill_at_ack = False
            self._server.kill()

    async def _somebody_leaves(self) -> None:
        """While the server is away, a person may close their client, and open it again on the same outbox."""
        if self._random.random() < LEAVE_SHARE:
            person = self._random.choice(self._people)
            await person.leave()
            await person.arrive()
            person.work()

    async def _recovery(self, ready_s: float) -> float:
        """How long it took until everybody was at the head, with nothing waiting. Raises Failed."""
        for person in self._people:
            await person.rest()
        try:
            async with asyncio.timeout(self._recovery_timeout_s):
                for person in self._people:
                    await person.synchronized()
                self._moved.clear()
                while self._behind():
                    await self._moved.wait()
                    self._moved.clear()
        except TimeoutError:
            faults = [
                f"not at the head {self._recovery_timeout_s:.0f} s after the server: {it}" for it in self._behind()
            ]
            raise Failed([*(faults or ["not synchronized, although at the head"]), *self._found()]) from None
        except SessileError as error:
            raise Failed([f"a client stopped with {error!r}: an outage became an end", *self._found()]) from None
        return time.monotonic() - ready_s

    def _behind(self) -> list[str]:
        heads = checker.heads(self._database)
        return [
            f"{person.device} {document!r}"
            for person in self._people
            for name, document in person.documents.items()
            if document.pending_count or heads.get((person.user, name)) != (document.epoch, document.version)
        ]

    # -- the end ----------------------------------------------------------------------------------------------------

    async def _check_ended_session(self) -> None:
        async with self._http(self._ended_token) as http:
            status = (await http.get("api/v0/sessions")).status_code
        if status != httpx.codes.UNAUTHORIZED:
            raise Failed([f"a session that was ended before the first kill answers {status}"])

    def _found(self) -> list[str]:
        seen = [
            checker.Seen(
                person.device,
                name,
                (person.documents[name].epoch, person.documents[name].version),
                person.documents[name].confirmed,
                person.documents[name].pending_count,
            )
            for person in self._people
            for name in DOCUMENTS
        ]
        looked = rows.look(self._database, [visitor.visits for visitor in self._visitors])
        self.figures.audit_streams, self.figures.audit_events = looked.streams, looked.events
        found = checker.faults(checker.read(self._database), [person.history for person in self._people], seen)
        return [*found, *looked.faults]

    def _check(self) -> None:
        found = self._found()
        self._measure(found)
        if found:
            raise Failed(found)

    def _measure(self, found: list[str]) -> None:
        figures, recoveries = self.figures, sorted(self._recoveries_s)
        answers = [answer for person in self._people for answer in person.history.told.values()]
        figures.changes = sum(len(person.history.made) for person in self._people)
        figures.acknowledged = len(answers)
        figures.told_again = sum(person.history.told_again for person in self._people)
        figures.connections = sum(person.connects for person in self._people)
        visits = [visitor.visits for visitor in self._visitors]
        figures.visits = sum(one.verbs for one in visits)
        figures.sessions = sum(len(one.begun) for one in visits)
        figures.sessions_ended = sum(len(one.ended) for one in visits)
        figures.sessions_lent = sum(one.lent for one in visits)
        figures.refused = sum(answer.is_refused for answer in answers)
        figures.restores = sum(
            line.operations[0]["op"] == "replace" for log in checker.read(self._database) for line in log.lines
        )
        kinds: Counter[str] = Counter(
            "lost"
            if "not in the log" in fault or "was acknowledged" in fault
            else "doubled"
            if " times" in fault
            else "other"
            for fault in found
        )
        figures.lost, figures.doubled = kinds["lost"], kinds["doubled"]
        if recoveries:
            figures.recovery_median_s = round(statistics.median(recoveries), 3)
            figures.recovery_p99_s = round(recoveries[min(len(recoveries) - 1, int(len(recoveries) * 0.99))], 3)
            figures.recovery_max_s = round(recoveries[-1], 3)
