"""Checkpoints and going back, while another device is cut off and goes on."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from sessile.testing import shows
from tests.e2e.cut_proxy import CutProxy
from tests.e2e.served import Served
from tests.e2e.tabs import PLACE, TITLE, WHAT, Tab, wait_equal

pytestmark = [pytest.mark.browser, pytest.mark.server]


def save_checkpoint(tab: Tab, label: str) -> None:
    tab.get("checkpoint-label").fill(label)
    tab.click("checkpoint-save")
    expect(tab.get("checkpoint-note")).to_have_text(re.compile(r"^Saved at version \d+\.$"))


def preview(tab: Tab, label: str) -> None:
    tab.click(tab.get("checkpoint").filter(has_text=label).get_by_test_id("checkpoint-preview"))
    expect(tab.get("restore-dialog")).to_be_visible()


@shows("I05", "G04", "browser")
def test_restore_shows_on_both_devices_and_keeps_what_was_typed_meanwhile(
    demo: Served, four_tabs: Callable[..., list[Tab]], new_proxy: Callable[[Served], CutProxy]
) -> None:
    network = new_proxy(demo)
    tabs = four_tabs(demo.origin, network.origin)
    a1, a2, b1, b2 = tabs
    a1.field(TITLE).press_sequentially("Burst pipe")
    a1.field(WHAT).press_sequentially("as it was")
    b1.wait_text(WHAT, "as it was")
    save_checkpoint(a1, "Before the call")
    a1.field(WHAT).press_sequentially(", and more")
    for tab in tabs:
        tab.wait_text(WHAT, "as it was, and more")
    wait_equal(tabs)

    network.refuse()
    b1.go_to_step(2)
    b1.field(PLACE).press_sequentially("typed during the restore")
    b1.wait_text(PLACE, "typed during the restore")
    b1.wait_kept()

    preview(a1, "Before the call")
    difference = a1.page.locator(f'[data-testid="difference"][data-path="{WHAT}"]')
    expect(difference).to_contain_text("as it was, and more")
    expect(a1.page.locator(f'[data-testid="difference"][data-path="{TITLE}"]')).to_have_count(0)
    a1.click("restore-all")
    expect(a1.get("restore-dialog")).to_be_hidden()
    for tab in (a1, a2):
        tab.wait_text(WHAT, "as it was")
    expect(b1.field(PLACE)).to_have_value("typed during the restore")

    network.heal()
    view = wait_equal(tabs)
    assert view["state"]["report"] == {"title": "Burst pipe", "what": "as it was"}
    for tab in tabs:
        tab.wait_text(WHAT, "as it was")
        expect(tab.conflicts).to_have_count(1)
        expect(tab.conflicts).to_contain_text("typed during the restore")
    conflict = b2.conflicts
    expect(conflict).to_have_attribute("data-path", PLACE)
    side = "keep-mine" if conflict.get_by_test_id("conflict-mine").inner_text() != "(nothing)" else "keep-theirs"
    b2.click(conflict.get_by_test_id(side))
    for tab in tabs:
        expect(tab.conflicts).to_have_count(0)
        tab.wait_text(PLACE, "typed during the restore")
    b1.own_log()


def test_chosen_fields_go_back_alone_and_the_restore_can_be_undone(
    demo: Served, four_tabs: Callable[..., list[Tab]]
) -> None:
    tabs = four_tabs(demo.origin)
    a1, _, b1, _ = tabs
    a1.field(TITLE).press_sequentially("one")
    a1.field(WHAT).press_sequentially("one")
    a1.wait_text(WHAT, "one")
    save_checkpoint(a1, "First version")
    a1.field(TITLE).fill("two")
    a1.field(WHAT).fill("two")
    b1.wait_text(WHAT, "two")
    wait_equal(tabs)
    preview(a1, "First version")
    a1.click(a1.page.locator(f'[data-testid="difference"][data-path="{TITLE}"] input'))
    a1.click("restore-chosen")
    for tab in tabs:
        tab.wait_text(TITLE, "one")
        tab.wait_text(WHAT, "two")
    wait_equal(tabs)
    before = b1.page.locator('[data-testid="checkpoint"][data-kind="before_restore"]')
    b1.click(before.get_by_test_id("checkpoint-preview"))
    b1.click("restore-all")
    for tab in tabs:
        tab.wait_text(TITLE, "two")
        tab.wait_text(WHAT, "two")
    assert wait_equal(tabs)["conflicts"] == 0
