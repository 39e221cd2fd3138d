"""Going on at another device: a code is shown, typed or scanned there, allowed or refused here."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.served import Served
from tests.e2e.tabs import TITLE, Device, Tab

pytestmark = [pytest.mark.browser, pytest.mark.server]


def offered_code(tab: Tab) -> str:
    tab.click("handoff-open")
    expect(tab.get("handoff-code")).to_have_text(re.compile(r"^[0-9A-Z]{4}-[0-9A-Z]{4}$"))
    return tab.get("handoff-code").inner_text()


def type_code(tab: Tab, code: str) -> None:
    tab.page.get_by_text("I have a code", exact=True).click()
    tab.get("code").fill(code)
    tab.click("code-button")


def test_a_typed_code_logs_the_other_device_in_and_both_write_one_report(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    first, second = new_device(demo.origin), new_device(demo.origin)
    a = first.sign_in(person)
    a.field(TITLE).fill("Burst pipe")
    a.wait_synchronized()
    code = offered_code(a)
    expect(a.page.locator("#handoff-picture svg")).to_be_visible()
    expect(a.get("handoff-left")).to_contain_text("Good for 1:5")
    b = second.open_page()
    type_code(b, code.lower().replace("-", " "))
    expect(b.get("waiting-text")).to_contain_text(person)
    expect(b.get("waiting").get_by_role("heading")).to_be_focused()
    expect(a.get("handoff-title")).to_have_text(re.compile(" wants in$"))
    expect(a.get("handoff-title")).to_be_focused()
    assert second.context.cookies() == [], "in before anybody agreed"
    a.click("handoff-allow")
    second._ready(b)
    expect(a.get("handoff-note")).to_contain_text("is logged in")
    a.click("handoff-close")
    expect(a.get("handoff-open")).to_be_focused()
    expect(b.get("person")).to_have_text(person)
    expect(b.field(TITLE)).to_have_value("Burst pipe")
    assert a.session_id != b.session_id
    b.field(TITLE).fill("Burst pipe in the cellar")
    a.wait_text(TITLE, "Burst pipe in the cellar")
    expect(a.get("session")).to_have_count(2)


def test_a_refused_device_stays_outside(demo: Served, new_device: Callable[..., Device], person: str) -> None:
    a = new_device(demo.origin).sign_in(person)
    b = new_device(demo.origin).open_page()
    type_code(b, offered_code(a))
    expect(b.get("waiting")).to_be_visible()
    a.click("handoff-refuse")
    expect(a.get("handoff-note")).to_have_text(re.compile(r" was refused\.$"))
    expect(b.get("code-problem")).to_have_text("The other device said no.")
    expect(b.get("code")).to_be_focused()
    assert b.page.request.get(f"{demo.origin}/api/v0/session").json()["authenticated"] is False
    a.click("handoff-again")
    expect(a.get("handoff-code")).to_be_visible()


def test_closing_the_question_is_a_no(demo: Served, new_device: Callable[..., Device], person: str) -> None:
    a = new_device(demo.origin).sign_in(person)
    b = new_device(demo.origin).open_page()
    type_code(b, offered_code(a))
    expect(a.get("handoff-allow")).to_be_visible()
    a.page.keyboard.press("Escape")
    expect(a.get("handoff-dialog")).to_be_hidden()
    expect(b.get("code-problem")).to_have_text("The other device said no.")


def test_a_wrong_code_is_said_in_words(demo: Served, new_device: Callable[..., Device]) -> None:
    tab = new_device(demo.origin).open_page()
    type_code(tab, "AAAA-AAAA")
    expect(tab.get("code-problem")).to_contain_text("That code is not good")
    expect(tab.get("code")).to_have_attribute("aria-invalid", "true")
    expect(tab.get("code")).to_be_focused()
    expect(tab.get("waiting")).to_be_hidden()


def test_the_scanned_address_keeps_no_secret_and_leads_to_where_the_first_device_is(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    a = new_device(demo.origin).sign_in(person)
    a.get("copy-name").fill("For the phone")
    a.click("copy-save")
    a.click(a.get("copy").get_by_role("link", name="For the phone"))
    expect(a.get("copy-title")).to_contain_text("For the phone")
    expect(a.get("handoff-open")).to_be_enabled()
    with a.page.expect_response(lambda answer: answer.url.endswith("/api/v0/handoff")) as answer:
        a.click("handoff-open")
    url = answer.value.json()["url"]
    b = new_device(demo.origin).open_page(url.removeprefix(demo.origin))
    secret = url.partition("#")[2]
    assert len(secret) == 22
    expect(b.get("code")).to_have_value(secret)
    expect(b.get("code-button")).to_be_focused()
    assert b.page.url == f"{demo.origin}/"
    b.click("code-button")
    a.click("handoff-allow")
    expect(b.get("copy-title")).to_contain_text("For the phone")
    assert secret not in b.page.url
