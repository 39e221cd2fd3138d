"""Histories: steps from a seed, performed on any store, with everything that was returned, raised and told."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import UNSET

from sessile.model.audit import AuditEvent
from sessile.model.document import Actor, Change, CheckpointKind
from sessile.model.errors import SessileError
from sessile.model.platform import PlatformEntry
from sessile.model.session import EndReason
from sessile.model.values import encode
from sessile.ports import Store
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import ADA, EVE, PHONE, Bench
from tests.property.strategies import STATE

Step = tuple[str, tuple[Any, ...]]
USERS = [None, "ada", "eve"]
ACTORS = [ADA, PHONE, EVE]
NAMES = ["form", "other"]
PLATFORMS = ["shop", "mail", "blog"]
REASONS = [EndReason.LOGOUT, EndReason.REVOKED]
SECONDS = [0.001, 10, 30, 50, 500, 999, 4000]
PATHS = [None, ["/o"], ["/o/x", "/n"], ["/l/0"], ["no pointer"]]


def seeded_steps(seed: int, count: int) -> list[Step]:
    """The same steps in every run."""
    rng = random.Random(seed)
    kinds: list[Step] = []
    for _ in range(count):
        n, m, actor = rng.choice([0, 0, 0, 1, 2, 5]), rng.randrange(6), rng.choice([0, 0, 0, 1, 1, 1, 2])
        path = rng.choice(["/a", "/o", "/o/x", "/n"])
        operation = rng.choice(
            [
                {"op": "set", "path": path, "value": rng.choice([1, "t", None, {"x": m}])},
                {"op": "increment", "path": path, "by": m},
                {"op": "remove", "path": path},
                {"op": "append", "path": "/l", "item": {"id": n}},
            ]
        )
        kinds.append(
            rng.choice(
                [
                    ("create", (rng.choice(USERS),)), ("authenticate", (n,)), ("touch", (n,)), ("rotate", (n,)),
                    ("login", (n, rng.choice(["ada", "eve"]))), ("change_data", (n, rng.choice(USERS), "a", m)),
                    ("sync", (rng.choice(["ada", "eve"]), rng.sample(PLATFORMS, m % 4))), ("set_default", ("ada", PLATFORMS[n % 3])),
                    ("switch", (n, rng.choice(PLATFORMS), rng.choice([UNSET, *PLATFORMS]))), ("end", (n, REASONS[0])), ("sweep", (2,)), ("wait", (rng.choice(SECONDS),)), ("open", (actor, NAMES[n % 2])),
                    *[("submit", (actor, n, m, 1, [operation]))] * 8,
                    ("submit", (actor, n, m, rng.choice([-1, 0, 1, 2]), [operation])), ("server_change", (actor, n, m, [operation])),
                    ("checkpoint", (actor, n, None)), ("restore", (actor, n, m, rng.choice(PATHS), False)),
                    ("resolve", (actor, n, "mine")), ("since", (actor, n, m)), ("automatic", (10,)),
                ]
            )
        )  # fmt: skip
    return kinds


class Player:
    """Performs steps on one store. Two players of the same steps on two stores must have the same `seen`."""

    def __init__(self, store: Store) -> None:
        self.clock = FakeClock()
        self.bench = Bench(store, self.clock, SeededRandom(7))
        self.tokens: list[str] = []
        self.handles: list[str] = []
        self.documents: list[str] = []
        self.checkpoints: list[str] = []
        self.seen: list[Any] = []

    async def play(self, steps: Sequence[Step]) -> list[Any]:
        """Performs the steps and returns all that could be seen from outside."""
        for name, arguments in steps:
            self.bench.told.clear()
            try:
                result = await getattr(self, f"_{name}")(*arguments)
            except SessileError as error:
                result = error.as_dict()
            self.seen.append((name, plain(result), plain(self.bench.told)))
        return self.seen

    def _pick(self, items: Sequence[str], number: int) -> str:
        return items[-1 - number % len(items)] if items else "01900000-0000-7000-8000-000000000000"

    def _issued(self, issued: Any) -> Any:
        self.tokens.append(issued.token)
        self.handles.append(issued.session.session_id)
        return issued

    async def _create(self, user_id: str | None) -> Any:
        return self._issued(await self.bench.sessions.create(user_id, data=encode({"n": 1}), public={"id": user_id}))

    async def _sync(self, user_id: str, names: Sequence[str]) -> Any:
        entries = [PlatformEntry(platform_id=name, name=f"{user_id}'s {name}") for name in names]
        return await self.bench.platforms.sync(user_id, entries)

    async def _set_default(self, user_id: str, platform_id: str) -> Any:
        return await self.bench.platforms.set_default(user_id, platform_id)

    async def _switch(self, number: int, platform_id: str, expected: Any) -> Any:
        return await self.bench.platforms.switch(self._pick(self.handles, number), platform_id, expected)

    async def _authenticate(self, number: int) -> Any:
        return await self.bench.sessions.authenticate(self._pick(self.tokens, number))

    async def _touch(self, number: int) -> Any:
        touched = self.bench.sessions.touched(await self.bench.sessions.authenticate(self._pick(self.tokens, number)))
        if touched is not None:
            await self.bench.sessions.touch([touched])
        return touched

    async def _change_data(self, number: int, user_id: str | None, key: str, value: int) -> Any:
        operations = [("merge", ("shared",), {key: value}), ("set", (key,), value)]
        return await self.bench.sessions.change_data(self._pick(self.handles, number), operations, user_id)

    async def _rotate(self, number: int) -> Any:
        return self._issued(await self.bench.sessions.rotate(self._pick(self.handles, number)))

    async def _login(self, number: int | None, user_id: str) -> Any:
        handle = None if number is None else self._pick(self.handles, number)
        return self._issued(await self.bench.sessions.login(handle, user_id, public={"name": user_id}))

    async def _end(self, number: int, reason: EndReason) -> Any:
        return await self.bench.sessions.end(self._pick(self.handles, number), reason)

    async def _end_of_user(self, user_id: str, keep: int) -> Any:
        return await self.bench.sessions.end_of_user(user_id, self._pick(self.handles, keep), EndReason.ADMIN)

    async def _of_user(self, user_id: str) -> Any:
        return await self.bench.sessions.of_user(user_id)

    async def _sweep(self, batch: int) -> Any:
        # Sessions with the same deadline may be swept in any order; only how many is promised.
        swept = await self.bench.sessions.sweep(batch)
        while await self.bench.sessions.sweep(100):
            pass
        self.bench.told.sort(key=lambda event: event.key)
        return swept

    async def _wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # -- documents ------------------------------------------------------------------------------------------------------------------

    async def _open(self, actor: int, name: str) -> Any:
        opened = await self.bench.documents.open(ACTORS[actor], name, STATE)
        if opened.created:
            self.documents.append(opened.document.document_id)
        return opened

    async def _place(self, actor: int, document: int) -> tuple[Actor, str]:
        """An actor and one of its documents, opened if there is none yet."""
        if not self.documents:
            await self._open(actor, NAMES[0])
        return ACTORS[actor], self._pick(self.documents, document)

    async def _submit(self, actor: int, document: int, behind: int, ahead: int, operations: list[Any]) -> Any:
        who, document_id = await self._place(actor, document)
        opened = await self.bench.documents.open_by_id(who, document_id)
        change = Change(
            device_id=who.device_id,
            seq=max(1, opened.last_seq + ahead),
            base_version=max(0, opened.document.version - behind),
            generation=max(0, opened.document.generation - (behind == 5)),
            operations=operations,
        )
        outcome = await self.bench.send(who, document_id, change)
        state = (await self.bench.documents.get(who, document_id)).state
        return outcome.logged, plain(outcome.error), state

    async def _server_change(self, actor: int, document: int, key: int | None, operations: list[Any]) -> Any:
        who, document_id = await self._place(actor, document)
        name = None if key is None else f"job {key}"
        return await self.bench.changes.change(who, document_id, operations, None, name)

    async def _resolve(self, actor: int, document: int, choice: str) -> Any:
        who, document_id = await self._place(actor, document)
        conflicts = await self.bench.documents.conflicts(who, document_id)
        opened = await self.bench.documents.open_by_id(who, document_id)
        conflict_id = conflicts[0].conflict_id if conflicts else "none"
        operation = {"op": "resolve", "conflict_id": conflict_id, "choice": choice, "value": 5}
        version, generation = opened.document.version, opened.document.generation
        change = Change(
            device_id=who.device_id, seq=opened.last_seq + 1, base_version=version, generation=generation, operations=[operation]
        )  # fmt: skip
        outcome = await self.bench.send(who, document_id, change)
        return conflicts, outcome.logged, await self.bench.documents.conflicts(who, document_id)

    async def _checkpoint(self, actor: int, document: int, request: int | None) -> Any:
        who, document_id = await self._place(actor, document)
        request_id = None if request is None else f"request {request}"
        made = await self.bench.checkpoints.create(who, document_id, "label", CheckpointKind.MANUAL, None, request_id)
        self.checkpoints.append(made.checkpoint_id)
        return made, await self.bench.checkpoints.list(who, document_id)

    async def _automatic(self, limit: int) -> Any:
        return await self.bench.checkpoints.automatic(timedelta(seconds=600), limit)

    async def _restore(self, actor: int, document: int, checkpoint: int, paths: Any, dry_run: bool) -> Any:
        who, document_id = await self._place(actor, document)
        picked = self._pick(self.checkpoints, checkpoint)
        return await self.bench.checkpoints.restore(who, document_id, picked, paths, None, dry_run=dry_run)

    async def _rename(self, actor: int, document: int, name: str) -> Any:
        who, document_id = await self._place(actor, document)
        renamed = await self.bench.documents.rename(who, document_id, name)
        return renamed, await self.bench.documents.list(who)

    async def _archive(self, actor: int, document: int) -> Any:
        who, document_id = await self._place(actor, document)
        await self.bench.documents.archive(who, document_id)
        return await self.bench.documents.list(who), await self.bench.audit(f"document:{document_id}")

    async def _since(self, actor: int, document: int, behind: int) -> Any:
        who, document_id = await self._place(actor, document)
        head = await self.bench.documents.get(who, document_id)
        version = head.version - behind
        return await self.bench.documents.since(who, document_id, head.epoch, version), await self.bench.documents.log(
            who, document_id, None, 5
        )


SALTED = {"salt", "personal_hash", "previous_hash", "hash"}
"""What every store makes with randomness of its own."""


def plain(value: Any) -> Any:
    """Records as comparable structures: what kind of sequence or mapping a store returns is its own affair."""
    if isinstance(value, SessileError):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = {field.name for field in dataclasses.fields(value)} - (
            SALTED if isinstance(value, AuditEvent) else set()
        )
        return type(value).__name__, {name: plain(getattr(value, name)) for name in sorted(names)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
