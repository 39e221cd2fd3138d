"""The few shapes of Structured Fields (RFC 9651) that device bound sessions use: one item, or a list of items with parameters.

Chromium sends some of these values bare although they are specified as quoted strings, so both are taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

FIELD_LENGTH_MAX: Final = 8192
_QUOTED: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+./:=^_`|~-]+")
_PARAMETER: Final = re.compile(r" *; *([a-z*][a-z0-9_.*-]*)(?:=)?")
_ESCAPE: Final = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Item:
    """A string or token, and its parameters; a parameter without a value is an empty text."""

    value: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_item(text: str) -> Item | None:
    """The one item of a field; None for what is none."""
    items = parse_list(text)
    return items[0] if items is not None and len(items) == 1 else None


def parse_list(text: str) -> list[Item] | None:
    """The items of a list; None for what is none, and for one that is longer than any browser sends."""
    if len(text) > FIELD_LENGTH_MAX:
        return None
    items: list[Item] = []
    at = _skipped(text, 0)
    while True:
        parsed = _item(text, at)
        if parsed is None:
            return None
        item, at = parsed
        items.append(item)
        at = _skipped(text, at)
        if at == len(text):
            return items
        if text[at] != ",":
            return None
        at = _skipped(text, at + 1)


def quoted(text: str) -> str:
    """A string as the field writes it. The text is printable ASCII."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _item(text: str, at: int) -> tuple[Item, int] | None:
    parsed = _value(text, at)
    if parsed is None:
        return None
    value, at = parsed
    parameters: dict[str, str] = {}
    while (match := _PARAMETER.match(text, at)) is not None:
        at = match.end()
        given = ""
        if match[0].endswith("="):
            parsed = _value(text, at)
            if parsed is None:
                return None
            given, at = parsed
        parameters[match[1]] = given
    return Item(value, parameters), at


def _value(text: str, at: int) -> tuple[str, int] | None:
    match = _QUOTED.match(text, at)
    if match is not None:
        return _ESCAPE.sub(r"\1", match[1]), match.end()
    match = _BARE.match(text, at)
    return None if match is None else (match[0], match.end())


def _skipped(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at
