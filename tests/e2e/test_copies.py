"""Copies of the report, and what changed between two points."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.served import Served
from tests.e2e.tabs import PLACE, TITLE, Device, Tab
from tests.e2e.test_restore import save_checkpoint

pytestmark = [pytest.mark.browser, pytest.mark.server]

TYPED_AND_COPIED = """text => {
  const title = document.getElementById("title");
  title.value = text;
  title.dispatchEvent(new Event("input", { bubbles: true }));
  document.getElementById("copy-form").requestSubmit();
}"""
"""In one moment: the words are not even stored here yet when the copy is asked for."""


def open_copy(tab: Tab, title: str) -> None:
    tab.click(tab.get("copy").get_by_role("link", name=title, exact=True))
    expect(tab.get("saved-on-server")).to_be_visible()


def choose(tab: Tab, select: str, checkpoint: str) -> None:
    option = tab.get(select).locator("option", has_text=checkpoint)
    tab.get(select).select_option(option.get_attribute("value"))


def changed(tab: Tab, path: str) -> Locator:
    return tab.page.locator(f'[data-testid="changed"][data-path="{path}"]')


def test_a_copy_has_every_word_and_goes_its_own_way(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    tab = new_device(demo.origin).sign_in(person)
    tab.get("copy-name").fill("For the landlord")
    tab.page.evaluate(TYPED_AND_COPIED, "Burst pipe")
    link = tab.get("copy").get_by_role("link", name="For the landlord")
    expect(link).to_be_focused()
    tab.get("copy-name").fill("For the landlord")
    tab.click("copy-save")
    expect(tab.get("copies-note")).to_have_text("There is a copy of that name already.")
    open_copy(tab, "For the landlord")
    expect(tab.get("copy-title")).to_contain_text("For the landlord")
    expect(tab.field(TITLE)).to_have_value("Burst pipe")
    tab.field(TITLE).fill("Broken window")
    tab.go_to_step(5)
    expect(tab.get("gaps-detected")).to_contain_text("On which day did it happen?")
    tab.go_to_step(1)
    open_copy(tab, "The report")
    expect(tab.get("copy-title")).to_be_hidden()
    expect(tab.field(TITLE)).to_have_value("Burst pipe")
    open_copy(tab, "For the landlord")
    expect(tab.field(TITLE)).to_have_value("Broken window")


def test_the_address_takes_an_id_and_nobody_elses_copy(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    tab = new_device(demo.origin).sign_in(person)
    tab.get("copy-name").fill("Mine alone")
    tab.click("copy-save")
    copy = tab.get("copy").filter(has_text="Mine alone")
    document_id = copy.get_attribute("data-id")
    tab.page.goto(f"{demo.origin}/?document={document_id}")
    expect(tab.get("copy-title")).to_contain_text("Mine alone")
    other = new_device(demo.origin).sign_in(f"B {person}")
    other.page.goto(f"{demo.origin}/?document={document_id}")
    expect(other.get("saved-on-server")).to_be_visible()
    expect(other.get("copy-title")).to_be_hidden()
    assert other.page.url == f"{demo.origin}/"


def test_what_changed_between_a_checkpoint_and_now_and_between_two(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    tab = new_device(demo.origin).sign_in(person)
    expect(tab.get("changes-open")).to_be_disabled()
    tab.field(TITLE).fill("Burst pipe")
    save_checkpoint(tab, "First")
    tab.field(TITLE).fill("Broken window")
    save_checkpoint(tab, "Second")
    tab.go_to_step(2)
    tab.field(PLACE).press_sequentially("Mill Road 4")
    tab.click("changes-open")
    choose(tab, "changes-from", "First")
    expect(changed(tab, TITLE)).to_contain_text("Burst pipe")
    expect(changed(tab, TITLE)).to_contain_text("Broken window")
    expect(changed(tab, PLACE)).to_contain_text("(nothing)")
    expect(changed(tab, PLACE)).to_contain_text("Mill Road 4")
    expect(tab.get("changes-lead")).to_have_text("2 fields differ:")
    choose(tab, "changes-to", "Second")
    expect(changed(tab, PLACE)).to_have_count(0)
    expect(tab.get("changes-lead")).to_have_text("1 field differs:")
    tab.page.keyboard.press("Escape")
    expect(tab.get("changes-open")).to_be_focused()
