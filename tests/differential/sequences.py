"""Sequences of changes that are drawn from a seed: well-formed ones in a small world, where paths meet, and some that nobody should send."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from sessile.model.limits import DEPTH_MAX, NUMBER_MAX

Value = Any
CHANGES_MAX = 8
OPERATIONS_MAX = 4

# Order by UTF-16 and by code point differ between the last two; the rest needs escapes in pointers or in JSON.
KEYS = (
    "x",
    "y",
    "z",
    "a",
    "o",
    "id",
    "",
    "~",
    "a/b",
    "~1",
    "é",
    "0",
    "constructor",
    "hasOwnProperty",
    "10",
    "9",
    "\n",
    '"',
    "\u2028",
    "\ufb33",
    "\U0001f600",
)
PATHS = ("/a", "/b", "/o", "/o/x", "/o/y", "/o/x/z", "/l", "/l2", "/n", "/s", "/s/x", "/l/0", "/m/0/x", "", "/o/a~1b", "/o/~0", "/o/~01", "/é", "/\U0001f600", "//")  # fmt: skip
LISTS = ("/l", "/l2", "/o/l", "/s", "/o", "/a")
NUMBERS = ("/n", "/n", "/n", "/o/n", "/a", "/s", "/l/0")
IDS = (1, 2, "1", "i", 0, -1, "", NUMBER_MAX)
SCALARS = (None, True, False, 0, -0.0, 1, 1.0, -3, 0.1, 1.5, 1e-7, 5e-324, 1e21 / 1e6, NUMBER_MAX, -NUMBER_MAX, 123456789.125, "", "t", "1", "\x7f", "\x1f", "é", "\U0001f600")  # fmt: skip
BAD_VALUES = (2**53, -(2**53), 1e300, "\ud800", "x\udfff", {"__proto__": 1}, {"k" * 257: 1})
BAD_PATHS = ("a", "/~", "/~2", "/" + "k" * 257, "/__proto__", "/x" * (DEPTH_MAX + 1), 5, None)
BY = (1, -1, -2, 0.5, 0.1, 0.2, 1e-9, NUMBER_MAX, -NUMBER_MAX, 3, -0.0, 1e15 + 0.5)


def value(random: Random, depth: int = 3) -> Value:
    """A JSON value, at most `depth` containers deep."""
    kind = random.random()
    if depth == 0 or kind < 0.55:
        return random.choice(SCALARS)
    if kind < 0.8:
        return {random.choice(KEYS): value(random, depth - 1) for _ in range(random.randrange(4))}
    if kind < 0.9:
        return [value(random, depth - 1) for _ in range(random.randrange(4))]
    return [item(random, depth - 1) for _ in range(random.randrange(4))]


def item(random: Random, depth: int = 2) -> Value:
    return {"id": random.choice(IDS), "v": value(random, max(0, depth - 1))}


def nested(levels: int) -> Value:
    inner: Value = 1
    for _ in range(levels):
        inner = {"x": inner}
    return inner


def _object(random: Random) -> Value:
    return {random.choice(KEYS): value(random, 2) for _ in range(random.randrange(4))}


def _after(random: Random) -> Value:
    return random.choice((None, *IDS))


def _test(random: Random) -> Value:
    says = random.choice(({"exists": True}, {"equals": value(random, 1)}, {"version_at_most": 3}))
    return {"op": "test", "path": random.choice(PATHS), **says}


def _set(random: Random) -> Value:
    path = random.choice(PATHS)
    deep = random.random() < 0.03
    new = nested(random.randrange(DEPTH_MAX - 3, DEPTH_MAX + 1)) if deep else value(random)
    return {"op": "set", "path": path, "value": new if path else _object(random)}


KINDS: tuple[Callable[[Random], Value], ...] = (
    _set, _set, _set,
    lambda random: {"op": "remove", "path": random.choice(PATHS)},
    lambda random: {"op": "merge", "path": random.choice(PATHS), "value": _object(random)},
    lambda random: {"op": "merge", "path": random.choice(PATHS), "value": _object(random)},
    lambda random: {"op": "increment", "path": random.choice(NUMBERS), "by": random.choice(BY)},
    lambda random: {"op": random.choice(("max", "min")), "path": random.choice(NUMBERS), "value": random.choice(BY)},
    lambda random: {"op": "append", "path": random.choice(LISTS), "item": item(random)},
    lambda random: {"op": "insert", "path": random.choice(LISTS), "item": item(random), "after": _after(random)},
    lambda random: {"op": "insert", "path": "/l", "item": item(random), "after": _after(random)},
    lambda random: {"op": "move", "path": random.choice(LISTS), "id": random.choice(IDS), "after": _after(random)},
    lambda random: {"op": "remove_item", "path": random.choice(LISTS), "id": random.choice(IDS)},
    _test,
    lambda random: {"op": "resolve", "conflict_id": "c", "choice": random.choice(("mine", "theirs"))},
)  # fmt: skip


def _spoilt(random: Random, operation: dict[str, Value]) -> dict[str, Value]:
    """The operation with one thing about it that is not as it should be."""
    fields = [field for field in operation if field != "op"]
    match random.randrange(6):
        case 0:
            del operation[random.choice(fields)]
        case 1:
            operation[random.choice(fields)] = random.choice(BAD_VALUES)
        case 2:
            operation["path"] = random.choice(BAD_PATHS)
        case 3:
            operation["op"] = random.choice(("replace", "constructor", "", None, "Set"))
        case 4:
            operation[random.choice(("more", "value", "id", "item", "exists"))] = value(random, 1)
        case _:
            operation[random.choice(fields)] = value(random, 2)
    return operation


def sequence(seed: int) -> Value:
    """A state and changes to it. The same for the same seed; one of eight has operations that nobody should send."""
    random = Random(seed)
    spoils = seed % 8 == 0
    changes = []
    for _ in range(random.randint(1, CHANGES_MAX)):
        operations = [random.choice(KINDS)(random) for _ in range(random.randint(1, OPERATIONS_MAX))]
        if spoils and random.random() < 0.5:
            place = random.randrange(len(operations))
            operations[place] = _spoilt(random, operations[place])
        changes.append(operations)
    state: Value = {}
    if random.random() < 0.7:
        state = {
            "o": {"x": {"z": 1}},
            "l": [{"id": 1, "v": 0}, {"id": "i"}, {"id": 2}, 5, {"no": 1}],
            "n": random.choice(BY),
            "s": "text",
        }
        state["n"] = int(state["n"]) if float(state["n"]).is_integer() else state["n"]
    return {"state": state, "changes": changes}
