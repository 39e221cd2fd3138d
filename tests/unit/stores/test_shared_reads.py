"""Reads of the asyncio lane that wait share a transaction: each gets its own answer or error, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy.exc import OperationalError

from sessile.model.errors import DocumentNotFound, StoreUnavailable
from sessile.ports import Transaction
from sessile.stores.sql import AsyncSqliteStore
from sessile.stores.sql.store import _READERS


class Held:
    """Keeps every reader busy until it is let go, so that what comes after has to wait and goes together."""

    def __init__(self, store: AsyncSqliteStore) -> None:
        self._store = store
        self._go_on = threading.Event()
        self._begun = [threading.Event() for _ in range(_READERS)]

    async def __aenter__(self) -> Self:
        def hold(_tx: Transaction, begun: threading.Event) -> None:
            begun.set()
            self._go_on.wait(10)

        self._busy = [asyncio.create_task(self._store.read(hold, begun)) for begun in self._begun]
        await asyncio.gather(*(asyncio.to_thread(begun.wait, 10) for begun in self._begun))
        return self

    def let_go(self) -> None:
        self._go_on.set()

    async def __aexit__(self, *_: object) -> None:
        self.let_go()
        await asyncio.gather(*self._busy, return_exceptions=True)


def transaction_of(tx: Transaction) -> int:
    return id(tx)


def failing(_tx: Transaction, error: Exception) -> Any:
    raise error


def test_those_that_wait_share_a_transaction_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    async def run() -> None:
        store = AsyncSqliteStore(f"sqlite:///{tmp_path}/a.db")
        await store.open()
        async with Held(store) as held:
            waiting = [asyncio.create_task(store.read(transaction_of)) for _ in range(5)]
            waiting.insert(2, asyncio.create_task(store.read(failing, DocumentNotFound())))
            waiting.append(asyncio.create_task(store.read(failing, ValueError("a defect"))))
            gone = asyncio.create_task(store.read(transaction_of))
            await asyncio.sleep(0)
            gone.cancel()
            held.let_go()
            outcomes = await asyncio.gather(*waiting, gone, return_exceptions=True)
        assert len({outcome for outcome in outcomes if isinstance(outcome, int)}) == 1
        assert [type(outcome) for outcome in outcomes] == [
            int, int, DocumentNotFound, int, int, int, ValueError, asyncio.CancelledError,
        ]  # fmt: skip
        assert isinstance(await store.read(transaction_of), int)
        await store.close()

    asyncio.run(run())


def test_when_the_database_fails_all_of_them_are_told(tmp_path: Path) -> None:
    async def run() -> None:
        store = AsyncSqliteStore(f"sqlite:///{tmp_path}/a.db")
        await store.open()
        async with Held(store) as held:
            broken = OperationalError("SELECT", {}, sqlite3.OperationalError("disk I/O error"))
            waiting = [asyncio.create_task(store.read(transaction_of)) for _ in range(2)]
            waiting.append(asyncio.create_task(store.read(failing, broken)))
            await asyncio.sleep(0)
            held.let_go()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
        assert isinstance(await store.read(transaction_of), int)
        await store.close()

    asyncio.run(run())


def test_closing_leaves_nobody_waiting(tmp_path: Path) -> None:
    async def run() -> None:
        store = AsyncSqliteStore(f"sqlite:///{tmp_path}/a.db")
        await store.open()
        async with Held(store) as held:
            waiting = asyncio.create_task(store.read(transaction_of))
            await asyncio.sleep(0)
            closing = asyncio.create_task(store.close())
            await asyncio.sleep(0)
            held.let_go()
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(waiting, 10)
            await closing
        with pytest.raises(StoreUnavailable):
            await store.read(transaction_of)

    asyncio.run(run())
