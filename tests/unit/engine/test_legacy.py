"""Requests with the same signed cookie, in the one order that chance seldom finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from sessile.engine.legacy import Arrived, Import
from sessile.model.legacy import Arrival, LegacyKind, hash_legacy
from sessile.model.session import Standing
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables
from sessile.testing import FakeClock, SeededRandom
from sessile.testing.lab import Bench

T = TypeVar("T")


class Interrupted(MemoryStore):
    """After its first read something else happens."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.then: Callable[[], Awaitable[Any]] | None = None

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        result = await super().read(work, *args)
        then, self.then = self.then, None
        if then is not None:
            await then()
        return result


async def test_a_cookie_that_another_request_brought_a_moment_ago_is_not_taken_for_an_old_one() -> None:
    tables, clock, random = Tables(), FakeClock(), SeededRandom()
    store = Interrupted(tables)
    slow, quick = Bench(store, clock, random), Bench(MemoryStore(tables), clock, random)
    run = Import(None, LegacyKind.FLASK_COOKIE, clock.now() + timedelta(days=1))
    arrival = Arrival(hash=hash_legacy("signed"), user_id="ada")
    first: list[Arrived] = []

    async def bring() -> None:
        first.append(await quick.legacy.arrive_signed(run, arrival, can_replace=True))

    store.then = bring
    arrived = await slow.legacy.arrive_signed(run, arrival, can_replace=True)
    assert (arrived.token, arrived.session.standing) == (None, Standing.ROTATED)
    assert arrived.session.session_id == first[0].session.session_id
    assert first[0].token is not None
