"""Where two states differ, as paths: the preview of a restore, and the operations of a partial one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sessile.model.canonical import json_equal
from sessile.model.document import ABSENT, Difference, Operation, State
from sessile.model.operations import apply
from sessile.model.pointer import Keys, format_keys, lookup, parse


def differences(current: Any, restored: Any, keys: Keys = ()) -> Iterator[Difference]:
    """Every path whose value differs, objects walked key by key, lists compared as a whole."""
    if isinstance(current, dict) and isinstance(restored, dict):
        for key in dict.fromkeys([*current, *restored]):
            yield from differences(current.get(key, ABSENT), restored.get(key, ABSENT), (*keys, key))
    elif current is ABSENT or restored is ABSENT:
        if current is not restored:
            yield Difference(format_keys(keys), current, restored)
    elif not json_equal(current, restored):
        yield Difference(format_keys(keys), current, restored)


def restored_state(current: State, checkpoint: State, paths: Sequence[str] | None) -> tuple[State, list[Operation]]:
    """The state after a restore (whole, or of the chosen paths only) and the operations that lead there.

    Raises ValueError for a path that is not a pointer.
    """
    if paths is None:
        return checkpoint, [{"op": "replace", "value": checkpoint}]
    operations: list[Operation] = []
    for path in paths:
        value = lookup(checkpoint, parse(path))
        operations.append(
            {"op": "remove", "path": path} if value is ABSENT else {"op": "set", "path": path, "value": value}
        )
    return apply(current, operations).state, operations
