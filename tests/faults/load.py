"""A round: nodes under load, a fault in the middle, and what must be so again when it is over.

On each node two readers, a writer of session data, a writer of a document, and somebody who logs people in and out. Every node reads the sessions
of all nodes, and asks for a session that has ended as soon as its end has returned, wherever that was.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from sessile.model.delta import DataOperation
from sessile.model.document import Actor, Submission
from sessile.model.errors import SessileError, StoreUnavailable
from sessile.model.values import decode
from sessile.testing.lab import change
from tests.faults.history import AWAY, OK, RECOVERED_WITHIN_S, SEEN_KEPT, VERBS, Call, History
from tests.faults.nodes import Node

T = TypeVar("T")
READ_PAUSE_S: Final = 0.003
WRITE_PAUSE_S: Final = 0.012
STAY_S: Final = 0.05
REST_S: Final = 0.15
CALM_S: Final = 0.2
HITS_AGAIN: Final = 5
_ASKED_AGAIN_MAX: Final = 4
_COUNT: Final = {"op": "increment", "path": "/n", "by": 1}
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """A session and its token; `counts` when somebody writes numbers into it."""

    session_id: str
    token: str
    user_id: str | None
    counts: bool = False


@dataclass
class Station:
    """What one node has to do."""

    node: Node
    writer: Person
    document_id: str
    actor: Actor
    rng: random.Random
    refuse: deque[tuple[Person, int]] = field(default_factory=deque)
    """Those whose end has returned somewhere, and how often they were asked for here."""
    hits_before: int = 0


class Round:
    """The nodes under load."""

    def __init__(self, nodes: Sequence[Node], seed: int = 0) -> None:
        self.nodes = nodes
        self.history = History(period_s=nodes[0].settings.fence_period_s)
        self.here: list[Person] = []
        """Live sessions; those that may end meanwhile, too."""
        self.gone: deque[Person] = deque(maxlen=40)
        self.rests = False
        self._stops = False
        self._done_at: dict[tuple[str, str], float] = {}
        """When what succeeded last had begun, by node and verb."""
        self.stations = [self._station(node, random.Random(seed * 97 + n)) for n, node in enumerate(nodes)]

    def _station(self, node: Node, rng: random.Random) -> Station:
        user_id = f"writer-{next(_NUMBERS)}"
        writer = self.admit(node, user_id, counts=True)
        for n in range(3):
            self.admit(node, None if n == 0 else f"{user_id}-reader-{n}")
        actor = Actor(user_id=user_id, device_id=f"01900000-0000-7000-8000-{next(_NUMBERS):012d}")
        opened = node.run(node.call("documents.open", actor, "form", default={"n": 0}))
        return Station(node, writer, opened.document.document_id, actor, rng)

    def admit(self, node: Node, user_id: str | None, *, counts: bool = False) -> Person:
        """A session that everybody reads from now on."""
        issued = node.run(node.call("create_session", user_id))
        person = Person(issued.session.session_id, issued.token, user_id, counts)
        self.here.append(person)
        return person

    # -- what is done -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when every node serves from the cache."""
        for station in self.stations:
            for work in (self._read, self._read, self._write_data, self._write_document, self._come_and_go):
                station.node.begin(partial(work, station))
        self.until_cached("at the beginning")

    def play(self, fault: AbstractContextManager[object], hold_s: float) -> None:
        """Breaks it, heals it, and returns when the cache is used again and there was a moment of calm."""
        self.history.broken_at = time.monotonic()
        with fault:
            time.sleep(hold_s)
        self.history.healed_at = time.monotonic()
        self.until_cached("after the heal")
        self.until_recovered()

    def stop(self) -> None:
        """Returns when all calls have ended."""
        self._stops = True
        for node in self.nodes:
            node.join()

    def end(self, node: Node, person: Person) -> None:
        """Ends a session on this node, from outside of it; as an end that has returned."""
        self.history.end_began.setdefault(person.session_id, time.monotonic())
        node.run(node.call("destroy_session", person.session_id))
        self._ended(person)

    def doom(self, count: int) -> list[Person]:
        """Sessions that every node has in its cache."""
        doomed = [self.admit(self.nodes[0], f"doomed-{next(_NUMBERS)}") for _ in range(count)]
        for node in self.nodes:
            for person in doomed:
                for _ in range(2):
                    node.run(node.call("authenticate", person.token))
        return doomed

    def ask_again(self, people: Sequence[Person]) -> None:
        """Has every node ask for these at once, several times."""
        for station in self.stations:
            station.refuse.extend((person, 0) for person in people)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Only readers go on; what others had begun is over."""
        self.rests = True
        time.sleep(REST_S)
        try:
            yield
        finally:
            self.rests = False

    def until_cached(self, when: str, within_s: float = 8.0) -> None:
        before = {node.name: node.cache.hits for node in self.nodes}
        deadline = time.monotonic() + within_s
        while cold := [node.name for node in self.nodes if node.cache.hits < before[node.name] + HITS_AGAIN]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{when} the cache is not used within {within_s:g} s on {', '.join(cold)}")
            time.sleep(0.01)

    def until_recovered(self) -> None:
        """Returns when every node has done everything once more, or had the time to."""
        time.sleep(CALM_S)
        due = {(node.name, verb) for node in self.nodes for verb in VERBS}
        while time.monotonic() < self.history.healed_at + RECOVERED_WITHIN_S:
            if all(self._done_at.get(one, 0.0) > self.history.healed_at for one in due):
                return
            time.sleep(0.01)

    # -- the workers ------------------------------------------------------------------------------------------------------------------

    async def _read(self, station: Station) -> None:
        while not self._stops:
            await self._ask_for(station, self._whom(station))
            await station.node.sleep(READ_PAUSE_S)

    def _whom(self, station: Station) -> Person:
        try:
            person, times = station.refuse.popleft()
        except IndexError:
            if self.gone and station.rng.random() < 0.1:
                return station.rng.choice(tuple(self.gone))
            return station.rng.choice(tuple(self.here))
        if times < _ASKED_AGAIN_MAX:
            station.refuse.append((person, times + 1))
        return person

    async def _ask_for(self, station: Station, person: Person) -> None:
        def seen(session: Any) -> tuple[str, int]:
            is_theirs = (session.session_id, session.user_id) == (person.session_id, person.user_id)
            return OK if is_theirs else "foreign", decode(session.data).get("n", 0) if person.counts else 0

        call = station.node.call("authenticate", person.token)
        await self._noted(station.node, "authenticate", person.session_id, call, seen)

    async def _write_data(self, station: Station) -> None:
        number = 0
        person = station.writer
        while not self._stops:
            await station.node.sleep(WRITE_PAUSE_S)
            if self.rests:
                continue
            number += 1
            operations: list[DataOperation] = [("set", ("n",), number), ("set", ("seen", str(number)), 1)]
            operations.append(("remove", ("seen", str(number - SEEN_KEPT)), None))
            call = station.node.call("change_session_data", person.session_id, operations, user_id=person.user_id)
            await self._noted(station.node, "change_data", person.session_id, call, partial(_numbered, number))

    async def _write_document(self, station: Station) -> None:
        """One change after the other, each repeated until it is acknowledged: by turns a device's and one with a key."""
        for number in itertools.count(1):
            is_done = False
            while not is_done:
                await station.node.sleep(WRITE_PAUSE_S)
                if self._stops:
                    return
                if not self.rests:
                    is_done = await self._change(station, number)

    async def _change(self, station: Station, number: int) -> bool:
        """Whether it is acknowledged."""
        if number % 2:
            seq = number // 2 + 1
            one = change(station.actor, seq, 0, _COUNT)
            call = station.node.call("documents.submit", Submission(station.document_id, [one], station.actor))
            outcome = await self._noted(station.node, "submit", station.document_id, call, _verdict, str(seq))
            return outcome is not None and outcome.error is None
        key = f"key-{number}"
        actor = Actor(user_id=station.actor.user_id)
        call = station.node.call("documents.change", actor, station.document_id, [_COUNT], idempotency_key=key)
        logged = await self._noted(station.node, "change", station.document_id, call, _version, key)
        return logged is not None

    async def _come_and_go(self, station: Station) -> None:
        for number in itertools.count(1):
            await station.node.sleep(WRITE_PAUSE_S)
            if self._stops:
                return
            if self.rests:
                continue
            user_id = f"{station.actor.user_id}-guest-{number}"
            issued = await self._noted(station.node, "create", user_id, station.node.call("create_session", user_id))
            if issued is None:
                continue
            person = Person(issued.session.session_id, issued.token, user_id)
            self.here.append(person)
            await station.node.sleep(STAY_S)
            self.here.remove(person)
            await self._go(station, person, all_of_user=number % 3 == 0)

    async def _go(self, station: Station, person: Person, *, all_of_user: bool) -> None:
        """Repeated until it is acknowledged."""
        self.history.end_began[person.session_id] = time.monotonic()
        verb, subject = (
            ("cleanup_user_sessions", person.user_id) if all_of_user else ("destroy_session", person.session_id)
        )
        done = None
        while done is None and not self._stops:
            done = await self._noted(station.node, "end", person.session_id, station.node.call(verb, subject))
            if done is None:
                await station.node.sleep(WRITE_PAUSE_S)
        if done is not None:
            self._ended(person)

    def _ended(self, person: Person) -> None:
        self.history.end_returned[person.session_id] = time.monotonic()
        self.gone.append(person)
        self.ask_again([person])

    async def _noted(
        self,
        node: Node,
        verb: str,
        subject: str,
        call: Awaitable[T],
        seen: Callable[[T], tuple[str, int]] = lambda _result: (OK, 0),
        name: str = "",
    ) -> T | None:
        """What it returned; None when it raised. Either way it is in the history."""
        began = time.monotonic()
        result: T | None = None
        try:
            result = await call
        except StoreUnavailable:
            outcome, number = AWAY, 0
        except SessileError as error:
            outcome, number, name = type(error).__name__, 0, str(error)
        except Exception as error:  # noqa: BLE001 - that there is none is what is looked at
            outcome, number, name = type(error).__name__, 0, repr(error)
        else:
            outcome, number = seen(result)
            self._done_at[node.name, verb] = began
        self.history.calls.append(Call(node.name, verb, subject, began, time.monotonic(), outcome, number, name))
        return result


def _numbered(number: int, _result: object) -> tuple[str, int]:
    return OK, number


def _version(logged: Any) -> tuple[str, int]:
    return OK, logged.version


def _verdict(outcome: Any) -> tuple[str, int]:
    """Every change is the device's next one, so an answer without a verdict is an error."""
    return (OK, outcome.logged[0].version) if outcome.error is None else (type(outcome.error).__name__, 0)
