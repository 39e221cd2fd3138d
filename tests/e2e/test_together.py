"""Several tabs, several devices, several people, with nothing going wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from sessile.testing import shows
from tests.e2e.served import Served
from tests.e2e.tabs import PLACE, TITLE, WHAT, Device, Tab, wait_equal

pytestmark = [pytest.mark.browser, pytest.mark.server]


@shows("G02", "I01", "browser")
def test_what_one_tab_types_appears_on_the_other_tab_and_on_the_other_device(
    demo: Served, four_tabs: Callable[..., list[Tab]]
) -> None:
    tabs = four_tabs(demo.origin)
    a1, a2, b1, b2 = tabs
    a1.field(WHAT).press_sequentially("The pipe above the archive burst.")
    for tab in tabs:
        tab.wait_text(WHAT, "The pipe above the archive burst.")
    b2.field(TITLE).press_sequentially("Water")
    for tab in tabs:
        tab.wait_text(TITLE, "Water")
    expect(a1.field(WHAT)).to_be_focused()
    view = wait_equal(tabs)
    assert view["conflicts"] == 0
    for tab in tabs:
        expect(tab.status).to_have_text("Saved")
        expect(tab.get("saved-on-device")).to_have_text("On this device: saved")
        expect(tab.get("saved-on-server")).to_have_text(re.compile(r"On the server: saved, version \d+"))
    assert len({tab.device_no for tab in tabs}) == 2, "the tabs of one browser are one device"
    for pair in ((a1, a2), (b1, b2)):
        assert sorted(bool(tab.wire.sent) for tab in pair) == [False, True], "the tabs of one browser have one socket"
    assert a1.own_log()
    assert b1.own_log()


@shows("G06", "browser")
def test_presence_shows_every_device_with_its_tabs_and_its_step(
    demo: Served, four_tabs: Callable[..., list[Tab]]
) -> None:
    a1, a2, b1, b2 = four_tabs(demo.origin)
    for tab in (a1, a2, b1, b2):
        expect(tab.get("device")).to_have_count(2)
        expect(tab.page.locator('[data-testid="device"][data-self="true"]')).to_have_count(1)
        expect(tab.get("devices")).to_contain_text("2 tabs")
    b1.go_to_step(2)
    other = a1.page.locator('[data-testid="device"][data-self="false"]')
    expect(other).to_contain_text("on step 2")
    expect(a1.get("step-devices-2")).to_contain_text("is here")
    a1.expect_step(1)
    b2.close()
    expect(other).to_contain_text("1 tab")
    b1.close()
    expect(other).to_have_attribute("data-presence", "away", timeout=30_000)


def test_a_new_tab_and_a_reload_go_on_where_the_person_was(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    first = new_device(demo.origin).sign_in(person)
    first.go_to_step(2)
    first.field(PLACE).press_sequentially("Mill Road")
    first.wait_text(PLACE, "Mill Road")
    first.wait_for("doc.unstoredCount === 0")
    first.page.reload()
    first.expect_step(2)
    expect(first.field(PLACE)).to_have_value("Mill Road")
    expect(first.field(PLACE)).to_be_focused()
    first.wait_synchronized()
    elsewhere = new_device(demo.origin).sign_in(person)
    elsewhere.expect_step(2)
    elsewhere.wait_text(PLACE, "Mill Road")


def test_the_page_asks_before_it_is_left_in_mid_word(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    tab = new_device(demo.origin).sign_in(person)
    tab.field(WHAT).press_sequentially("half a wor")
    assert tab.stays_when_asked()
    tab.wait_text(WHAT, "half a wor")
    tab.wait_synchronized()
    assert tab.loads == 0


def test_two_people_never_see_each_others_report(demo: Served, new_device: Callable[..., Device], person: str) -> None:
    ada, ben = new_device(demo.origin), new_device(demo.origin)
    a, b = ada.sign_in(f"A {person}"), ben.sign_in(f"B {person}")
    a.field(WHAT).press_sequentially("only for Ada")
    b.field(WHAT).press_sequentially("only for Ben")
    for tab, text in ((a, "only for Ada"), (b, "only for Ben")):
        tab.wait_text(WHAT, text)
        tab.wait_synchronized()
        expect(tab.get("device")).to_have_count(1)
    assert a.document_id != b.document_id
    for path in ("", "/changes", "/checkpoints"):
        answer = ben.context.request.get(f"{ben.origin}/api/v0/documents/{a.document_id}{path}")
        assert answer.status == 404
        assert "only for Ada" not in answer.text()
    everything = [*b.wire.received, b.page.content()]
    assert "only for Ada" not in str(everything)


def test_the_next_person_at_the_same_browser_sees_nothing_of_the_former(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    device = new_device(demo.origin)
    a = device.sign_in(f"A {person}")
    a.field(WHAT).press_sequentially("only for Ada")
    a.wait_text(WHAT, "only for Ada")
    a.wait_synchronized()
    a.click("sign-out")
    expect(a.get("sign-in-name")).to_be_visible()
    a.close()
    b = device.sign_in(f"B {person}")
    expect(b.field(WHAT)).to_have_value("")
    assert b.report == {}
    assert "only for Ada" not in b.page.content()
    assert "only for Ada" not in str(b.wire.received)
