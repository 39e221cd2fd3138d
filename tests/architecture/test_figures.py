"""The page of figures shows what was measured."""

from __future__ import annotations

import pytest

from scripts import figures


@pytest.mark.skipif(not figures.RESULTS.exists(), reason="nothing was measured yet")
def test_the_page_is_the_one_that_the_results_give() -> None:
    assert figures.PAGE.read_text(encoding="utf-8") == figures.written(), "run: python -m scripts.figures"


def test_a_table_has_its_ratio_with_its_spread() -> None:
    machine = {"processors": 2, "load": 1.0, "python": "3", "sqlite": "3", "postgres": None, "packages": {}}
    rows = [{"variant": "ours", "own_us": 12000, "ratio_min": 1.0, "ratio_median": 2.0, "ratio_max": 3.0}]
    shown = figures.page(
        {"get": {"measured": "2026-01-01", "machine": machine, "tables": {"Title": rows}, "note": "Missed."}}
    )
    assert "| variant | own us | ratio |\n|---|---|---|\n| ours | 12,000 | 1.0 - **2.0** - 3.0 |" in shown
