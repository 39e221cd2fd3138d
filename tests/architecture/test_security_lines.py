"""Every line of the security lists has a test or a reason, the tags mean what they say, and the pages are those that the code gives."""

from __future__ import annotations

import pytest

from scripts import security
from scripts.security import BadTag, Tag, of_python, of_typescript
from scripts.write_reference import SECURITY_FOLDER, security_pages

KNOWN = security.lines()


def test_every_line_has_a_test_or_a_reason() -> None:
    assert security.faults(KNOWN, security.tags()) == []


@pytest.mark.parametrize("name", sorted(security_pages()))
def test_the_page_is_the_one_that_the_code_gives(name: str) -> None:
    assert (SECURITY_FOLDER / name).read_text(encoding="utf-8") == security_pages()[name], "run: make reference"


def test_the_lists_are_whole() -> None:
    numbers = set(KNOWN)
    assert {f"V-{n}" for n in range(1, 26)} <= numbers
    assert {f"C-{n}" for n in range(1, 15)} <= numbers
    assert {f"K-{n}" for n in range(1, 6)} <= numbers
    assert sum(1 for number in numbers if number.startswith("V7.")) == 19
    assert {f"V4.4.{n}" for n in range(1, 5)} <= numbers
    assert sum(1 for number in numbers if number.startswith("V3.")) == 31


def test_a_line_of_which_nothing_is_known_is_told() -> None:
    known = security.lines(
        '[[group]]\ntitle = "g"\n[group.lines]\n"A" = {title = "a"}\n"B" = {title = "b", open = "why"}\n'
        '"C" = {title = "c", not_applicable = "why"}\n"D" = {title = "d"}\n'
    )
    tags = [Tag("C", "t.py", "test_c"), Tag("D", "t.py", "test_d")]
    assert security.faults(known, tags) == [
        "A: no test shows it, and nothing says why",
        "C: it is said not to apply, and something is said or shown of it",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('@shows_security("V99.1.1")\ndef test_a(): ...\n', "no line V99.1.1"),
        ('@shows_security("V7.2.4")\ndef helper(): ...\n', "helper is not a test"),
        ("@shows_security(LINE)\ndef test_a(): ...\n", "plain texts"),
        ("@shows_security()\ndef test_a(): ...\n", "no line"),
    ],
)
def test_a_tag_that_says_nothing_is_refused(source: str, said: str) -> None:
    with pytest.raises(BadTag, match=said):
        list(of_python(source, "t.py", KNOWN))


def test_tags_are_read_in_both_languages() -> None:
    source = '@shows("A01", "http")\n@shows_security("V7.2.4", "K-3")\nasync def test_a(): ...\n'
    assert list(of_python(source, "t.py", KNOWN)) == [Tag("V7.2.4", "t.py", "test_a"), Tag("K-3", "t.py", "test_a")]
    assert list(of_typescript('// shows security: K-5\nit("forgets", () => {});\n', "t.ts", KNOWN)) == [
        Tag("K-5", "t.ts", "forgets")
    ]
    with pytest.raises(BadTag, match="there is no test"):
        list(of_typescript("// shows security: K-5\nconst x = 1;\n", "t.ts", KNOWN))
