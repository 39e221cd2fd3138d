"""Where a person is logged in: the list, ending one, ending all others; and the warning before a session's own end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.served import Served, demo_at
from tests.e2e.tabs import WHAT, Device

pytestmark = [pytest.mark.browser, pytest.mark.server]

SHORT = {"SESSILE_IDLE_TIMEOUT_S": "40", "SESSILE_EXPIRY_WARNING_S": "30", "SESSILE_PING_INTERVAL_S": "1"}
"""Warned when nothing has happened for ten seconds."""


def test_a_device_that_is_ended_says_so_and_the_others_stay(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    a, b, c = (new_device(demo.origin).sign_in(person) for _ in range(3))
    expect(a.get("session")).to_have_count(3)
    own = a.page.locator('[data-testid="session"][data-current="true"]')
    expect(own).to_have_attribute("data-session", a.session_id)
    expect(own.get_by_test_id("end-session")).to_have_count(0)
    theirs = a.page.locator(f'[data-testid="session"][data-session="{b.session_id}"]')
    expect(theirs.get_by_test_id("session-note")).to_contain_text("connected")
    a.click(theirs.get_by_test_id("end-session"))
    expect(a.get("sessions-note")).to_have_text(re.compile(r" is logged out\.$"))
    expect(b.get("signed-out")).to_be_visible()
    expect(b.get("signed-out")).to_contain_text("This browser was logged out from another device.")
    expect(a.get("session")).to_have_count(2)
    expect(c.get("signed-out")).to_be_hidden()
    c.click("end-others")
    expect(c.get("sessions-note")).to_have_text("1 other session is over.")
    expect(a.get("signed-out")).to_be_visible()
    expect(c.get("end-others")).to_be_hidden()
    c.field(WHAT).press_sequentially("still here")
    c.wait_synchronized()


def test_a_warning_comes_before_the_end_and_staying_or_typing_takes_it_away(
    tmp_path: Path, new_device: Callable[..., Device], person: str
) -> None:
    with demo_at(tmp_path, **SHORT) as server:
        device = new_device(server.origin)
        a, b = device.sign_in(person), device.open_tab()
        for tab in (a, b):
            expect(tab.get("expiry-text")).to_have_text(re.compile(r"^You will be logged out at \d\d:\d\d\.$"))
            expect(tab.get("expiry-text")).to_have_attribute("role", "alert")
        before = a.page.evaluate("() => sessile.client.session.expires_at")
        a.click("extend")
        for tab in (a, b):
            expect(tab.get("expiry")).to_be_hidden()
            tab.wait_for("sessile.client.session.expires_at > arg", before)
        expect(a.get("expiry-note")).to_have_text(re.compile(r"^You stay logged in until \d\d:\d\d\.$"))
        expect(a.page.locator("#work")).to_be_focused()
        expect(a.get("expiry")).to_be_visible()  # nothing has happened again
        a.field(WHAT).press_sequentially("typing is staying, too")
        expect(a.get("expiry")).to_be_hidden()


def test_an_end_that_cannot_be_put_off_is_called_that(
    tmp_path: Path, new_device: Callable[..., Device], person: str
) -> None:
    with demo_at(tmp_path, **SHORT, SESSILE_ABSOLUTE_TIMEOUT_S="40") as server:
        tab = new_device(server.origin).sign_in(person)
        expect(tab.get("expiry-text")).to_contain_text("This cannot be put off.")
        expect(tab.get("extend")).to_be_hidden()
        tab.click("extend-not")
        expect(tab.get("sign-in-name")).to_be_visible()
