"""JSON Pointer (RFC 6901): text to keys and back, overlap of two paths, patterns for policies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sessile.model.document import ABSENT

Keys = tuple[str, ...]
_BAD_ESCAPE: Final = re.compile("~(?![01])")


@lru_cache(maxsize=1024)
def parse(text: str) -> Keys:
    """The keys of a pointer; `""` is the whole document. Raises ValueError for a text that is not a pointer."""
    if text == "":
        return ()
    if not text.startswith("/"):
        raise ValueError("a pointer starts with '/' or is empty")
    keys = text[1:].split("/")
    for index, key in enumerate(keys):
        if "~" in key:
            if _BAD_ESCAPE.search(key):
                raise ValueError("'~' in a pointer is written '~0', '/' in a key '~1'")
            keys[index] = key.replace("~1", "/").replace("~0", "~")
    return tuple(keys)


def format_keys(keys: Sequence[str]) -> str:
    plain = "".join(keys)
    if "~" not in plain and "/" not in plain:
        return "/" + "/".join(keys) if keys else ""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def lookup(state: Any, keys: Sequence[str]) -> Any:
    """The value at a path through objects, or ABSENT."""
    for key in keys:
        # Nearly always a dict, and an abstract class is slow to ask.
        if (type(state) is not dict and not isinstance(state, Mapping)) or key not in state:
            return ABSENT
        state = state[key]
    return state


def overlap(left: Keys, right: Keys) -> bool:
    """True when one path is the other or lies below it."""
    shorter = min(len(left), len(right))
    return left[:shorter] == right[:shorter]


def matches(pattern: Keys, keys: Keys) -> bool:
    """`*` is one key, a final `**` any tail (also none)."""
    if pattern and pattern[-1] == "**":
        head = pattern[:-1]
        return len(keys) >= len(head) and matches(head, keys[: len(head)])
    return len(pattern) == len(keys) and all(p in ("*", k) for p, k in zip(pattern, keys, strict=True))
