"""The connection that listens for news: whoever made one and does not keep it lets go of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessile.stores.sql.postgres_news import Listening

asyncpg = pytest.importorskip("asyncpg")


class Connection:
    """It is made, and then nothing answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.is_terminated = False

    async def add_listener(self, *_: Any) -> None:
        self.asked.set()
        await asyncio.Event().wait()

    def terminate(self) -> None:
        self.is_terminated = True


@pytest.mark.parametrize("end", ["cancelled", "timeout"])
async def test_a_connection_that_never_listened_is_let_go_of(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Connection()

    async def connect(*_: Any, **__: Any) -> Connection:
        return made

    monkeypatch.setattr(asyncpg, "connect", connect)
    listening = Listening("postgresql://", 0.05 if end == "timeout" else 60, lambda _: None, lambda: None)
    starting = asyncio.create_task(listening.start())
    await made.asked.wait()
    if end == "cancelled":
        starting.cancel()
    with pytest.raises((TimeoutError, asyncio.CancelledError)):
        await starting
    assert made.is_terminated
    await listening.stop()
