"""A person at a device: works on two documents without waiting for the server, and writes down what they did and what they were told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessile.client import Backoff, Client, ConnectionLost, ConnectionStatus, Document, NotConnected, Outbox
from sessile.client.events import ChangeSettled, ConnectionStatusChanged, Event
from sessile.client.outbox import new_id
from sessile.client.outbox_file import OutboxFile
from sessile.client.records import Answer
from sessile.model.document import ABSENT, Operation

DOCUMENTS = ("intake", "report")
FIELDS = ("name", "place", "amount")
TODO_MAX = 12
PAUSE_MAX_S = 0.03
BACKOFF = Backoff(reset_after_s=0.1)
"""Here a server lives for a second or two between kills. Elsewhere it lives longer than the 10 s after which a connection counts as a
good one and the next loss starts with short delays again; so it does here."""


@dataclass
class History:
    """What happened at one device. Changes are known by a word that is part of their first operation."""

    device: str
    made: list[tuple[str, str]] = field(default_factory=list)
    """(document name, word), in the order in which they were stored."""
    told: dict[str, Answer] = field(default_factory=dict)
    """By word: what the server answered."""
    told_twice: list[str] = field(default_factory=list)
    """Words whose end was told again although it had been told, by a client that had not found them in its outbox."""
    told_again: int = 0
    """How often a new client told the end of what it had found in the outbox, and an earlier one had told already: it was closed
    between the confirmed state and the ack, so the change was sent once more and got its old verdict."""


def word_of(operations: Sequence[Operation]) -> str | None:
    """The word of a change; None for a change that is nobody's (a restore)."""
    first = operations[0]
    return first["value"] if first["op"] == "set" and first["path"].startswith("/last_word/") else None


class Person:
    """One device of one user, with an outbox in a file."""

    def __init__(
        self,
        user: str,
        number: int,
        *,
        url: str,
        token: str,
        folder: Path,
        seed: int,
        writes: bool,
        on_told: Callable[[], None],
        on_event: Callable[[Event], None],
    ) -> None:
        self.user = user
        self.device = f"{user}-{number}"
        self.history = History(self.device)
        self.connects = 0
        self.client: Client
        self.documents: dict[str, Document] = {}
        self._url = url
        self._token = token
        self._outbox = folder / f"{self.device}.sqlite3"
        self._random = random.Random(seed)
        self._seed = seed
        self._writes = writes
        self._on_told = on_told
        self._on_event = on_event
        self._count = 0
        self._told_here: set[str] = set()
        """Words that the present client has told the end of."""
        self._found: set[str] = set()
        """Words that were in the outbox when the present client was opened."""
        self._working = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def arrive(self) -> None:
        """Opens the client on what the outbox holds, and begins to work when `work` says so."""
        self._told_here = set()
        self._found = self._words_in_outbox()
        outbox = Outbox(self._outbox)
        self.client = Client(
            self._url, token=self._token, outbox=outbox, label=self.device, backoff=BACKOFF, seed=self._seed
        )
        self.client.on(ConnectionStatusChanged, self._count_connection)
        self.client.on(ChangeSettled, self._note)
        self.client.on(Event, self._on_event)
        await self.client.__aenter__()
        self.documents = {name: self.client.open(name, default={"todo": []}) for name in DOCUMENTS}
        self._task = asyncio.create_task(self._live())

    def _words_in_outbox(self) -> set[str]:
        file = OutboxFile(self._outbox, new_id)
        try:
            entries = [entry for name in DOCUMENTS for entry in file.entries(name)]
        finally:
            file.close()
        return {word for entry in entries if (word := word_of(entry.operations)) is not None}

    async def leave(self) -> None:
        """Closes the client, whatever is still in its outbox. Raises what the work ended with."""
        try:
            await self.rest()
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait({self._task})
            await self.client.close()

    def work(self) -> None:
        """Goes on making changes, unless they only read."""
        if self._writes:
            self._working.set()

    async def rest(self) -> None:
        """Returns when nothing new is being made. Raises what the work ended with, if it did."""
        self._working.clear()
        if self._task is not None:
            idle = asyncio.create_task(self._idle.wait())
            await asyncio.wait({idle, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                idle.cancel()
                self._task.result()

    async def synchronized(self) -> None:
        """Returns when both documents are. Raises what the client failed with."""
        for document in self.documents.values():
            await document.synchronized()

    async def save_checkpoint(self, then_restore: bool) -> None:
        """Saves one, and goes back to it. Repeated with the same request id when the connection is lost in between."""
        document = self.documents[self._random.choice(DOCUMENTS)]
        request_id = f"{self.device}-{self._count}"
        try:
            await self.client.connected()
            checkpoint = await document.checkpoint("by hand", request_id=request_id)
            if then_restore:
                await document.restore(checkpoint.checkpoint_id)
        except (ConnectionLost, NotConnected):
            return  # the server was killed under it: whether it happened is for the log to say

    async def _live(self) -> None:
        while True:
            self._idle.set()
            await self._working.wait()
            self._idle.clear()
            while self._working.is_set():
                await self._make()
                await asyncio.sleep(self._random.random() * PAUSE_MAX_S)

    async def _make(self) -> None:
        name = self._random.choice(DOCUMENTS)
        document = self.documents[name]
        self._count += 1
        word = f"{self.device}/{self._count}"
        said: Operation = {"op": "set", "path": f"/last_word/{self.device}", "value": word}
        await document.change([said, *self._operations(document, word)])
        self.history.made.append((name, word))

    def _operations(self, document: Document, word: str) -> list[Operation]:
        rng = self._random
        todo: list[dict[str, Any]] = list(document.state.get("todo") or [])
        ids = [item["id"] for item in todo]
        path = f"/fields/{rng.choice(FIELDS)}"
        conflicts = document.conflicts
        kinds = ["set", "merge", "increment", "max", "append", "insert", "fault"]
        kinds += ["remove"] + ["move", "remove_item"] * bool(ids) + ["resolve"] * bool(conflicts)
        if len(ids) >= TODO_MAX:
            return [{"op": "remove_item", "path": "/todo", "id": rng.choice(ids)}]
        match rng.choice(kinds):
            case "set":
                return [{"op": "set", "path": path, "value": word}]
            case "merge":
                return [{"op": "merge", "path": "/fields", "value": {rng.choice(FIELDS): {"by": word, "x" * 9: None}}}]
            case "increment":
                return [{"op": "increment", "path": "/count", "by": rng.choice((1, 2, 0.5))}]
            case "max":
                return [{"op": "max", "path": "/step", "value": rng.randrange(50)}]
            case "append":
                return [{"op": "append", "path": "/todo", "item": {"id": word, "text": "ä" * rng.randrange(40)}}]
            case "insert":
                after = rng.choice([None, "nobody", *ids])
                return [{"op": "insert", "path": "/todo", "item": {"id": word}, "after": after}]
            case "move":
                return [{"op": "move", "path": "/todo", "id": rng.choice(ids), "after": rng.choice([None, *ids])}]
            case "remove_item":
                return [{"op": "remove_item", "path": "/todo", "id": rng.choice(ids)}]
            case "remove":
                return [{"op": "remove", "path": path}]
            case "resolve":
                conflict = rng.choice(conflicts)
                values = [value for value in (conflict.winner, conflict.loser) if value is not ABSENT]
                resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": "value"}
                return [{**resolve, "value": rng.choice(values)}] if values else []
            case _:
                return [{"op": "increment", "path": "/todo", "by": 1}]  # rejected: it is a list

    def _note(self, event: ChangeSettled) -> None:
        word = word_of(event.operations)
        if word is None:
            return
        known = self.history.told.get(word)
        if known is not None:
            is_repetition = word in self._found and word not in self._told_here
            says_the_same = None in (known.verdict, event.answer.verdict) or known == event.answer
            if is_repetition and says_the_same:
                self.history.told_again += 1
            else:
                self.history.told_twice.append(word)
        if known is None or known.verdict is None:
            self.history.told[word] = event.answer
        self._told_here.add(word)
        self._on_told()

    def _count_connection(self, event: ConnectionStatusChanged) -> None:
        self.connects += event.after is ConnectionStatus.CONNECTED
