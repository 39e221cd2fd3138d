"""Errors that are planted into the real code. Each must make one cell of the matrix fail, and as what it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

import pytest

from sessile.engine.caching import SessionCache
from sessile.engine.looks import Looks
from sessile.model.errors import StoreUnavailable
from sessile.model.fence import CacheUnavailable, Miss
from sessile.stores.redis.wire import Greeting
from sessile.stores.sql import postgres_errors
from sessile.stores.sql.postgres import AsyncPostgresStore, BlockingPostgresStore
from tests.faults.conftest import BOTH_LANES, HOLD_S, World, Wrong
from tests.faults.history import NOTHING, SQL_AWAY, Allowed
from tests.faults.nodes import CountingCache
from tests.faults.test_ended import FAULTS
from tests.faults.test_matrix import REDIS
from tests.faults.test_matrix_sql import SQL

Plant = Callable[[ExitStack], None]


def _ends_do_not_wait(stack: ExitStack) -> None:
    async def settle_closed(*_: Any) -> None:
        return

    stack.enter_context(patch.object(SessionCache, "_settle_closed", settle_closed))


def _servers_are_not_told_apart(stack: ExitStack) -> None:
    stack.enter_context(patch.object(Greeting, "identity", lambda _self, _replies: "redis"))


def _no_raise_in_the_commit(stack: ExitStack) -> None:
    stack.enter_context(patch.object(SessionCache, "within", lambda _self, _tx, _plan: None))


def _looks_never_grow_old(stack: ExitStack) -> None:
    stack.enter_context(patch.object(Looks, "is_usable", lambda _self, look: look.fence.is_open))


def _no_answer_is_nobody(stack: ExitStack) -> None:
    get = CountingCache.get

    async def found(self: CountingCache, place: Any, session_id: str) -> bytes | Miss:
        try:
            return await get(self, place, session_id)
        except CacheUnavailable:
            return b""

    stack.enter_context(patch.object(CountingCache, "get", found))


def _nobody_is_told(stack: ExitStack) -> None:
    async def nothing(*_: Any) -> None:
        return

    stack.enter_context(patch.object(CountingCache, "mark", nothing))
    stack.enter_context(patch.object(CountingCache, "publish", nothing))


def _acknowledged_before_the_commit(stack: ExitStack) -> None:
    for store in (AsyncPostgresStore, BlockingPostgresStore):
        stack.enter_context(patch.object(store, "write", _hasty(store.write)))


def _hasty(write: Callable[..., Any]) -> Callable[..., Any]:
    async def hasty(self: Any, work: Callable[..., Any], *args: Any) -> Any:
        results: list[Any] = []

        def noted(*arguments: Any) -> Any:
            results.append(work(*arguments))
            return results[-1]

        try:
            return await write(self, noted, *args)
        except StoreUnavailable:
            if results:
                return results[-1]
            raise

    return hasty


def _outages_have_no_type(stack: ExitStack) -> None:
    stack.enter_context(patch.object(postgres_errors, "_is_away", lambda _error: False))


PLANTS: Final[dict[str, tuple[Plant, Callable[[World], AbstractContextManager[None]], Allowed, str]]] = {
    "ends do not wait": (_ends_do_not_wait, FAULTS["the one who ends has no Redis"], NOTHING, "resurrection"),
    "servers are not told apart": (
        _servers_are_not_told_apart,
        FAULTS["Redis from an older copy"],
        NOTHING,
        "resurrection",
    ),
    "no raise in the commit": (_no_raise_in_the_commit, FAULTS["the one who ends dies"], NOTHING, "resurrection"),
    "looks never grow old": (_looks_never_grow_old, FAULTS["nor has the other one SQL"], SQL_AWAY, "resurrection"),
    "no answer is nobody": (_no_answer_is_nobody, contextmanager(REDIS["refused"]), NOTHING, "logout"),
    "nobody is told": (_nobody_is_told, contextmanager(REDIS["latency 50 ms"]), NOTHING, "stale"),
    "acknowledged before the commit": (
        _acknowledged_before_the_commit,
        contextmanager(SQL["connections ended"]),
        SQL_AWAY,
        "lost",
    ),
    "outages have no type": (_outages_have_no_type, contextmanager(SQL["refused"]), SQL_AWAY, "error"),
}


@pytest.mark.parametrize("name", PLANTS)
def test_planted(world: World, name: str) -> None:
    plant, fault, allowed, shown = PLANTS[name]
    with ExitStack() as stack:
        plant(stack)
        with pytest.raises(Wrong, match=rf"(?m)^{shown}"):
            world.play(BOTH_LANES, fault, allowed, hold_s=HOLD_S / 2)
