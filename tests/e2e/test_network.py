"""The network between a device and the server fails in the ways networks do; tabs close and crash meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from sessile.testing import shows
from tests.e2e.cut_proxy import CutProxy
from tests.e2e.served import Served, demo_at
from tests.e2e.tabs import TITLE, WHAT, Device, Tab, wait_equal

pytestmark = [pytest.mark.browser, pytest.mark.server]

NewProxy = Callable[..., CutProxy]
OFFLINE = re.compile(r"^(Offline: saved|Saved) on this device$")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With short pings, so that a dead connection is found out within seconds."""
    folder = tmp_path_factory.mktemp("demo")
    with demo_at(folder, SESSILE_PING_INTERVAL_S="1", SESSILE_PING_TIMEOUT_S="1") as server:
        yield server


@shows("H02", "G05", "browser")
def test_a_network_that_goes_silent_with_the_socket_open(
    demo: Served, four_tabs: Callable[..., list[Tab]], new_proxy: NewProxy
) -> None:
    network = new_proxy(demo)
    tabs = four_tabs(network.origin, demo.origin)
    a1, a2, b1, _ = tabs
    a1.field(WHAT).press_sequentially("before, ")
    b1.wait_text(WHAT, "before, ")
    expect(a1.status).to_have_text("Saved")
    network.cut()
    a1.field(WHAT).press_sequentially("during, ")
    expect(a1.status).to_have_text(OFFLINE)
    expect(a1.banner).to_have_text("Working offline. Saved on this device.")
    expect(a1.get("saved-on-device")).to_have_text("On this device: saved")
    expect(a1.get("saved-on-server")).to_contain_text("to send")
    a2.wait_text(WHAT, "before, during, ")
    assert network.swallowed_bytes > 0
    b1.field(TITLE).press_sequentially("meanwhile elsewhere")
    b1.wait_text(TITLE, "meanwhile elsewhere")
    assert b1.report == {"what": "before, ", "title": "meanwhile elsewhere"}
    assert a1.report == {"what": "before, during, "}
    network.heal()
    a1.field(WHAT).press_sequentially("after")
    for tab in tabs:
        tab.wait_text(WHAT, "before, during, after")
        tab.wait_text(TITLE, "meanwhile elsewhere")
    view = wait_equal(tabs)
    assert view["conflicts"] == 0
    a1.own_log()
    b1.own_log()
    for tab in tabs:
        expect(tab.status).to_have_text("Saved")
        assert tab.loads == 0


@pytest.mark.parametrize(
    ("fault", "who"),
    [
        ("answers held", "the sibling tab"),
        ("network cut", "the reopened tab"),
        pytest.param("answers held", "the reopened tab", marks=pytest.mark.soak),
        pytest.param("network cut", "the sibling tab", marks=pytest.mark.soak),
    ],
)
def test_a_tab_closed_before_the_acknowledgement(
    demo: Served, new_device: Callable[..., Device], new_proxy: NewProxy, person: str, fault: str, who: str
) -> None:
    network = new_proxy(demo)
    device, other = new_device(network.origin), new_device(demo.origin)
    tab, elsewhere = device.sign_in(person), other.sign_in(person)
    sibling = device.open_tab() if who == "the sibling tab" else None
    if fault == "answers held":
        network.hold_answers()
    else:
        network.cut()
    tab.field(WHAT).press_sequentially("not acknowledged")
    tab.wait_text(WHAT, "not acknowledged")
    tab.wait_kept()
    if fault == "answers held":
        elsewhere.wait_text(WHAT, "not acknowledged")  # the server has it, and nobody here knows
        assert network.held_bytes > 0
    unsent = tab.page.evaluate("() => sessile.client.stats().pending")
    assert unsent > 0
    tab.close()
    if sibling is not None:
        sibling.wait_text(WHAT, "not acknowledged")
        sibling.wait_kept()
        network.heal()
    else:
        network.heal()
        sibling = device.open_tab()
    sibling.wait_synchronized()
    elsewhere.wait_text(WHAT, "not acknowledged")
    wait_equal([sibling, elsewhere])
    log = {change["seq"]: change["operations"] for change in sibling.own_log()}
    again = sibling.wire.changes
    assert again, "the other tab sent nothing"
    assert {seq: log[seq] for seq in again} == again


def test_a_tab_that_crashes_with_unacknowledged_input(
    demo: Served, new_device: Callable[..., Device], new_proxy: NewProxy, person: str
) -> None:
    network = new_proxy(demo)
    device, other = new_device(network.origin), new_device(demo.origin)
    tab, elsewhere = device.sign_in(person), other.sign_in(person)
    session = tab.session_id
    network.cut()
    tab.field(WHAT).press_sequentially("typed into a tab that dies")
    tab.wait_text(WHAT, "typed into a tab that dies")
    tab.wait_kept()
    tab.crash()
    network.heal()
    again = device.open_tab()
    again.wait_text(WHAT, "typed into a tab that dies")
    elsewhere.wait_text(WHAT, "typed into a tab that dies")
    wait_equal([again, elsewhere])
    again.own_log()
    assert again.session_id == session


@shows("G07", "browser")
def test_a_conflict_that_two_devices_cause_is_resolved_with_the_keyboard(
    demo: Served, four_tabs: Callable[..., list[Tab]], new_proxy: NewProxy
) -> None:
    networks = [new_proxy(demo), new_proxy(demo)]
    tabs = four_tabs(networks[0].origin, networks[1].origin)
    a1, a2, b1, b2 = tabs
    for network in networks:
        network.refuse()
    a1.field(TITLE).press_sequentially("Water in the cellar")
    b1.field(TITLE).press_sequentially("Burst pipe")
    for tab, text in ((a1, "Water in the cellar"), (b1, "Burst pipe")):
        tab.wait_text(TITLE, text)
        tab.wait_kept()
    for network in networks:
        network.heal()
    for tab in tabs:
        expect(tab.conflicts).to_have_count(1)
        expect(tab.status).to_have_text("Conflict: 1")
    view = wait_equal(tabs)
    for tab, own, others in ((a1, "Water in the cellar", "Burst pipe"), (b2, "Burst pipe", "Water in the cellar")):
        expect(tab.get("conflict-mine")).to_have_text(own)
        expect(tab.get("conflict-theirs")).to_have_text(others)
    kept = "Burst pipe" if view["state"]["report"]["title"] == "Water in the cellar" else "Water in the cellar"
    # What stands there is given up, so that choosing changes something.
    button = "keep-mine" if kept == "Water in the cellar" else "keep-theirs"
    press_with_keyboard(a2, button)
    for tab in tabs:
        expect(tab.conflicts).to_have_count(0)
        tab.wait_text(TITLE, kept)
    assert wait_equal(tabs)["conflicts"] == 0
    expect(a2.status).to_have_text("Saved")
    a1.own_log()
    b1.own_log()


def press_with_keyboard(tab: Tab, test_id: str) -> None:
    """Reaches a button with Tab, from the beginning of the page, and presses it with Enter."""
    tab.page.evaluate("() => document.activeElement.blur()")
    for _ in range(120):
        tab.page.keyboard.press("Tab")
        if tab.page.evaluate("() => document.activeElement.dataset.testid") == test_id:
            return tab.page.keyboard.press("Enter")
    raise AssertionError(f"{test_id} cannot be reached with the keyboard")


def test_a_network_that_lets_no_socket_through(
    demo: Served, new_device: Callable[..., Device], new_proxy: NewProxy, person: str
) -> None:
    network = new_proxy(demo, blocks_sockets=True)
    walled, free = new_device(network.origin), new_device(demo.origin)
    a1, b = walled.sign_in(person), free.sign_in(person)
    a2 = walled.open_tab()
    assert [tab.page.evaluate("() => sessile.client.transport") for tab in (a1, b)] == ["events", "websocket"]
    assert a2.page.evaluate("() => sessile.client.role") == "follower"
    a2.field(WHAT).press_sequentially("over requests")
    b.wait_text(WHAT, "over requests")
    b.field(TITLE).press_sequentially("and back")
    for tab in (a1, a2):
        tab.wait_text(TITLE, "and back")
        expect(tab.status).to_have_text("Saved")
    network.refuse()
    a1.field(WHAT).press_sequentially(", offline")
    expect(a1.status).to_have_text(OFFLINE)
    network.heal()
    b.wait_text(WHAT, "over requests, offline")
    wait_equal([a1, a2, b])
    a1.own_log()


def test_a_server_that_cannot_push_is_asked(
    demo: Served, new_device: Callable[..., Device], new_proxy: NewProxy, person: str
) -> None:
    """As under plain WSGI, which answers both a socket and a stream with 501."""
    network = new_proxy(demo, blocks_sockets=True)
    asking, other = new_device(network.origin), new_device(demo.origin)
    refusal = {"status": 501, "json": {"code": "live_push_unavailable", "detail": "This server cannot push."}}
    asking.context.route("**/api/v0/events?**", lambda route: route.fulfill(**refusal))
    a1, b = asking.sign_in(person), other.sign_in(person)
    a2 = asking.open_tab()
    a2.field(WHAT).press_sequentially("asked for")
    b.wait_text(WHAT, "asked for")
    b.field(TITLE).press_sequentially("and told")
    for tab in (a1, a2):
        tab.wait_text(TITLE, "and told")
        expect(tab.status).to_have_text("Saved")
    wait_equal([a1, a2, b])
    a1.own_log()
