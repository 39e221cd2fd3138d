"""What a request changed in the session's dict: the delta, not the blob, so that parallel requests do not undo each other.

- An object that was loaded and changed in place gives one operation per changed leaf.
- A key that was not there before and is bound to a dict is *merged*: two requests that both begin with `setdefault("basket", {})` keep
  both their entries.
- Any other key bound to a new object is one `set` of the whole value. Lists and tagged values are leaves.
- A list that was declared to merge (a framework's flashed messages) gives what was taken from it and what was appended: two requests that both append keep
  both, and who takes what was shown leaves what came meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import is_
from typing import Any, Final
from uuid import UUID

from sessile.model import values
from sessile.model.errors import DocumentTooLarge, InvalidValue
from sessile.model.limits import SESSION_DATA_BYTES_MAX

DataOperation = tuple[str, tuple[str, ...], Any]
"""("set" | "merge" | "remove" | "take" | "append", keys, value); the value of the last two is a list of items"""

_IMMUTABLE: Final = frozenset({str, int, float, bool, type(None), bytes, UUID, datetime, date, Decimal})

_Level = tuple[Any, Any]
"""A dict or list of the data, and a copy of it from when it was loaded."""


def _is_as_loaded(level: _Level) -> bool:
    """Whether the very same objects are in it, in the same order. Equal ones would not do: 1 and True are equal."""
    now, then = level
    if len(now) != len(then) or not all(map(is_, now, then)):
        return False
    return type(now) is list or all(map(is_, now.values(), then.values()))


class Tracked:
    """Session data as a live dict that can say what was changed. Raises InvalidValue when the data cannot be read."""

    __slots__ = ("_baseline", "_is_simple", "_levels", "_loaded", "_merging_lists", "value")

    def __init__(self, data: bytes = b"{}", merging_lists: frozenset[str] = frozenset()) -> None:
        """`merging_lists`: keys at the top whose lists merge."""
        self._baseline = data
        self._merging_lists = merging_lists
        self.value: dict[str, Any] = decoded(data)
        self._take_for_loaded()

    def _take_for_loaded(self) -> None:
        self._loaded: dict[tuple[str, ...], dict[str, Any]] = {}
        self._levels: list[_Level] = []
        self._is_simple = self._remember((), self.value)

    def _remember(self, path: tuple[str, ...], loaded: dict[str, Any]) -> bool:
        """Whether everything below can be watched: dicts, lists, and what cannot be changed."""
        self._loaded[path] = loaded
        self._levels.append((loaded, loaded.copy()))
        if _IMMUTABLE.issuperset(map(type, loaded.values())):
            return True
        is_simple = True
        for key, item in loaded.items():
            kind = type(item)
            if kind in _IMMUTABLE:
                continue
            if kind is dict:
                is_simple = self._remember((*path, key), item) and is_simple
            else:
                is_simple = self._remember_leaf(item) and is_simple
        return is_simple

    def _remember_leaf(self, item: Any) -> bool:
        """A list is a leaf of the delta, but has values of its own that may be replaced; a tuple has some that may be changed."""
        kind = type(item)
        if kind in _IMMUTABLE:
            return True
        if kind is list or kind is dict:
            self._levels.append((item, item.copy()))
        elif kind is not tuple:
            return False
        return all(self._remember_leaf(inner) for inner in (item.values() if kind is dict else item))

    def rebase(self) -> None:
        """What was changed so far is kept elsewhere now: later operations count from here. The objects stay the same, so references to
        parts of the data go on being tracked. Raises InvalidValue."""
        self._baseline = values.encode(self.value)
        self._take_for_loaded()

    @property
    def has_levels(self) -> bool:
        """Whether there is anything in it that can be changed in its place."""
        return not _IMMUTABLE.issuperset(map(type, self.value.values()))

    @property
    def is_as_loaded(self) -> bool:
        """True when each value, at any depth, still is the very object that was loaded, and none of them can be changed in its place: usual, and quick
        to see. False says nothing."""
        return self._is_simple and all(map(_is_as_loaded, self._levels))

    @property
    def is_modified(self) -> bool:
        return not self.is_as_loaded and values.encode(self.value) != self._baseline

    @property
    def operations(self) -> list[DataOperation]:
        """The delta, in a deterministic order; empty when nothing changed. Raises InvalidValue, DocumentTooLarge."""
        if self.is_as_loaded:
            return []
        encoded = values.encode(self.value)
        if encoded == self._baseline:
            return []
        if len(encoded) > SESSION_DATA_BYTES_MAX:
            raise DocumentTooLarge(
                f"The session's data is {len(encoded)} bytes; the limit is {SESSION_DATA_BYTES_MAX}."
            )
        found: list[DataOperation] = []
        before, now = values.decode(self._baseline), self.value
        if self._merging_lists:
            now = dict(now)
            for key in self._merging_lists & (before.keys() | now.keys()):
                self._compare_lists(key, before, now, found)
        self._compare((), before, now, found)
        return found

    @staticmethod
    def _compare_lists(key: str, before: dict[str, Any], now: dict[str, Any], found: list[DataOperation]) -> None:
        """What was taken and what was appended, where both are lists; then there is nothing more to compare."""
        known, present = before.get(key, []), now.get(key, [])
        if type(known) is not list or type(present) is not list:
            return
        was, is_now = [values.encode(item) for item in known], [values.encode(item) for item in present]
        kept = next(
            (at for at, pair in enumerate(zip(was, is_now, strict=False)) if pair[0] != pair[1]),
            min(len(was), len(is_now)),
        )
        if known[kept:]:
            found.append(("take", (key,), known[kept:]))
        if present[kept:]:
            found.append(("append", (key,), present[kept:]))
        before.pop(key, None)
        now.pop(key, None)

    def _compare(
        self, path: tuple[str, ...], before: Mapping[str, Any], now: Mapping[str, Any], found: list[DataOperation]
    ) -> None:
        found.extend(("remove", (*path, key), None) for key in before if key not in now)
        for key, item in now.items():
            here = (*path, key)
            if key not in before:
                found.append(("merge" if type(item) is dict else "set", here, item))
            elif values.encode(before[key]) != values.encode(item):
                if type(item) is dict and item is self._loaded.get(here):
                    self._compare(here, before[key], item, found)
                else:
                    found.append(("set", here, item))


def decoded(data: bytes) -> dict[str, Any]:
    """The stored data as a dict. Raises InvalidValue for bytes that are none."""
    found = values.decode(data)
    if type(found) is not dict:
        raise InvalidValue("", "the stored session data is no object")
    return found


def is_readable(data: bytes) -> bool:
    """Whether the stored data can be read."""
    try:
        decoded(data)
    except InvalidValue:
        return False
    return True


def apply_delta(data: bytes, operations: Sequence[DataOperation]) -> bytes:
    """The data with the delta applied on whatever stands there now. Raises DocumentTooLarge, InvalidValue."""
    root = decoded(data)
    for kind, path, value in operations:
        parent = root
        for key in path[:-1]:
            child = parent.get(key)
            if type(child) is not dict:
                child = parent[key] = {}
            parent = child
        last = path[-1]
        if kind == "remove":
            parent.pop(last, None)
        elif kind == "merge" and type(parent.get(last)) is dict:
            _merge(parent[last], value)
        elif kind == "take":
            _take(parent, last, value)
        elif kind == "append" and type(parent.get(last)) is list:
            parent[last].extend(value)
        else:
            parent[last] = value
    encoded = values.encode(root)
    if len(encoded) > SESSION_DATA_BYTES_MAX:
        raise DocumentTooLarge(
            f"The session's data would be {len(encoded)} bytes; the limit is {SESSION_DATA_BYTES_MAX}."
        )
    return encoded


def _merge(target: dict[str, Any], value: Mapping[str, Any]) -> None:
    for key, item in value.items():
        if type(item) is dict and type(target.get(key)) is dict:
            _merge(target[key], item)
        else:
            target[key] = item


def _take(parent: dict[str, Any], key: str, items: Sequence[Any]) -> None:
    """Removes each of the items once, where it still is. A list that is empty then goes."""
    present = parent.get(key)
    if type(present) is not list:
        return
    for item in items:
        encoded = values.encode(item)
        at = next((at for at, other in enumerate(present) if values.encode(other) == encoded), None)
        if at is not None:
            del present[at]
    if not present:
        del parent[key]
