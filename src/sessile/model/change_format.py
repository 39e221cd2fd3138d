"""Changes as they come over the wire, checked before anything looks at them. Every fault names its path and nothing is half-accepted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from sessile.model.document import Change, Operation
from sessile.model.errors import InvalidChange
from sessile.model.limits import (
    CHANGE_BYTES_MAX,
    CHANGES_PER_FRAME_MAX,
    DEPTH_MAX,
    KEY_BYTES_MAX,
    NUMBER_MAX,
    OPERATIONS_PER_CHANGE_MAX,
)
from sessile.model.pointer import parse

_FORBIDDEN_KEYS: Final = frozenset({"__proto__"})
"""Setting this key changes an object's prototype in JavaScript instead of storing a value."""
_ITEM_ID: Final = (str, int)


def parse_changes(raw: Any, *, device_id: str) -> list[Change]:
    """Changes of one device. Raises InvalidChange naming the field, e.g. `/changes/0/seq`."""
    if not isinstance(raw, list) or not raw:
        raise InvalidChange("/changes", "a list with at least one change is needed")
    if len(raw) > CHANGES_PER_FRAME_MAX:
        raise InvalidChange("/changes", f"more than {CHANGES_PER_FRAME_MAX} changes at once")
    return [_parse_change(item, f"/changes/{index}", device_id) for index, item in enumerate(raw)]


def parse_operations(raw: Any, at: str = "/operations") -> list[Operation]:
    """Operations with normalised numbers. Raises InvalidChange."""
    if not isinstance(raw, list) or not raw:
        raise InvalidChange(at, "a list with at least one operation is needed")
    if len(raw) > OPERATIONS_PER_CHANGE_MAX:
        raise InvalidChange(at, f"more than {OPERATIONS_PER_CHANGE_MAX} operations in one change")
    operations = [_parse_operation(item, f"{at}/{index}") for index, item in enumerate(raw)]
    if len(msgspec.json.encode(operations)) > CHANGE_BYTES_MAX:
        raise InvalidChange(at, f"the change is larger than {CHANGE_BYTES_MAX} bytes")
    return operations


def check_value(value: Any, at: str, level: int = 0) -> Any:
    """The value with integral floats as integers. Raises InvalidChange for what cannot live in a document."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _check_text(value, at)
    if isinstance(value, int | float):
        return _check_number(value, at)
    if level >= DEPTH_MAX:
        raise InvalidChange(at, f"deeper than {DEPTH_MAX} levels")
    if isinstance(value, list | tuple):
        return [check_value(item, f"{at}/{index}", level + 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_check_key(key, at): check_value(item, f"{at}/{key}", level + 1) for key, item in value.items()}
    raise InvalidChange(at, f"a value of type {type(value).__name__} is not JSON")


def _check_number(value: float, at: str) -> int | float:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidChange(at, "NaN and infinity are not JSON numbers")
        if not value.is_integer():
            return value
        value = int(value)
    if abs(value) > NUMBER_MAX:
        raise InvalidChange(at, "integers beyond 2^53-1 are not exact in a browser; send them as text")
    return value


def _check_text(text: str, at: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidChange(at, "text with lone surrogates is not valid JSON text") from None
    return text


def _check_key(key: Any, at: str) -> str:
    if not isinstance(key, str):
        raise InvalidChange(at, f"the key {key!r} is not a string")
    _check_text(key, at)
    if len(key.encode()) > KEY_BYTES_MAX:
        raise InvalidChange(at, f"a key is longer than {KEY_BYTES_MAX} bytes")
    if key in _FORBIDDEN_KEYS:
        raise InvalidChange(at, f"the key {key} cannot be used")
    return key


def _parse_change(raw: Any, at: str, device_id: str) -> Change:
    if not isinstance(raw, Mapping):
        raise InvalidChange(at, "an object is needed")
    return Change(
        device_id=device_id,
        seq=_integer(raw.get("seq"), f"{at}/seq", 1),
        base_version=_integer(raw.get("base_version"), f"{at}/base_version", 0),
        generation=_integer(raw.get("generation", 0), f"{at}/generation", 0),
        operations=parse_operations(raw.get("operations"), f"{at}/operations"),
    )


def _integer(value: Any, at: str, least: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a float with an integral value is the integer
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= NUMBER_MAX:
        raise InvalidChange(at, f"a whole number of at least {least} is needed")
    return value


def _parse_operation(raw: Any, at: str) -> Operation:
    if not isinstance(raw, Mapping):
        raise InvalidChange(at, "an object is needed")
    kind = raw.get("op")
    rule = _RULES.get(kind) if isinstance(kind, str) else None
    if rule is None:
        raise InvalidChange(f"{at}/op", f"an operation is one of {', '.join(sorted(_RULES))}")
    return {"op": kind, **rule(raw, at)}


def _path(raw: Mapping[str, Any], at: str) -> str:
    path = raw.get("path")
    if not isinstance(path, str):
        raise InvalidChange(f"{at}/path", "a JSON Pointer is needed")
    try:
        keys = parse(path)
    except ValueError as error:
        raise InvalidChange(f"{at}/path", str(error)) from None
    if len(keys) > DEPTH_MAX:
        raise InvalidChange(f"{at}/path", f"deeper than {DEPTH_MAX} levels")
    for key in keys:
        _check_key(key, f"{at}/path")
    return path


def _required(raw: Mapping[str, Any], field: str, at: str) -> Any:
    if field not in raw:
        raise InvalidChange(f"{at}/{field}", "is missing")
    return check_value(raw[field], f"{at}/{field}")


def _set(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    path, value = _path(raw, at), _required(raw, "value", at)
    if path == "" and not isinstance(value, dict):
        raise InvalidChange(f"{at}/value", "the whole state must be an object")
    return {"path": path, "value": value}


def _remove(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {"path": _path(raw, at)}


def _merge(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    value = _required(raw, "value", at)
    if not isinstance(value, dict):
        raise InvalidChange(f"{at}/value", "a merge needs an object")
    return {"path": _path(raw, at), "value": value}


def _number(raw: Mapping[str, Any], field: str, at: str) -> Any:
    value = _required(raw, field, at)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidChange(f"{at}/{field}", "a number is needed")
    return value


def _increment(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {"path": _path(raw, at), "by": _number(raw, "by", at)}


def _extreme(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {"path": _path(raw, at), "value": _number(raw, "value", at)}


def _item(raw: Mapping[str, Any], at: str) -> Any:
    item = _required(raw, "item", at)
    if not isinstance(item, dict) or isinstance(item.get("id"), bool) or not isinstance(item.get("id"), _ITEM_ID):
        raise InvalidChange(f"{at}/item", "a list item is an object with an id (text or whole number)")
    return item


def _id(raw: Mapping[str, Any], field: str, at: str, *, or_null: bool) -> Any:
    value = check_value(raw.get(field), f"{at}/{field}")
    if (value is None and or_null) or (isinstance(value, _ITEM_ID) and not isinstance(value, bool)):
        return value
    raise InvalidChange(f"{at}/{field}", "an item id is text or a whole number" + (", or null" if or_null else ""))


def _append(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {"path": _path(raw, at), "item": _item(raw, at)}


def _insert(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {"path": _path(raw, at), "item": _item(raw, at), "after": _id(raw, "after", at, or_null=True)}


def _move(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {
        "path": _path(raw, at),
        "id": _id(raw, "id", at, or_null=False),
        "after": _id(raw, "after", at, or_null=True),
    }


def _remove_item(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {"path": _path(raw, at), "id": _id(raw, "id", at, or_null=False)}


def _test(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    test: dict[str, Any] = {}
    if "path" in raw or "version_at_most" not in raw:
        test["path"] = _path(raw, at)
    if "equals" in raw:
        test["equals"] = check_value(raw["equals"], f"{at}/equals")
    if "exists" in raw:
        if not isinstance(raw["exists"], bool):
            raise InvalidChange(f"{at}/exists", "true or false is needed")
        test["exists"] = raw["exists"]
    if "version_at_most" in raw:
        test["version_at_most"] = _integer(raw["version_at_most"], f"{at}/version_at_most", 0)
    if not test.keys() & {"equals", "exists", "version_at_most"}:
        raise InvalidChange(at, "a test says equals, exists or version_at_most")
    return test


def _resolve(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    conflict_id, choice = raw.get("conflict_id"), raw.get("choice")
    if not isinstance(conflict_id, str) or len(conflict_id) > KEY_BYTES_MAX:
        raise InvalidChange(f"{at}/conflict_id", "a conflict's id is needed")
    _check_text(conflict_id, f"{at}/conflict_id")
    if choice not in ("mine", "theirs", "value"):
        raise InvalidChange(f"{at}/choice", "mine, theirs or value is needed")
    resolve: dict[str, Any] = {"conflict_id": conflict_id, "choice": choice}
    if choice == "value":
        resolve["value"] = _required(raw, "value", at)
    return resolve


_RULES: Final[dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]]] = {
    "set": _set,
    "remove": _remove,
    "merge": _merge,
    "increment": _increment,
    "max": _extreme,
    "min": _extreme,
    "append": _append,
    "insert": _insert,
    "move": _move,
    "remove_item": _remove_item,
    "test": _test,
    "resolve": _resolve,
}
