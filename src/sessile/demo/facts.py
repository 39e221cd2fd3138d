"""Facts that stand in what a person pasted or uploaded, as lines like `Police reference: 2026/1187`. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

_LINE: Final = re.compile(r"^[ \t>*•-]*([A-Za-z][A-Za-z ]{1,40}?)[ \t]*:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_TIME: Final = re.compile(r"\b([01]?\d|2[0-3])[:.]([0-5]\d)\b")
_DOTTED: Final = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b")
_ISO: Final = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_AMOUNT: Final = re.compile(r"\d{1,3}(?:[ ,']\d{3})+(?:\.\d{1,2})?|\d+(?:\.\d{1,2})?")
_PHONE: Final = re.compile(r"\+?\d[\d ()/.-]{4,24}\d")
_LENGTH_MAX: Final = 200
_NUMBER_MAX: Final = 10**12
_TEXT_MAX: Final = 100_000
"""Characters of one text that are looked at."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A value for one path of the report, and where it was found (a file's name, or what the page calls the pasted notes)."""

    path: str
    value: Any
    source: str


def _text(value: str) -> str | None:
    return value[:_LENGTH_MAX]


def _date(value: str) -> str | None:
    if match := _ISO.search(value):
        year, month, day = (int(part) for part in match.groups())
    elif match := _DOTTED.search(value):
        day, month, year = (int(part) for part in match.groups())
    else:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _time(value: str) -> str | None:
    match = _TIME.search(value)
    return f"{int(match[1]):02}:{match[2]}" if match else None


def _phone(value: str) -> str | None:
    match = _PHONE.search(value)
    return match[0] if match else None


def _amount(value: str) -> float | int | None:
    match = _AMOUNT.search(value)
    if match is None:
        return None
    number = float(re.sub(r"[ ,']", "", match[0]))
    if number > _NUMBER_MAX:
        return None
    return int(number) if number.is_integer() else number


Reader = Callable[[str], str | float | int | None]
_LABELS: Final[Mapping[str, tuple[str, Reader]]] = {
    "police reference": ("/report/police_reference", _text),
    "police ref": ("/report/police_reference", _text),
    "case number": ("/report/police_reference", _text),
    "date": ("/report/date", _date),
    "day": ("/report/date", _date),
    "time": ("/report/time", _time),
    "place": ("/report/place", _text),
    "location": ("/report/place", _text),
    "address": ("/report/place", _text),
    "where": ("/report/place", _text),
    "phone": ("/report/phone", _phone),
    "telephone": ("/report/phone", _phone),
    "mobile": ("/report/phone", _phone),
    "cost": ("/report/cost", _amount),
    "estimate": ("/report/cost", _amount),
    "estimated cost": ("/report/cost", _amount),
    "damage": ("/report/damage", _text),
}


def facts_in(text: str, source: str) -> list[Fact]:
    """Every fact of one text, in the order in which they stand there."""
    found = []
    for match in _LINE.finditer(text[:_TEXT_MAX]):
        path, read = _LABELS.get(" ".join(match[1].lower().split()), ("", _text))
        value = read(match[2]) if path else None
        if value is not None:
            found.append(Fact(path, value, source))
    return found


def facts_of(state: Mapping[str, Any]) -> dict[str, Fact]:
    """The first fact for each path: from the pasted notes, then from the files. A state of any shape is fine."""
    facts: dict[str, Fact] = {}
    for text, source in _texts(state):
        for fact in facts_in(text, source):
            facts.setdefault(fact.path, fact)
    return facts


def _texts(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    report = state.get("report")
    notes = report.get("facts") if isinstance(report, Mapping) else None
    if isinstance(notes, str):
        yield notes, "the pasted notes"
    attachments = state.get("attachments")
    for attachment in attachments if isinstance(attachments, list) else []:
        if isinstance(attachment, Mapping) and isinstance(attachment.get("text"), str):
            name = attachment.get("name")
            yield attachment["text"], name if isinstance(name, str) else "a file"
