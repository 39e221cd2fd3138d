"""Text that came from outside, as it may be shown in a log, on a terminal or in a table (CWE-117, CWE-150)."""

from __future__ import annotations

import unicodedata
from typing import Final

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls (NUL, ESC, CR, LF, C1), formats (bidirectional overrides, zero-width), halves of surrogates, private and unassigned ones, ends of lines."""


def shown(text: str, length_max: int | None = None) -> str:
    """The text in one line, in which each character that is not seen, or that a terminal would act on, is escaped as in Python; cut to
    `length_max` characters where given."""
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_shown, text))
    return text if length_max is None or len(text) <= length_max else text[: max(0, length_max - 1)] + "…"


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode() if unicodedata.category(character) in _UNSEEN else character


def escaped(text: str) -> str:
    """JSON that says the same, without such characters."""
    return text if text.isascii() and text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if shown(character) == character:
        return character
    return "".join(f"\\u{unit:04x}" for unit in _units(character))


def _units(character: str) -> list[int]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[index : index + 2], "big") for index in range(0, len(encoded), 2)]
