"""Every capability has the tests that show it, where it has to be reachable; and the tags mean what they say."""

from __future__ import annotations

import pytest

from scripts import capabilities
from scripts.capabilities import CONTRACT, ROWS, BadTag, Shown, of_python, of_typescript
from sessile.testing.store_contract import StoreContract
from tests.architecture.tree import ROOT

PYTHON = "@shows({})\nasync def {}() -> None: ...\n"


def test_every_row_is_shown_where_it_has_to_be() -> None:
    assert capabilities.missing(capabilities.shown()) == []


def test_the_rows_are_those_of_the_inventory() -> None:
    counts = {"A": 12, "D": 3, "E": 5, "G": 7, "H": 5, "I": 7}
    assert list(ROWS) == [f"{letter}{number:02}" for letter, count in counts.items() for number in range(1, count + 1)]
    assert len({row.what for row in ROWS.values()}) == len(ROWS)
    assert all(row.lanes and row.lanes <= set(capabilities.LANES) for row in ROWS.values())


def test_a_row_without_a_test_and_a_lane_without_one_are_told() -> None:
    tags = [
        tag for tag in capabilities.shown() if tag.number != "A05" and not (tag.number == "A01" and "http" in tag.lanes)
    ]
    assert capabilities.missing(tags) == ["A05: no test shows it", "A01: no test shows it on http"]


def test_a_tag_of_the_contract_stands_for_both_lanes_and_stays_with_the_test() -> None:
    source = (CONTRACT / "platforms.py").read_text(encoding="utf-8")
    tags = [tag for tag in of_python(source, "x.py", ("blocking", "asyncio")) if tag.number == "E02"]
    assert tags == [Shown("E02", frozenset({"blocking", "asyncio"}), "x.py", tags[0].test)]
    assert vars(getattr(StoreContract, tags[0].test))["shows"] == ("E02",)


def test_tags_are_read_in_python() -> None:
    tags = list(of_python(PYTHON.format('"A01", "A02", "http"', "test_a"), "t.py"))
    assert tags == [Shown(number, frozenset({"http"}), "t.py", "test_a") for number in ("A01", "A02")]


@pytest.mark.parametrize(
    ("source", "lanes", "said"),
    [
        (PYTHON.format('"Z99", "http"', "test_a"), (), "no row Z99"),
        (PYTHON.format('"A01", "telnet"', "test_a"), (), "no lane telnet"),
        (PYTHON.format('"A01"', "test_a"), (), "lanes"),
        (PYTHON.format('"http"', "test_a"), (), "rows"),
        (PYTHON.format('"A01", "http"', "test_a"), ("blocking", "asyncio"), "lanes"),
        (PYTHON.format('"A01", "http"', "helper"), (), "helper is not a test"),
        (PYTHON.format('ROW, "http"', "test_a"), (), "plain texts"),
    ],
)
def test_a_tag_that_says_nothing_is_refused(source: str, lanes: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadTag, match=said):
        list(of_python(source, "t.py", lanes))


def test_tags_are_read_in_the_browser_client() -> None:
    source = '// shows: G01 G02\n// why this is so\n  it("opens a (small) document", async () => {\nit("another", () => {});\n'
    assert [(tag.number, tag.test) for tag in of_typescript(source, "t.ts")] == [
        ("G01", "opens a (small) document"),
        ("G02", "opens a (small) document"),
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('// shows: Z99\nit("x", () => {});\n', "no row Z99"),
        ('// shows: G01 http\nit("x", () => {});\n', "lanes"),
        ("// shows: G01\nconst x = 1;\n", "there is no test"),
        ('// shows: G01\n\nit("x", () => {});\n', "there is no test"),
        ("// shows: G01\n", "there is no test"),
    ],
)
def test_a_comment_that_says_nothing_is_refused(source: str, said: str) -> None:
    with pytest.raises(BadTag, match=said):
        list(of_typescript(source, "t.ts"))


def test_a_tag_in_a_file_that_is_not_read_is_told() -> None:
    """Tests that no runner collects show nothing."""
    read = {tag.path for tag in capabilities.shown()}
    for path in read:
        name = path.rpartition("/")[2]
        assert (
            name.startswith("test_")
            or name.endswith(".test.ts")
            or path.startswith(CONTRACT.relative_to(ROOT).as_posix())
        )
