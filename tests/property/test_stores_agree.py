"""The same history gives the same results on every store: what is returned, what is raised, what listeners are told."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessile.ports import Store
from sessile.runtime.lane import drive
from sessile.stores.memory import MemoryStore
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore
from tests.property.history import Player, Step, document_steps, seeded_steps, session_steps
from tests.property.strategies import FEWER

STEPS = 10_000 if os.environ.get("SESSILE_SOAK") else 400


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """An empty database that is migrated already; each example works on a copy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        store = BlockingSqliteStore(f"sqlite:///{path}")
        drive(store.open())
        drive(store.close())
        yield path


def assert_same(left: Sequence[Any], right: Sequence[Any], steps: Sequence[Step]) -> None:
    for number, (ours, theirs) in enumerate(zip(left, right, strict=True)):
        assert ours == theirs, f"step {number}: {steps[number]}"


def compare(template: Path, steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.db"
        shutil.copy(template, path)
        sqlite = BlockingSqliteStore(f"sqlite:///{path}")
        drive(sqlite.open())
        try:
            assert_same(drive(Player(MemoryStore()).play(steps)), drive(Player(sqlite).play(steps)), steps)
        finally:
            drive(sqlite.close())


@FEWER
@given(st.lists(session_steps, max_size=25))
def test_sessions_agree(template: Path, steps: list[Step]) -> None:
    compare(template, steps)


@FEWER
@given(st.lists(document_steps, max_size=20))
def test_documents_agree(template: Path, steps: list[Step]) -> None:
    compare(template, steps)


@FEWER
@given(st.lists(st.one_of(session_steps, document_steps), max_size=20))
def test_sessions_and_documents_agree(template: Path, steps: list[Step]) -> None:
    compare(template, steps)


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
