"""How many wait for a connection, told while they do."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from sessile.stores.sql.waiters import Waiters


def test_who_waits_is_counted_until_it_has_one_or_gives_up(tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/a.db", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=30,
        connect_args={"check_same_thread": False},
    )  # fmt: skip
    waiters = Waiters()
    got = threading.Event()

    def ask() -> None:
        with waiters.connect(engine):
            got.set()

    with waiters.connect(engine):
        assert waiters.number == 0
        thread = threading.Thread(target=ask)
        thread.start()
        deadline = time.monotonic() + 20
        while waiters.number == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert waiters.number == 1
        assert not got.is_set()
    thread.join(20)
    assert (got.is_set(), waiters.number) == (True, 0)
    impatient = engine.pool
    assert isinstance(impatient, QueuePool)
    impatient._timeout = 0
    with waiters.connect(engine), pytest.raises(PoolTimeoutError), waiters.connect(engine):
        pass
    assert waiters.number == 0
    engine.dispose()
