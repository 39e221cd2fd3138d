"""What must not stand in a log is taken out, and ids are shortened. A second line: our own lines have no secret to begin with, and a test looks."""

from __future__ import annotations

import re
from typing import Any, Final

REDACTED: Final = "[redacted]"
_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}([0-9a-f]{8})"
_TOKEN: Final = re.compile(rf"\b{_UUID}\.[A-Za-z0-9_-]{{40,}}")
_ID: Final = re.compile(rf"\b{_UUID}\b")
_PASSWORD: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+@")
_WEBHOOK_SECRET: Final = re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+")
_BEARER: Final = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_COOKIE: Final = re.compile(r"((?:set-)?cookie['\"]?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"""((?:[a-z0-9_-]*(?:secret|password|passwd|token|api[_-]?key|service_key|authorization)[a-z0-9_]*)['"]?\s*[:=]\s*)(?:"[^"]*"|'[^']*'|[^\s'",;)}\]]{6,})""",
    re.IGNORECASE,
)
SECRET_KEYS: Final = re.compile(
    r"secret|password|passwd|token$|^token|authorization|cookie|api_?key|service_key|private", re.IGNORECASE
)
"""Names of fields whose values are not shown at all."""


def redacted(text: str) -> str:
    """The text without tokens, passwords, cookies and keys; whole ids as `…` and their last eight characters."""
    if "-" in text:  # ids and tokens have dashes
        text = _TOKEN.sub(rf"…\1.{REDACTED}", text)
        text = _ID.sub(r"…\1", text)
    if " " in text:
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
    if ":" in text or "=" in text:
        text = _PASSWORD.sub(rf"\1{REDACTED}@", text)
        text = _COOKIE.sub(rf"\1{REDACTED}", text)
        text = _NAMED.sub(rf"\1{REDACTED}", text)
    return _WEBHOOK_SECRET.sub(REDACTED, text)


def redacted_value(name: str, value: Any, depth: int = 4) -> Any:
    """The value of a field, ready for JSON."""
    if SECRET_KEYS.search(name):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, dict):
        return {str(key): redacted_value(str(key), one, depth - 1) for key, one in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [redacted_value(name, one, depth - 1) for one in value]
    return redacted(str(value))
