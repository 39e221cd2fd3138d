"""Lists that merge: appended to and taken from by several at once."""

from __future__ import annotations

import pytest

from sessile.model import values
from sessile.model.delta import Tracked, apply_delta

KEY = "_flashes"
X, Y, Z = ("message", "x"), ("message", "y"), ("info", "z")


def tracked(*items: object) -> Tracked:
    return Tracked(values.encode({KEY: list(items)} if items else {}), frozenset({KEY}))


def after(*deltas: Tracked, stored: tuple[object, ...] = ()) -> object:
    """What is stored when these were committed one after the other."""
    data = values.encode({KEY: list(stored)} if stored else {})
    for delta in deltas:
        data = apply_delta(data, delta.operations)
    return values.decode(data)


def put(*items: object, on: tuple[object, ...] = ()) -> Tracked:
    made = tracked(*on)
    made.value[KEY] = [*made.value.get(KEY, []), *items]
    return made


def shown(*on: object) -> Tracked:
    made = tracked(*on)
    made.value.pop(KEY)
    return made


def test_both_appends_are_kept() -> None:
    assert after(put(X), put(Y)) == {KEY: [X, Y]}
    assert after(put(Y, on=(X,)), put(Z, on=(X,)), stored=(X,)) == {KEY: [X, Y, Z]}


@pytest.mark.parametrize("shown_first", [True, False])
def test_what_was_shown_goes_and_what_came_meanwhile_stays(shown_first: bool) -> None:
    deltas = [shown(X), put(Y, on=(X,))]
    assert after(*(deltas if shown_first else reversed(deltas)), stored=(X,)) == {KEY: [Y]}


def test_what_two_pages_showed_goes_once() -> None:
    assert after(shown(X), shown(X), stored=(X,)) == {}
    assert after(shown(X), put(X), shown(X), stored=(X,)) == {}
    assert after(shown(X), stored=(X, X)) == {KEY: [X]}


def test_shown_and_appended_by_one() -> None:
    made = tracked(X)
    made.value[KEY] = [Z]
    assert made.operations == [("take", (KEY,), [X]), ("append", (KEY,), [Z])]
    assert after(made, stored=(X, Y)) == {KEY: [Y, Z]}


def test_an_append_in_place_counts_and_nothing_gives_nothing() -> None:
    made = tracked(X)
    assert made.operations == []
    made.value[KEY].append(Y)
    assert made.operations == [("append", (KEY,), [Y])]
    made.rebase()
    assert made.operations == []


def test_what_is_no_list_is_set_as_ever() -> None:
    made = tracked(X)
    made.value[KEY] = "none"
    assert made.operations == [("set", (KEY,), "none")]
    assert after(put(Y), made) == {KEY: "none"}
    assert after(made, put(Y)) == {KEY: [Y]}
    assert after(made, shown(X)) == {KEY: "none"}


def test_other_lists_are_leaves() -> None:
    made = Tracked(values.encode({"a": [1]}), frozenset({KEY}))
    made.value["a"].append(2)
    assert made.operations == [("set", ("a",), [1, 2])]
