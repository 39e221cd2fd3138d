"""What the SQLite file itself keeps about platforms, whatever the engine does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from sessile.model.platform import PlatformEntry
from sessile.model.session import Session
from sessile.ports import Transaction
from sessile.runtime.lane import drive
from sessile.stores.sql import BlockingSqliteStore
from sessile.stores.sql.tables import platforms
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import Bench


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlockingSqliteStore]:
    opened = BlockingSqliteStore(f"sqlite:///{tmp_path}/a.db")
    drive(opened.open())
    yield opened
    drive(opened.close())


def on_shop(store: BlockingSqliteStore) -> Session:
    bench = Bench(store, FakeClock(), SeededRandom())
    drive(bench.platforms.sync("ada", [PlatformEntry(platform_id="shop", name="Shop")]))
    return drive(bench.sessions.create("ada")).session


def test_a_session_cannot_be_on_a_platform_that_there_never_was(store: BlockingSqliteStore) -> None:
    session = on_shop(store)

    def misplace(tx: Transaction) -> None:
        tx.sessions.update(replace(session, platform_id="never"))

    with pytest.raises(IntegrityError):
        drive(store.write(misplace))


def test_a_platform_that_a_session_names_cannot_be_deleted(store: BlockingSqliteStore) -> None:
    on_shop(store)
    with pytest.raises(IntegrityError):
        store.database.write(lambda connection: connection.execute(delete(platforms)))
