"""docs/how-to/console-pages.md and the console's search field say what the server understands."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from sessile.model.errors import InvalidValue
from sessile.model.session_query import parse_session_query
from tests.architecture.tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "console-pages.md").read_text(encoding="utf-8")
FIELD = (ROOT / "clients" / "browser" / "console" / "src" / "pages" / "sessions.tsx").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 27, tzinfo=UTC)
TERMS = [
    term for line in re.findall(r"^\| (`\w+:.*?) \|", PAGE, re.MULTILINE) for term in re.findall(r"`([^`]+)`", line)
]
QUALIFIERS = set(re.findall(r'^  \{ name: "(\w+)", hint', FIELD, re.MULTILINE))
EXAMPLES = {"state": "online", "age": ">5m", "idle": ">5m", "id": "0198f0c2"}


@pytest.mark.parametrize("term", TERMS)
def test_the_server_understands_each_term_of_the_page(term: str) -> None:
    parse_session_query(term, NOW)


def test_page_and_field_have_the_same_qualifiers_and_the_server_has_them() -> None:
    assert {term.partition(":")[0] for term in TERMS} == QUALIFIERS
    for name in QUALIFIERS:
        parse_session_query(f"{name}:{EXAMPLES.get(name, 'x')}", NOW)
    with pytest.raises(InvalidValue):
        parse_session_query("nobody:x", NOW)


def test_the_field_offers_the_states_that_the_server_has() -> None:
    (states,) = re.findall(r'name: "state".*values: \[(.*?)\]', FIELD)
    for state in re.findall(r'"(\w+)"', states):
        parse_session_query(f"state:{state}", NOW)
