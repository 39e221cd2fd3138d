"""What the property tests are made of: JSON values, session values, paths, operations."""

from __future__ import annotations

import math
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from sessile.model.limits import NUMBER_MAX

DEFAULT = settings.default or settings()
FEWER = settings(DEFAULT, max_examples=max(10, DEFAULT.max_examples // 4))
"""For properties that need a database: a quarter of the profile's examples."""
MORE = settings(DEFAULT, max_examples=DEFAULT.max_examples * 3)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
keys = st.one_of(st.sampled_from(["a", "b", "~t", "v", "", "é", "a/b", "~", "\U0001f600", "\ufb33"]), text)
integers = st.integers(-NUMBER_MAX, NUMBER_MAX)
fractions = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda f: not f.is_integer() or abs(f) <= NUMBER_MAX
)
scalars = st.one_of(st.none(), st.booleans(), integers, fractions, text)
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=12,
)

_zones = st.sampled_from([None, UTC, timezone(timedelta(hours=-3, minutes=-30))])
_leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    text,
    st.binary(max_size=8),
    st.uuids(),
    st.datetimes(timezones=_zones),
    st.dates(),
    st.decimals(allow_nan=False).map(lambda d: d if math.isfinite(d) else Decimal(0)),
)
_hashable: st.SearchStrategy[Any] = st.recursive(
    _leaves, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3)), max_leaves=4
)
session_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_leaves, st.sets(_hashable, max_size=3), st.frozensets(_hashable, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=10,
)

# A small world, so that operations meet: an object, a list, a number, a text.
paths = st.sampled_from(["/a", "/b", "/o", "/o/x", "/o/y", "/o/x/z", "/l", "/n", "/s", "/s/x", "/l/0", ""])
small: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 3), st.sampled_from([None, True, "t", 1.5, {}, {"x": 1}, [], {"x": {"z": 0}}])
)
objects = st.dictionaries(st.sampled_from(["x", "y", "z", "a", "o"]), small, max_size=3)
item_ids = st.sampled_from([1, 2, "1", "i"])
items = st.builds(lambda item_id, value: {"id": item_id, "v": value}, item_ids, small)


def _operation(op: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"op": st.just(op), **fields})


def _writes(where: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    sets = _operation("set", path=where, value=small).filter(lambda o: o["path"] != "" or isinstance(o["value"], dict))
    return st.one_of(sets, _operation("remove", path=where), _operation("merge", path=where, value=objects))


operations = st.one_of(
    _writes(paths),
    _writes(paths),
    _operation("increment", path=paths, by=st.sampled_from([1, -2, 0.5, NUMBER_MAX])),
    _operation("max", path=paths, value=st.integers(-3, 3)),
    _operation("min", path=paths, value=st.integers(-3, 3)),
    _operation("append", path=paths, item=items),
    _operation("insert", path=paths, item=items, after=st.one_of(st.none(), item_ids)),
    _operation("move", path=paths, id=item_ids, after=st.one_of(st.none(), item_ids)),
    _operation("remove_item", path=paths, id=item_ids),
    _operation("test", path=paths, exists=st.booleans()),
    _operation("test", path=paths, equals=small),
)
changes = st.lists(operations, min_size=1, max_size=4)
STATE: dict[str, Any] = {"o": {"x": {"z": 1}}, "l": [{"id": 1, "v": 0}, {"id": "i", "v": 0}], "n": 0, "s": "text"}
