"""Switching platforms: at once in the tab that was clicked in, after the commit in the others, and taken back when refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.e2e.served import Served
from tests.e2e.tabs import Device, Tab

pytestmark = [pytest.mark.browser, pytest.mark.server]

SWITCH = "**/api/v0/session/platform"


def chosen(tab: Tab) -> Locator:
    return tab.get("insurer").locator("option:checked")


def choose(tab: Tab, name: str) -> None:
    tab.page.bring_to_front()
    tab.get("insurer").select_option(label=name)


@pytest.fixture
def tabs(demo: Served, new_device: Callable[..., Device], person: str) -> tuple[Tab, Tab]:
    device = new_device(demo.origin)
    pair = device.sign_in(person), device.open_tab()
    for tab in pair:
        expect(chosen(tab)).to_have_text("North Mutual")
    return pair


def test_a_switch_shows_at_once_here_and_after_the_commit_there(tabs: tuple[Tab, Tab]) -> None:
    a, b = tabs
    held: list[Route] = []
    a.page.route(SWITCH, lambda route: held.append(route))
    choose(a, "Harbour Insurance")
    choose(a, "City Cover")  # the last of rapid clicks wins
    expect(a.get("insurer-part")).to_have_attribute("data-optimistic", "")
    a.page.wait_for_timeout(400)
    asked = [route.request.post_data or "" for route in held]
    assert len(asked) == 1
    assert '"platform_id":"city-' in asked[0]
    expect(chosen(b)).to_have_text("North Mutual")
    held[0].continue_()
    expect(a.get("insurer-note")).to_have_text("You work for City Cover now.")
    expect(a.get("insurer-part")).not_to_have_attribute("data-optimistic", "")
    expect(chosen(b)).to_have_text("City Cover")
    a.page.reload()
    expect(chosen(a)).to_have_text("City Cover")


def test_whoever_was_faster_wins_and_the_other_tab_takes_its_click_back(tabs: tuple[Tab, Tab]) -> None:
    a, b = tabs
    held: list[Route] = []
    a.page.route(SWITCH, lambda route: held.append(route))
    choose(a, "Harbour Insurance")
    a.page.wait_for_timeout(300)
    choose(b, "City Cover")
    expect(b.get("insurer-note")).to_have_text("You work for City Cover now.")
    expect(chosen(a)).to_have_text("Harbour Insurance")
    held[0].continue_()
    expect(chosen(a)).to_have_text("City Cover")
    expect(a.get("insurer-note")).to_have_text(
        "Not switched. Another tab or device was faster. You still work for City Cover."
    )
    expect(chosen(b)).to_have_text("City Cover")
    a.page.unroute(SWITCH)
    choose(a, "North Mutual")
    expect(chosen(b)).to_have_text("North Mutual")
