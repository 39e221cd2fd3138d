"""The judge, whatever comes: every device ends with the server's state, nothing is half applied, no value is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sessile.model.canonical import canonical, json_equal
from sessile.model.change_format import parse_changes, parse_operations
from sessile.model.document import ABSENT, Policy, Verdict
from sessile.model.errors import InvalidChange
from sessile.model.limits import OPEN_CONFLICTS_MAX
from sessile.model.merge import Policies
from sessile.model.operations import Applied, OperationFault, apply, step
from sessile.model.pointer import lookup, parse
from tests.property.judging import Table, pruned
from tests.property.strategies import MORE, STATE, anything, changes, operations

ALL_POLICIES = Policies.from_mapping(
    {"/a": "last_write_wins", "/b": "reject", "/o/y": "reject", "/n": "last_write_wins"}
)
steps = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4), changes), max_size=8)
"""Device, how many versions it is behind, and what it wants."""


def run(table: Table, moves: list[tuple[int, int, list[dict[str, Any]]]]) -> None:
    for device, behind, wanted in moves:
        table.take(device, max(0, table.version - behind), wanted)


@MORE
@given(steps)
def test_whoever_applies_the_log_has_the_servers_state(moves: list[Any]) -> None:
    table = Table(STATE, ALL_POLICIES)
    run(table, moves)
    state: Mapping[str, Any] = STATE
    for logged, expected in zip(table.log, table.states[1:], strict=True):
        if logged.verdict is Verdict.APPLIED:
            state = apply(state, logged.operations).state
        assert canonical(state) == canonical(expected)


@given(steps)
def test_what_is_not_applied_changes_nothing(moves: list[Any]) -> None:
    table = Table(STATE, ALL_POLICIES)
    run(table, moves)
    for logged, before, after in zip(table.log, table.states, table.states[1:], strict=False):
        if logged.verdict is not Verdict.APPLIED:
            assert after is before
            assert list(logged.before) == []
        else:
            assert logged.resolved or not json_equal(before, after) or len(logged.operations) > 1
        if logged.verdict in (Verdict.REJECTED, Verdict.CONFLICT):
            assert logged.detail
            assert logged.detail["code"]


@given(steps)
def test_the_values_before_lead_back(moves: list[Any]) -> None:
    table = Table(STATE, ALL_POLICIES)
    run(table, moves)
    for logged, before, after in zip(table.log, table.states, table.states[1:], strict=False):
        undone = Applied(after)
        for path, value in reversed(logged.before):
            operation = (
                {"op": "remove", "path": path} if value is ABSENT else {"op": "set", "path": path, "value": value}
            )
            step(undone, operation)
        assert pruned(undone.state) == pruned(before)


@given(steps)
def test_nothing_is_changed_in_place(moves: list[Any]) -> None:
    table = Table(STATE, ALL_POLICIES)
    kept = [canonical(STATE)]
    for device, behind, wanted in moves:
        table.take(device, max(0, table.version - behind), wanted)
        kept.append(canonical(table.state))
    assert [canonical(state) for state in table.states] == kept


@given(steps)
def test_there_is_at_most_one_open_conflict_a_path_and_the_log_tells_of_each(moves: list[Any]) -> None:
    table = Table(STATE, ALL_POLICIES)
    run(table, moves)
    told = {conflict.conflict_id: conflict for logged in table.log for conflict in logged.conflicts}
    assert len(table.head.conflicts) <= OPEN_CONFLICTS_MAX
    for path, conflict in table.head.conflicts.items():
        assert conflict.path == path
        assert told[conflict.conflict_id] == conflict


@given(steps, st.integers(1, 3), st.sampled_from(["mine", "theirs", "value"]), st.data())
def test_resolving_closes_and_writes_what_the_log_says(moves: list[Any], device: int, choice: str, data: Any) -> None:
    table = Table(STATE)
    run(table, moves)
    if not table.head.conflicts:
        return
    conflict = data.draw(st.sampled_from(sorted(table.head.conflicts.values(), key=lambda c: c.path)))
    before = table.state
    resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": choice, "value": {"agreed": 1}}
    logged = table.take(device, table.version, [resolve])
    if logged.verdict is Verdict.APPLIED:
        assert conflict.path not in table.head.conflicts
        assert list(logged.resolved) == [conflict.conflict_id]
        mine_won = conflict.winner_device_no == device
        expected = (
            {"agreed": 1}
            if choice == "value"
            else conflict.winner
            if mine_won == (choice == "mine")
            else conflict.loser
        )
        found = lookup(table.state, parse(conflict.path))
        assert found is expected or json_equal(found, expected) or (expected is ABSENT and conflict.path == "")
    else:
        assert table.state is before
        assert table.head.conflicts[conflict.path] == conflict


# -- keep_both: a small world of leaves, with a model that knows who wrote each -----------------------------------------------------

LEAVES = ("/a", "/o/x", "/o/y")
leaf_writes = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(LEAVES)),
    st.tuples(st.just("remove"), st.sampled_from((*LEAVES, "/o"))),
    st.tuples(st.just("whole"), st.just("/o")),
)
leaf_moves = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 5), st.lists(leaf_writes, min_size=1, max_size=3)), max_size=8
)


@MORE
@given(leaf_moves)
def test_keep_both_never_drops_a_value_that_the_sender_had_not_seen(moves: list[Any]) -> None:
    table = Table({"o": {}})
    writers: dict[str, tuple[int, int]] = {}
    fresh = iter(range(1, 10_000))
    for device, behind, writes in moves:
        base, before = max(0, table.version - behind), table.state
        wanted = [
            {"op": "remove", "path": path} if kind == "remove"
            else {"op": "set", "path": path, "value": {"x": next(fresh)} if kind == "whole" else next(fresh)}
            for kind, path in writes
        ]  # fmt: skip
        logged = table.take(device, base, wanted)
        for leaf in LEAVES:
            old, new = lookup(before, parse(leaf)), lookup(table.state, parse(leaf))
            if old is new or json_equal(old, new):
                continue
            writer, version = writers.get(leaf, (device, 0))
            if old is not ABSENT and writer != device and version > base:
                assert any(keeps(conflict, leaf, old) for conflict in logged.conflicts), (leaf, old)
            writers[leaf] = (device, table.version)


def keeps(conflict: Any, leaf: str, value: Any) -> bool:
    keys = parse(conflict.path)
    below = parse(leaf)
    return below[: len(keys)] == keys and json_equal(lookup(conflict.loser, below[len(keys) :]), value)


# -- policies and order ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=6))
def test_with_last_write_wins_the_last_to_arrive_stands(moves: list[tuple[int, int, int]]) -> None:
    table = Table({}, Policies(default=Policy.LAST_WRITE_WINS))
    for device, behind, value in moves:
        table.take(device, max(0, table.version - behind), [{"op": "set", "path": "/o/x", "value": value}])
        assert table.state == {"o": {"x": value}}
    assert table.head.conflicts == {}


@given(steps)
def test_with_reject_nothing_unseen_is_overwritten(moves: list[Any]) -> None:
    table = Table(STATE, Policies(default=Policy.REJECT))
    run(table, moves)
    assert table.head.conflicts == {}
    for logged in table.log:
        if logged.verdict is Verdict.CONFLICT and logged.detail and logged.detail["code"] == "concurrent_change":
            current = lookup(table.states[logged.version - 1], parse(logged.detail["path"]))
            assert json_equal(logged.detail.get("current", ABSENT), current) or current is ABSENT


@given(
    st.permutations(
        [
            (1, {"op": "increment", "path": "/n", "by": 2}),
            (2, {"op": "increment", "path": "/n", "by": -5}),
            (3, {"op": "max", "path": "/m", "value": 3}),
            (1, {"op": "max", "path": "/m", "value": 7}),
            (2, {"op": "min", "path": "/k", "value": -1}),
            (3, {"op": "set", "path": "/o/p", "value": 1}),
            (2, {"op": "set", "path": "/o/q", "value": 2}),
            (1, {"op": "merge", "path": "", "value": {"o": {"r": 3}, "t": 4}}),
        ]
    )
)
def test_commuting_operations_and_different_paths_give_one_state_in_any_order(order: list[Any]) -> None:
    table = Table({"n": 1, "o": {"p": 0}})
    for device, operation in order:
        assert table.take(device, 0, [operation]).verdict in (Verdict.APPLIED, Verdict.NOOP)
    assert table.state == {"n": -2, "m": 7, "k": -1, "o": {"p": 1, "q": 2, "r": 3}, "t": 4}
    assert table.head.conflicts == {}


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 6)), max_size=6))
def test_appended_items_stand_in_the_order_of_arrival(moves: list[tuple[int, int]]) -> None:
    table = Table({})
    expected: list[int] = []
    for device, item_id in moves:
        table.take(device, 0, [{"op": "append", "path": "/l", "item": {"id": item_id, "by": device}}])
        expected = expected if item_id in expected else [*expected, item_id]
    assert [item["id"] for item in table.state.get("l", [])] == expected


# -- what should not come ------------------------------------------------------------------------------------------------------------


@MORE
@given(anything)
def test_anything_at_all_is_a_change_or_an_invalid_change(raw: Any) -> None:
    for parse_it in (parse_operations, lambda value: parse_changes(value, device_id="d")):
        try:
            accepted = parse_it(raw)
        except InvalidChange:
            continue
        assert isinstance(raw, list)
        assert len(accepted) == len(raw)


@given(operations, anything, st.sampled_from(["path", "value", "op", "item", "after", "id", "by"]))
def test_an_operation_with_one_wrong_field_is_refused_or_judged(operation: Any, wrong: Any, field: str) -> None:
    try:
        parsed = parse_operations([{**operation, field: wrong}])
    except InvalidChange:
        return
    table = Table(STATE)
    logged = table.take(1, 0, parsed)
    assert logged.verdict in Verdict
    try:
        expected = apply(STATE, parsed).state
    except OperationFault:
        expected = STATE
    if logged.verdict in (Verdict.APPLIED, Verdict.NOOP):
        assert json_equal(table.state, expected)
    else:
        assert table.state is STATE
