"""A device's name for people, from what its browser says of itself: informative only, never a reason to let somebody in or not."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sessile.model.limits import LABEL_LENGTH_MAX

UNKNOWN_LABEL: Final = "Unknown device"
_USER_AGENT_LENGTH_MAX: Final = 512


@lru_cache(maxsize=512)
def label_of(user_agent: str) -> str:
    """For example `Firefox on Ubuntu`."""
    from ua_parser import parse  # slow to import, and only who logs in needs it

    result = parse(user_agent[:_USER_AGENT_LENGTH_MAX])
    browser = result.user_agent.family if result.user_agent is not None else ""
    system = result.os.family if result.os is not None else ""
    if not browser and not system:
        return UNKNOWN_LABEL
    return f"{browser or 'Browser'} on {system}"[:LABEL_LENGTH_MAX] if system else browser[:LABEL_LENGTH_MAX]
