"""Which paths the service answers inside another application. Known without loading the service itself."""

from __future__ import annotations

import re
from typing import Final

_OWN_BEGINNINGS: Final = ("/api/", "/ws", "/sessile.js")
_OWN: Final = re.compile(r"/api/session_state|/api/v0/.*|/ws|/ws/session/.*|/sessile\.js", re.DOTALL)


def owns_console_path(path: str) -> bool:
    """True for those of the operators' console, where it is on."""
    return path in {"/console", "/api/console"} or path.startswith(("/console/", "/api/console/"))


def owns_path(path: str) -> bool:
    """True for the paths (without a mount prefix) that the service answers inside another application."""
    return path.startswith(_OWN_BEGINNINGS) and _OWN.fullmatch(path) is not None
