"""The reducer: a state and operations give a new state. Nothing is changed in place; what did not change is shared.

Held to `protocol/vectors/operations.json` together with the browser client's reducer. Operations arrive here already checked for
shape by `sessile.model.change_format`; what can still go wrong depends on the state and is an `OperationFault`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessile.model.canonical import json_equal
from sessile.model.document import ABSENT, Operation, State
from sessile.model.limits import DEPTH_MAX, NUMBER_MAX
from sessile.model.pointer import Keys, format_keys, lookup, parse


class OperationFault(Exception):
    """The operation does not fit the state. `code` is one of `change_codes` in protocol/codes.json."""

    def __init__(self, code: str, message: str, path: str) -> None:
        super().__init__(f"{path or '(whole state)'}: {message}")
        self.code = code
        self.message = message
        self.path = path


@dataclass(slots=True)
class Applied:
    """The new state, remarks for the sender, and every path that was touched with the value before (ABSENT: nothing there)."""

    state: State
    notices: list[str] = field(default_factory=list)
    before: list[tuple[Keys, Any]] = field(default_factory=list)


def apply(state: State, operations: Sequence[Operation]) -> Applied:
    """Applies all operations or raises OperationFault. `test` and `resolve` are the judge's business and change nothing here.

    The returned state is the very same object when nothing changed.
    """
    applied = Applied(state)
    for operation in operations:
        step(applied, operation)
    return applied


def step(applied: Applied, operation: Operation) -> None:
    kind = operation["op"]
    if kind in ("test", "resolve"):
        return
    if kind == "replace":
        _put(applied, (), operation["value"])
        return
    keys = parse(operation["path"])
    if kind == "merge":
        for leaf_keys, value in leaves(applied.state, keys, operation["value"]):
            _put(applied, leaf_keys, value)
        return
    _KINDS[kind](applied, keys, operation)


def leaves(state: State, keys: Keys, patch: Any) -> Iterator[tuple[Keys, Any]]:
    """A merge patch (RFC 7396) as single values to set; ABSENT stands for remove."""
    current = lookup(state, keys)
    if not isinstance(patch, Mapping):
        yield keys, ABSENT if patch is None else patch
    elif not isinstance(current, Mapping):
        if current is not ABSENT or not patch:
            yield keys, _without_nulls(patch)
        else:
            for key, value in patch.items():
                yield from leaves({}, (*keys, key), value) if value is not None else ()
            if all(value is None for value in patch.values()):
                yield keys, {}
    else:
        for key, value in patch.items():
            yield from leaves(state, (*keys, key), value)


def _without_nulls(patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    return {key: _without_nulls(value) for key, value in patch.items() if value is not None}


def depth(value: Any) -> int:
    """How many containers deep a value is; a scalar is 0."""
    if value is None or isinstance(value, str | int | float):
        return 0
    if isinstance(value, Mapping):
        return 1 + max((depth(child) for child in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(child) for child in value), default=0)
    return 0


def _put(applied: Applied, keys: Keys, value: Any) -> None:
    """Sets one value (ABSENT removes), noting what was there."""
    if not keys and value is ABSENT:
        value = {}
    if not keys and not isinstance(value, Mapping):
        raise OperationFault("not_an_object", "the whole state must stay an object", "")
    current = lookup(applied.state, keys)
    if current is not ABSENT and value is not ABSENT and json_equal(current, value):
        return
    if value is ABSENT and current is ABSENT:
        _check_parents(applied.state, keys)
        return
    if value is not ABSENT and len(keys) + depth(value) > DEPTH_MAX:
        raise OperationFault("too_deep", f"deeper than {DEPTH_MAX} levels", format_keys(keys))
    applied.state = _with(applied.state, keys, 0, value)
    applied.before.append((keys, current))


def _check_parents(state: Any, keys: Keys) -> None:
    for index, key in enumerate(keys):
        if isinstance(state, list):
            raise OperationFault(
                "path_in_list", "list items are addressed by id, not by path", format_keys(keys[:index])
            )
        if not isinstance(state, Mapping) or key not in state:
            return
        state = state[key]


def _with(container: Any, keys: Keys, index: int, value: Any) -> Any:
    if index == len(keys):
        return value
    if isinstance(container, list):
        raise OperationFault("path_in_list", "list items are addressed by id, not by path", format_keys(keys[:index]))
    if container is ABSENT:
        container = {}
    elif type(container) is not dict and not isinstance(container, Mapping):  # an abstract class is slow to ask
        raise OperationFault("not_an_object", "there is a plain value here, not an object", format_keys(keys[:index]))
    key = keys[index]
    copy = dict(container)
    if index == len(keys) - 1 and value is ABSENT:
        del copy[key]
    else:
        copy[key] = _with(container.get(key, ABSENT), keys, index + 1, value)
    return copy


def _set(applied: Applied, keys: Keys, operation: Operation) -> None:
    _put(applied, keys, operation["value"])


def _remove(applied: Applied, keys: Keys, _operation: Operation) -> None:
    _put(applied, keys, ABSENT)


def _number_at(applied: Applied, keys: Keys) -> Any:
    _check_parents(applied.state, keys)
    current = lookup(applied.state, keys)
    if current is not ABSENT and (isinstance(current, bool) or not isinstance(current, int | float)):
        raise OperationFault("not_a_number", "there is something else than a number here", format_keys(keys))
    return current


def _increment(applied: Applied, keys: Keys, operation: Operation) -> None:
    current = _number_at(applied, keys)
    total = (0 if current is ABSENT else current) + operation["by"]
    if isinstance(total, float) and not math.isfinite(total):
        raise OperationFault("number_out_of_range", "the sum is not a finite number", format_keys(keys))
    if isinstance(total, float) and total.is_integer():
        total = int(total)
    if isinstance(total, int) and abs(total) > NUMBER_MAX:
        raise OperationFault("number_out_of_range", "the sum is beyond 2^53-1", format_keys(keys))
    _put(applied, keys, total)


def _extreme(choose: Callable[..., Any]) -> Callable[[Applied, Keys, Operation], None]:
    def run(applied: Applied, keys: Keys, operation: Operation) -> None:
        current = _number_at(applied, keys)
        _put(applied, keys, operation["value"] if current is ABSENT else choose(current, operation["value"]))

    return run


def _list_at(applied: Applied, keys: Keys) -> list[Any]:
    _check_parents(applied.state, keys)
    current = lookup(applied.state, keys)
    if current is ABSENT:
        return []
    if not isinstance(current, list):
        raise OperationFault("not_a_list", "there is something else than a list here", format_keys(keys))
    return current


def _index_of(items: list[Any], item_id: Any) -> int:
    for index, item in enumerate(items):
        if isinstance(item, Mapping) and "id" in item and json_equal(item["id"], item_id):
            return index
    return -1


def _append(applied: Applied, keys: Keys, operation: Operation) -> None:
    items, item = _list_at(applied, keys), operation["item"]
    index = _index_of(items, item["id"])
    _put(applied, keys, [*items, item] if index < 0 else [*items[:index], item, *items[index + 1 :]])


def _place(applied: Applied, items: list[Any], item: Any, after: Any) -> list[Any]:
    if after is None:
        return [item, *items]
    index = _index_of(items, after)
    if index < 0:
        applied.notices.append("unknown_anchor")
        return [*items, item]
    return [*items[: index + 1], item, *items[index + 1 :]]


def _insert(applied: Applied, keys: Keys, operation: Operation) -> None:
    items, item = _list_at(applied, keys), operation["item"]
    rest = [other for other in items if _index_of([other], item["id"]) < 0]
    _put(applied, keys, _place(applied, rest, item, operation["after"]))


def _move(applied: Applied, keys: Keys, operation: Operation) -> None:
    items = _list_at(applied, keys)
    index = _index_of(items, operation["id"])
    if index >= 0:
        rest = [*items[:index], *items[index + 1 :]]
        _put(applied, keys, _place(applied, rest, items[index], operation["after"]))


def _remove_item(applied: Applied, keys: Keys, operation: Operation) -> None:
    items = _list_at(applied, keys)
    index = _index_of(items, operation["id"])
    if index >= 0:
        _put(applied, keys, [*items[:index], *items[index + 1 :]])


_KINDS: dict[str, Callable[[Applied, Keys, Operation], None]] = {
    "set": _set,
    "remove": _remove,
    "increment": _increment,
    "max": _extreme(max),
    "min": _extreme(min),
    "append": _append,
    "insert": _insert,
    "move": _move,
    "remove_item": _remove_item,
}
