"""Codecs: canonical JSON against a second implementation, session values there and back, pointers, tokens, deltas."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from sessile.model import pointer, token, values
from sessile.model.canonical import canonical, json_equal
from sessile.model.delta import Tracked, apply_delta
from sessile.model.errors import InvalidValue, SessionNotFound
from tests.property.strategies import MORE, json_values, keys, session_values, text

POINTER = re.compile(r"(/([^~/]|~[01])*)*", re.DOTALL)


# -- canonical JSON ------------------------------------------------------------------------------------------------------------------


@MORE
@given(json_values)
def test_canonical_json_is_what_another_implementation_makes(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_as_browsers_write_them(number: float) -> None:
    assert canonical(number) == rfc8785.dumps(number)


@given(json_values, json_values)
def test_equal_values_and_only_they_have_one_canonical_form(left: Any, right: Any) -> None:
    assert json_equal(left, right) is (canonical(left) == canonical(right))
    assert json_equal(left, left)


# -- session values ------------------------------------------------------------------------------------------------------------------


def same(left: Any, right: Any) -> bool:
    """Equal in value and in every type."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@given(session_values)
def test_what_is_encoded_comes_back_with_its_types(value: Any) -> None:
    encoded = values.encode(value)
    assert same(values.decode(encoded), value)
    assert values.encode(values.decode(encoded)) == encoded


@given(st.dictionaries(keys, session_values, max_size=4), st.randoms(use_true_random=False))
def test_equal_dicts_have_equal_bytes_whatever_their_order(value: dict[str, Any], random: Any) -> None:
    shuffled = list(value.items())
    random.shuffle(shuffled)
    assert values.encode(dict(shuffled)) == values.encode(value)


def test_safe_markup_stays_safe() -> None:
    for made in (values.Markup("<b>&amp;</b>"), values.decode(values.encode(values.Markup("<b>")))):
        back = values.decode(values.encode({"html": made}))["html"]
        assert (back, back.__html__()) == (made, str(made))
        assert type(back) is not str


class Unknown:
    pass


@pytest.mark.parametrize(
    "wrong",
    [float("nan"), float("inf"), Unknown(), {1: 2}, {"\ud800": 1}, "\ud800", 10**5000, values.Markup("\ud800")],
    ids=["nan", "inf", "unknown", "key", "text key", "surrogate", "huge", "markup"],
)
@pytest.mark.parametrize(
    ("place", "path"),
    [
        (lambda v: v, ""),
        (lambda v: {"a/b": [0, v]}, "/a~1b/1"),
        (lambda v: {"t": (v,)}, "/t/0"),
        (lambda v: {"t": {(v,)} if not isinstance(v, dict) else [(v,)]}, "/t/0/0"),
    ],
)
def test_what_cannot_be_kept_is_named_by_its_path(wrong: Any, place: Any, path: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        values.encode(place(wrong))
    assert caught.value.path.startswith(path)


def test_too_deep_a_value_is_refused_and_not_a_crash() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidValue):
        values.encode(deep)
    with pytest.raises(InvalidValue):
        values.decode(b"[" * 100_000 + b"]" * 100_000)


@given(st.one_of(st.binary(max_size=30), json_values.map(canonical)))
def test_bytes_from_anywhere_are_a_value_or_an_invalid_value(data: bytes) -> None:
    try:
        value = values.decode(data)
    except InvalidValue:
        return
    assert values.decode(data) is not value or value is None or isinstance(value, int | float | str)


# -- deltas --------------------------------------------------------------------------------------------------------------------------

_places = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)
_programs = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "fresh", "append", "move"]), _places, session_values), max_size=6
)


def perform(data: dict[str, Any], program: list[Any]) -> None:
    """What a request handler might do to its session."""
    for action, place, value in program:
        parent = data
        for key in place[:-1]:
            child = parent.get(key)
            if not isinstance(child, dict):
                child = parent[key] = {}
            parent = child
        last = place[-1]
        if action == "put":
            parent[last] = value
        elif action == "delete":
            parent.pop(last, None)
        elif action == "fresh":
            parent[last] = {"fresh": value}
        elif action == "append" and isinstance(parent.get(last), list):
            parent[last].append(value)
        elif action == "move":
            data["moved"] = parent.pop(last, None)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), session_values, max_size=3), _programs)
def test_the_delta_of_a_program_leads_to_what_the_program_made(start: dict[str, Any], program: list[Any]) -> None:
    baseline = values.encode(start)
    tracked = Tracked(baseline)
    perform(tracked.value, program)
    assert apply_delta(baseline, tracked.operations) == values.encode(tracked.value)
    assert bool(tracked.operations) is tracked.is_modified


_shared = st.lists(st.sampled_from(["p", "q"]), max_size=3)
_requests = st.lists(st.tuples(_shared, st.sampled_from(["1", "2"]), st.one_of(st.none(), session_values)), max_size=4)


def write_own(data: dict[str, Any], owner: str, writes: list[Any]) -> None:
    """Puts (or, for None, removes) values under keys that only `owner` uses, in objects that both use."""
    for shared, name, value in writes:
        parent = data
        for key in shared:
            parent = parent.setdefault(key, {})
        if value is None:
            parent.pop(owner + name, None)
        else:
            parent[owner + name] = value


@given(_requests, _requests, _requests)
def test_parallel_requests_that_change_different_values_both_survive(
    before: list[Any], first: list[Any], second: list[Any]
) -> None:
    start: dict[str, Any] = {}
    write_own(start, "x", before)
    write_own(start, "y", before)
    baseline = values.encode(start)
    one, two, expected = Tracked(baseline), Tracked(baseline), Tracked(baseline)
    write_own(one.value, "x", first)
    write_own(two.value, "y", second)
    write_own(expected.value, "x", first)
    write_own(expected.value, "y", second)
    assert apply_delta(apply_delta(baseline, one.operations), two.operations) == values.encode(expected.value)
    assert apply_delta(apply_delta(baseline, two.operations), one.operations) == values.encode(expected.value)


# -- pointers and tokens -------------------------------------------------------------------------------------------------------------


@given(st.lists(keys, max_size=4))
def test_keys_make_a_pointer_and_come_back(path: list[str]) -> None:
    assert pointer.parse(pointer.format_keys(path)) == tuple(path)


@MORE
@given(st.one_of(text, st.text("~/01a", max_size=8)))
def test_a_text_is_a_pointer_exactly_when_rfc_6901_says_so(candidate: str) -> None:
    try:
        parsed = pointer.parse(candidate)
    except ValueError:
        assert POINTER.fullmatch(candidate) is None
    else:
        assert POINTER.fullmatch(candidate) is not None
        assert pointer.format_keys(parsed) == candidate


_patterns = st.builds(
    lambda head, tail: head + tail,
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3),
    st.sampled_from([[], ["**"]]),
)


@given(_patterns, st.lists(st.sampled_from(["a", "b"]), max_size=4))
def test_a_pattern_matches_what_its_regular_expression_matches(pattern: list[str], path: list[str]) -> None:
    parts = ["(/[^/]+)*" if key == "**" else "/[^/]+" if key == "*" else f"/{key}" for key in pattern]
    expected = re.fullmatch("".join(parts), "".join(f"/{key}" for key in path)) is not None
    assert pointer.matches(tuple(pattern), tuple(path)) is expected


_token_like = st.from_regex(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.[A-Za-z0-9_-]{42,44}.?"
)


@given(st.one_of(st.text(max_size=100), _token_like))
def test_a_token_is_of_our_shape_or_not_found(candidate: str) -> None:
    try:
        handle, secret = token.parse(candidate)
    except SessionNotFound:
        return
    assert (f"{handle}.{secret}", len(secret)) == (candidate, 43)


@given(
    st.timedeltas(timedelta(0), timedelta(days=30_000)),
    st.binary(min_size=10, max_size=10),
    st.binary(min_size=32, max_size=32),
)
def test_what_is_made_is_parsed_and_sorts_by_time(since: timedelta, tail: bytes, secret: bytes) -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC) + since
    handle = token.uuid7(now, tail)
    assert token.parse(token.make(handle, secret))[0] == handle
    assert token.uuid7(now + timedelta(milliseconds=2), b"\x00" * 10) > handle
