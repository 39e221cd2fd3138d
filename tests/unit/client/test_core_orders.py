"""Hypothesis chooses the order of everything: edits of every kind, losses, kills, restores. The world and its rules are the model's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sessile.model.document import Operation
from tests.model_sync.backend import Backend
from tests.model_sync.device import Box, Device
from tests.model_sync.explore import heal
from tests.model_sync.world import Budgets, World

PATHS = ("/a", "/a/b", "/c", "/list")
ITEM_IDS = ("x", "y", "z")


@st.composite
def operations(draw: st.DrawFn) -> list[Operation]:
    path, item = draw(st.sampled_from(PATHS)), draw(st.sampled_from(ITEM_IDS))
    value: Any = draw(st.sampled_from([1, 2.5, "t", None, {}, {"b": 1}, {"b": {"c": []}}]))
    choices: list[Operation] = [
        {"op": "set", "path": path, "value": value},
        {"op": "remove", "path": path},
        {"op": "merge", "path": path, "value": {"b": value}},
        {"op": "increment", "path": path, "by": 1},
        {"op": "append", "path": "/list", "item": {"id": item}},
        {"op": "insert", "path": "/list", "item": {"id": item}, "after": None},
        {"op": "move", "path": "/list", "id": item, "after": draw(st.sampled_from(ITEM_IDS))},
        {"op": "remove_item", "path": "/list", "id": item},
        {"op": "test", "path": path, "exists": True},
    ]
    return [draw(st.sampled_from(choices))]


@given(st.data())
def test_whatever_happens_everybody_comes_to_the_same_state_with_everything_once(data: st.DataObject) -> None:
    drawn: list[list[Operation]] = data.draw(st.lists(operations(), min_size=1, max_size=6), label="operations")

    def of_edit(device: int, edit: int, nonce: str) -> Sequence[Operation]:
        # The word of the change comes last: a refused change is refused whole, and then it need not show.
        return [{"op": "append", "path": "/log", "item": {"id": nonce}}, *drawn[(device + edit) % len(drawn)]]

    budgets = Budgets(
        edits=(3, 3), cut=2, kill_server=1, kill_device=1, lose_news=2, refuse_commit=1, unknown_commit=1, restore=1
    )
    world = World(
        backend=Backend(),
        devices=(Device(0), Device(1)),
        boxes=(Box("device-0"), Box("device-1")),
        budgets=budgets,
        frame_changes=data.draw(st.sampled_from([1, 3])),
        operations_of=of_edit,
        went_back=True,  # refused changes leave the page again
    )
    for _ in range(data.draw(st.integers(5, 60), label="steps")):
        steps = list(world.steps())
        world = world.take(data.draw(st.sampled_from(steps)))
    heal(world)
