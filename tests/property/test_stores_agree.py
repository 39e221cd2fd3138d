"""The same long history gives the same results in both lanes. That stores agree step by step is shown by `machines`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sessile.ports import Store
from sessile.runtime.lane import drive
from sessile.stores.memory import MemoryStore
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore
from tests.property.history import Player, Step, seeded_steps

STEPS = 10_000 if os.environ.get("SESSILE_SOAK") else 400


def assert_same(left: Sequence[Any], right: Sequence[Any], steps: Sequence[Step]) -> None:
    for number, (ours, theirs) in enumerate(zip(left, right, strict=True)):
        assert ours == theirs, f"step {number}: {steps[number]}"


@pytest.mark.parametrize("make", [lambda _url: MemoryStore(), AsyncSqliteStore], ids=["memory", "sqlite"])
def test_both_lanes_agree_on_a_long_history(make: Callable[[str], Store], tmp_path: Path) -> None:
    steps = seeded_steps(20260411, STEPS)

    async def on_a_loop() -> list[Any]:
        store = make(f"sqlite:///{tmp_path}/asyncio.db")
        await store.open()
        try:
            return await Player(store).play(steps)
        finally:
            await store.close()

    blocking = BlockingSqliteStore(f"sqlite:///{tmp_path}/blocking.db")
    drive(blocking.open())
    player = Player(blocking)
    assert_same(drive(player.play(steps)), asyncio.run(on_a_loop()), steps)
    drive(blocking.close())
    seen = repr(player.seen)
    for happened in (
        "applied",
        "noop",
        "rejected",
        "conflict",
        "concurrent",
        "superseded",
        "gap",
        "session_ended",
        "session_expired",
        "platform_refused",
        "version_conflict",
    ):
        assert f"'{happened}'" in seen, f"a history without {happened} says little"
