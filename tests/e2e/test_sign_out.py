"""Logging out in one tab: the others of that browser stop and say so; nothing typed is lost; other devices stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from sessile.testing.shows import shows_security
from tests.e2e.served import Served
from tests.e2e.tabs import WHAT, Tab

pytestmark = [pytest.mark.browser, pytest.mark.server]


@shows_security("V7.4.4", "C-8")
def test_logout_in_one_tab_stops_the_other_and_loses_nothing(
    demo: Served, four_tabs: Callable[..., list[Tab]], person: str
) -> None:
    a1, a2, b1, b2 = four_tabs(demo.origin)
    kept = b1.session_id
    a2.field(WHAT).press_sequentially("typed until the very last moment")
    a1.click("sign-out")
    expect(a1.get("sign-in-name")).to_be_visible()
    expect(a2.get("signed-out")).to_be_visible()
    expect(a2.get("signed-out").get_by_role("heading")).to_have_text("Sign in to continue")
    expect(a2.get("signed-out").get_by_role("heading")).to_be_focused()
    expect(a2.status).to_have_text("Sign in to continue")
    expect(a2.field(WHAT)).to_be_hidden()
    for tab in (b1, b2):
        expect(tab.get("signed-out")).to_be_hidden()
        expect(tab.status).to_have_text("Saved")
        assert tab.session_id == kept
    b1.field(WHAT).press_sequentially("!")
    b2.wait_synchronized()

    a1.get("sign-in-name").fill(person)
    a1.click("sign-in-button")
    a1.wait_synchronized()
    texts = [change["operations"] for change in a1.own_log()]
    assert any(
        operation.get("path") == WHAT and operation.get("value") == "typed until the very last moment"
        for operations in texts
        for operation in operations
    )
    # The tab that was told to stop is back as well, without a reload.
    expect(a2.get("signed-out")).to_be_hidden()
    a2.wait_synchronized()
    assert a2.loads == 0
