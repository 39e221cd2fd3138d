"""Presets of the settings that say how long a login is good for: the assurance levels of NIST SP 800-63B-4 (sections 2.1.3, 2.2.3 and 2.3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

Preset = Literal["aal1", "aal2", "aal3"]

_DAY_S: Final = 86400

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "aal1": MappingProxyType(
            {
                "absolute_timeout_s": 30 * _DAY_S,
                "remember_timeout_s": 30 * _DAY_S,
                "idle_timeout_s": 30 * _DAY_S,
                "fresh_timeout_s": 3600,
                "cookie_persistent": True,
                "end_others_needs_fresh": False,
            }
        ),
        "aal2": MappingProxyType(
            {
                "absolute_timeout_s": _DAY_S,
                "remember_timeout_s": 0,
                "idle_timeout_s": 3600,
                "fresh_timeout_s": 900,
                "cookie_persistent": False,
                "end_others_needs_fresh": True,
            }
        ),
        "aal3": MappingProxyType(
            {
                "absolute_timeout_s": _DAY_S // 2,
                "remember_timeout_s": 0,
                "idle_timeout_s": 900,
                "fresh_timeout_s": 300,
                "cookie_persistent": False,
                "end_others_needs_fresh": True,
            }
        ),
    }
)
"""What holds where nothing else is said, and the most that may be said beside it. The overall times and those of inactivity are NIST's; AAL1 asks for no time
of inactivity, so there it is the overall one. Freshness and whether a browser keeps the cookie are ours."""


_STRONGER_WHEN_TRUE: Final = frozenset({"end_others_needs_fresh"})


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and the preset's where they say nothing."""
    name = values.get("preset")
    known = PRESETS.get(name, {}) if isinstance(name, str) else {}
    return {**known, **values}


def weaker_than(preset: str, values: Mapping[str, Any]) -> list[str]:
    """What is weaker than the preset, in words that name both."""
    return [
        f"{name} is {_shown(values[name])}, and the preset {preset} allows {_shown(bound)} at most: say nothing weaker, or take another preset"
        for name, bound in PRESETS[preset].items()
        if (values[name] < bound if name in _STRONGER_WHEN_TRUE else values[name] > bound)
    ]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
