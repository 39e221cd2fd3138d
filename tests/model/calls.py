"""What the cache does with a call: each is atomic there, and changes one key."""

from __future__ import annotations

from tests.model.rules import Planted
from tests.model.world import ABSENT, LEASE, MARK, VALUE, Entry


def execute(call: str, entry: Entry, version: int, token: int, planted: Planted) -> Entry:
    """The entry as it is after the call."""
    if call == "mark":
        return (MARK, token)
    if call == "lease":
        return entry or (LEASE, token)
    if call == "fill":
        return _fill(entry, version, token, planted)
    if call == "touch" and planted.touch_puts_entry and entry and entry[0] == VALUE:
        return (VALUE, version)
    return _publish(entry, version, token if call == "publish" else -1, planted)


def _fill(entry: Entry, version: int, token: int, planted: Planted) -> Entry:
    if planted.fill_without_lease and (not entry or entry[0] == LEASE):
        return (VALUE, version)
    return (VALUE, version) if entry == (LEASE, token) else entry


def _publish(entry: Entry, version: int, token: int, planted: Planted) -> Entry:
    """W4. A token of -1 publishes without one."""
    if not entry:
        return (VALUE, version) if planted.publish_creates and token >= 0 else ABSENT
    kind, content = entry
    if kind == MARK:
        if content == token or planted.publish_over_marks:
            return (VALUE, version)
        drops = planted.publish_drops_marks if token >= 0 else planted.clean_drops_marks
        return ABSENT if drops else entry
    if (kind == LEASE and planted.publish_keeps_leases) or (kind == VALUE and planted.publish_keeps_values):
        return entry
    return ABSENT
