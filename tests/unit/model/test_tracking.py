"""What of a session's data was changed: seen by identity where that is enough, and the same as comparing all of it."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from decimal import Decimal
from typing import Any

from sessile.model import values
from sessile.model.delta import Tracked

LEAVES: list[Any] = [1, True, 1.0, 0, False, None, "x", "1", b"x", Decimal("1.0"), Decimal("1.00"), uuid.UUID(int=1), dt.date(2020, 1, 1)]  # fmt: skip
"""Equal ones among them: what is replaced by an equal value of another type is changed."""


def value(rng: random.Random, level: int = 0) -> Any:
    kind = rng.randrange(13) if level < 3 else 12
    if kind < 3:
        return {rng.choice("abc~"): value(rng, level + 1) for _ in range(rng.randrange(4))}
    if kind == 3:
        return [value(rng, level + 1) for _ in range(rng.randrange(4))]
    if kind == 4:
        return tuple(value(rng, level + 1) for _ in range(rng.randrange(3)))
    return {1, 2} if kind == 5 else rng.choice(LEAVES)


def containers(item: Any) -> list[Any]:
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list | tuple) else ()
    return [*([item] if isinstance(item, dict | list) else []), *(found for one in inner for found in containers(one))]


def change(rng: random.Random, data: dict[str, Any]) -> None:
    level = rng.choice(containers(data))
    if isinstance(level, dict):
        if level and rng.random() < 0.3:
            level.pop(rng.choice(list(level)))
        else:
            level[rng.choice("abcdef")] = value(rng, 2)
    elif level and rng.random() < 0.5:
        level[rng.randrange(len(level))] = value(rng, 2)
    else:
        level.append(value(rng, 2))


def test_it_says_what_comparing_everything_says(rng: random.Random) -> None:
    changed = quick = 0
    for _ in range(3000):
        data = values.encode({rng.choice("abcdef"): value(rng) for _ in range(rng.randrange(5))})
        tracked = Tracked(data)
        if rng.random() < 0.8:
            change(rng, tracked.value)
        is_changed = values.encode(tracked.value) != data
        assert tracked.is_modified == is_changed
        assert bool(tracked.operations) == is_changed
        changed, quick = changed + is_changed, quick + tracked.is_as_loaded
    assert changed > 1000
    assert quick > 200


def test_what_was_saved_counts_as_loaded() -> None:
    tracked = Tracked(b'{"a":{"b":[1]}}')
    tracked.value["a"]["b"].append(2)
    assert tracked.is_modified
    tracked.rebase()
    assert tracked.is_as_loaded
    tracked.value["a"]["b"].append(3)
    assert tracked.operations == [("set", ("a", "b"), [1, 2, 3])]
