"""The reference pages say what the code does."""

from __future__ import annotations

import pytest

from scripts.write_reference import FOLDER, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_page_is_the_one_that_the_code_gives(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "run: make reference"
