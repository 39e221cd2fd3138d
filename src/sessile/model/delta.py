"""What a request changed in the session's dict: the delta, not the blob, so that parallel requests do not undo each other.

- An object that was loaded and changed in place gives one operation per changed leaf.
- A key that was not there before and is bound to a dict is *merged*: two requests that both begin with `setdefault("basket", {})` keep
  both their entries.
- Any other key bound to a new object is one `set` of the whole value. Lists and tagged values are leaves.
- A list that was declared to merge (a framework's flashed messages) gives what was taken from it and what was appended: two requests that both append keep
  both, and who takes what was shown leaves what came meanwhile.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sessile.model import values
from sessile.model.errors import DocumentTooLarge, InvalidValue
from sessile.model.limits import SESSION_DATA_BYTES_MAX

DataOperation = tuple[str, tuple[str, ...], Any]
"""("set" | "merge" | "remove" | "take" | "append", keys, value); the value of the last two is a list of items"""

_LEVELS: Final = (dict, list, tuple, set)
"""What can be changed in its place, or hold what can be."""
_MARSHAL_VERSION: Final = 2
"""The last one whose bytes depend on the value alone, and not on how often its parts are referred to."""


def _bytes_of(value: dict[str, Any]) -> bytes | None:
    """Equal for equal values of the same types in the same order, and for nothing else; None where this quick way does not know a type. Nobody reads these
    bytes: they are kept for one comparison."""
    try:
        return marshal.dumps(value, _MARSHAL_VERSION)
    except ValueError:
        return None


class Tracked:
    """Session data as a live dict that can say what was changed. Raises InvalidValue when the data cannot be read."""

    __slots__ = ("_as_loaded", "_baseline", "_loaded", "_merging_lists", "value")

    def __init__(self, data: bytes = b"{}", merging_lists: frozenset[str] = frozenset()) -> None:
        """`merging_lists`: keys at the top whose lists merge."""
        self._merging_lists = merging_lists
        self._take_for_loaded(data, decoded(data))

    def _take_for_loaded(self, data: bytes, value: dict[str, Any]) -> None:
        self._baseline = data
        self.value: dict[str, Any] = value
        self._loaded: dict[tuple[str, ...], dict[str, Any]] = {}
        self._remember((), value)
        self._as_loaded = _bytes_of(value)

    def _remember(self, path: tuple[str, ...], loaded: dict[str, Any]) -> None:
        """Which dict stood where: the delta tells one that was changed from one that was put in its place."""
        self._loaded[path] = loaded
        for key, item in loaded.items():
            if type(item) is dict:
                self._remember((*path, key), item)

    def rebase(self) -> None:
        """What was changed so far is kept elsewhere now: later operations count from here. The objects stay the same, so references to
        parts of the data go on being tracked. Raises InvalidValue."""
        self._take_for_loaded(values.encode(self.value), self.value)

    @property
    def has_levels(self) -> bool:
        """Whether there is anything in it that can be changed in its place."""
        return any(isinstance(item, _LEVELS) for item in self.value.values())

    @property
    def is_as_loaded(self) -> bool:
        """True when all of it is what was loaded, at any depth and to the types: usual, and quick to see. False says nothing."""
        return self._as_loaded is not None and _bytes_of(self.value) == self._as_loaded

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
