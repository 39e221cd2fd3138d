"""What the demo looks like, from a small phone to a desk, light and dark; and what people need who use a keyboard or a screen reader.
The pictures stay in test-results/screens/ for somebody to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from sessile.testing.shows import shows_security
from tests.e2e.axe import COLOURS, violations
from tests.e2e.conftest import RESULTS
from tests.e2e.cut_proxy import CutProxy
from tests.e2e.served import Served, free_port
from tests.e2e.tabs import PLACE, TITLE, WHAT, Device, Tab, new_context, wait_equal

pytestmark = [pytest.mark.browser, pytest.mark.server]

SCREENS = RESULTS / "screens"
IN_CONFLICT = "Ada Conflict"
LONG = "A-very-long-word-that-somebody-pasted-" * 4

WIDTH = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
UNLABELLED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
  .filter((control) => control.labels.length === 0 && !control.ariaLabel && !control.getAttribute("aria-labelledby"))
  .map((control) => control.outerHTML)"""
NAMELESS = """() => [...document.querySelectorAll("button, a[href], summary")]
  .filter((one) => one.checkVisibility() && one.textContent.trim() === "" && !one.ariaLabel)
  .map((one) => one.outerHTML)"""
FOCUS_MARK = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  return { name: one.dataset.testid ?? one.id ?? one.tagName, isBody: one === document.body,
    isMarked: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none",
    isSeen: box.width > 0 && box.bottom > 0 && box.top < innerHeight };
}"""


@pytest.fixture(scope="module")
def conflicted(demo: Served, browser: Browser) -> Iterator[None]:
    """`IN_CONFLICT` has a report with two titles, long words, and an open question."""
    networks = [CutProxy(demo.port, free_port()) for _ in range(2)]
    devices = [Device(new_context(browser), network.origin, "device") for network in networks]
    tabs = [device.sign_in(IN_CONFLICT) for device in devices]
    tabs[0].field(WHAT).fill(f"It was wet. {LONG}")
    wait_equal(tabs)
    for network in networks:
        network.refuse()
    for tab, title in zip(tabs, ("Water in the cellar of the archive", f"Burst pipe {LONG}"[:120]), strict=True):
        tab.field(TITLE).fill(title)
        tab.wait_text(TITLE, title)
        tab.wait_kept()
    for network in networks:
        network.heal()
    for tab in tabs:
        expect(tab.conflicts).to_have_count(1)
    tabs[0].get("checkpoint-label").fill("Before the call")
    tabs[0].click("checkpoint-save")
    expect(tabs[0].get("checkpoint")).to_contain_text("Before the call")
    yield
    for device in devices:
        device.close()
    for network in networks:
        network.close()


def expect_fits(tab: Tab) -> None:
    scroll_width, width = tab.page.evaluate(WIDTH)
    assert scroll_width <= width, f"{tab.page.url} can be scrolled sideways: {scroll_width} of {width} px"


def look_of(scheme: str, width_px: int) -> dict[str, Any]:
    """Without transitions, whose colours in between nobody can judge."""
    return {"color_scheme": scheme, "viewport": {"width": width_px, "height": 800}, "reduced_motion": "reduce"}


def expect_accessible(tab: Tab, scheme: str) -> None:
    """By axe-core. What is not a matter of colours is the same in the dark, and checked once."""
    assert violations(tab.page, None if scheme == "light" else COLOURS) == []


def _looks(narrow_px: int) -> pytest.MarkDecorator:
    """Light on a screen, dark on a phone; the other two in the soak."""
    crossed = [
        pytest.param("light", narrow_px, marks=pytest.mark.soak),
        pytest.param("dark", 1280, marks=pytest.mark.soak),
    ]
    return pytest.mark.parametrize(("scheme", "width_px"), [("light", 1280), ("dark", narrow_px), *crossed])


@_looks(375)
def test_pictures(
    demo: Served,
    conflicted: None,
    new_device: Callable[..., Device],
    new_proxy: Callable[[Served], CutProxy],
    person: str,
    scheme: str,
    width_px: int,
) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    network = new_proxy(demo)
    look = look_of(scheme, width_px)
    device = new_device(network.origin, **look)

    def picture(tab: Tab, name: str) -> None:
        tab.page.bring_to_front()
        expect_fits(tab)
        expect_accessible(tab, scheme)
        path = SCREENS / f"{name}-{scheme}-{width_px}.png"
        tab.page.screenshot(path=path, full_page=True)
        assert path.stat().st_size > 5000, "a blank page"

    welcome = device.open_page()
    expect(welcome.get("sign-in-name")).to_be_focused()
    picture(welcome, "sign-in")
    welcome.close()
    tab = device.sign_in(person)
    tab.field(TITLE).fill("Burst pipe in the archive")
    tab.field(WHAT).fill("The pipe above the shelves burst at night. Forty boxes of files are wet.")
    tab.go_to_step(2)
    tab.field(PLACE).fill("Mill Road 4, cellar")
    tab.wait_text(PLACE, "Mill Road 4, cellar")
    tab.wait_synchronized()
    expect(tab.status).to_have_text("Saved")
    picture(tab, "step")
    tab.go_to_step(5)
    expect(tab.get("gaps-detected")).to_contain_text("On which day did it happen?")
    expect(tab.get("gap-card")).to_be_visible()
    tab.wait_synchronized()
    picture(tab, "gaps")
    network.refuse()
    expect(tab.banner).to_have_text("Working offline. Saved on this device.")
    picture(tab, "offline")
    tab.close()
    clash = new_device(demo.origin, **look).sign_in(IN_CONFLICT)
    expect(clash.conflicts).to_have_count(1)
    picture(clash, "conflict")


@_looks(320)
def test_dialogs_and_waiting(
    demo: Served, new_device: Callable[..., Device], person: str, scheme: str, width_px: int
) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    look = look_of(scheme, width_px)
    tab, other = new_device(demo.origin, **look).sign_in(person), new_device(demo.origin, **look).open_page()

    def picture(of: Tab, name: str) -> None:
        of.page.bring_to_front()
        expect_fits(of)
        dialog = of.page.locator("dialog[open]")
        if dialog.count():
            scroll_width, width = dialog.evaluate("(one) => [one.scrollWidth, one.clientWidth]")
            assert scroll_width <= width, f"{name} can be scrolled sideways"
        expect_accessible(of, scheme)
        of.page.screenshot(path=SCREENS / f"{name}-{scheme}-{width_px}.png")

    tab.field(TITLE).fill("Burst pipe")
    tab.get("checkpoint-label").fill(LONG[:80])
    tab.click("checkpoint-save")
    expect(tab.get("checkpoint").filter(has_text=LONG[:80])).to_have_count(1)  # beside it the service makes its own
    tab.field(TITLE).fill(LONG[:120])
    tab.click("changes-open")
    since = tab.page.locator("#changes-from")
    since.select_option(
        since.locator("option").filter(has_text=LONG[:80]).get_attribute("value")
    )  # the service's own may be the latest
    expect(tab.get("changed")).to_be_visible()
    picture(tab, "changes")
    tab.click("changes-close")
    tab.click(tab.get("checkpoint").filter(has_text=LONG[:80]).get_by_test_id("checkpoint-preview"))
    expect(tab.get("difference")).to_have_count(1)
    tab.get("difference-choose").check()
    expect(tab.get("restore-chosen")).to_be_enabled()
    picture(tab, "restore")
    tab.click("restore-cancel")
    tab.click("handoff-open")
    picture_of_code = tab.page.locator("#handoff-picture")
    expect(picture_of_code.locator("svg")).to_be_visible()
    assert picture_of_code.evaluate("(one) => getComputedStyle(one).backgroundColor") == "rgb(255, 255, 255)"
    picture(tab, "handoff-code")
    other.page.get_by_text("I have a code", exact=True).click()
    other.get("code").fill(tab.get("handoff-code").inner_text())
    other.click("code-button")
    expect(other.get("waiting")).to_be_visible()
    picture(other, "waiting")
    expect(tab.get("handoff-allow")).to_be_visible()
    picture(tab, "handoff-ask")


def test_what_is_wrong_is_found(demo: Served, new_device: Callable[..., Device]) -> None:
    page = new_device(demo.origin, **look_of("light", 375)).open_page().page
    page.evaluate(
        """() => { document.querySelector("label[for=name]").remove(); document.querySelector("h1").style.color = "#999"; }"""
    )
    faults = violations(page)
    assert [fault.split(" ", 1)[0] for fault in faults] == ["color-contrast", "label-title-only", "label"], faults
    assert [fault.split(" ", 1)[0] for fault in violations(page, COLOURS)] == ["color-contrast"]


def test_nothing_is_wider_than_a_small_phone(demo: Served, conflicted: None, new_device: Callable[..., Device]) -> None:
    device = new_device(demo.origin, viewport={"width": 320, "height": 640})
    welcome = device.open_page()
    expect_fits(welcome)
    welcome.close()
    tab = device.sign_in(IN_CONFLICT)
    for step in range(1, 7):
        tab.go_to_step(step)
        expect_fits(tab)
    tab.get("checkpoint-label").fill(LONG[:80])
    tab.click("checkpoint-save")
    expect(tab.get("checkpoint").filter(has_text=LONG[:80])).to_be_visible()
    expect_fits(tab)


def test_every_control_has_a_name_and_every_status_is_announced(
    demo: Served, conflicted: None, new_device: Callable[..., Device]
) -> None:
    tab = new_device(demo.origin).sign_in(IN_CONFLICT)
    for step in range(1, 7):
        tab.go_to_step(step)
        assert tab.page.evaluate(UNLABELLED) == []
        assert tab.page.evaluate(NAMELESS) == []
        expect(tab.page.get_by_role("heading", level=1)).to_have_count(1)
    for status in (tab.status, tab.banner, tab.get("checkpoint-note"), tab.get("gaps-lead"), tab.get("submit-note")):
        expect(status).to_have_attribute("role", "status")
    expect(tab.status).to_have_attribute("aria-live", "polite")
    assert tab.page.evaluate("() => document.documentElement.lang") == "en"
    assert tab.page.get_by_role("main").count() == 1


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.soak)])
@shows_security("V7.4.4")
def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    demo: Served, conflicted: None, new_device: Callable[..., Device], scheme: str
) -> None:
    tab = new_device(demo.origin, color_scheme=scheme).sign_in(IN_CONFLICT)
    tab.go_to_step(1)
    tab.wait_synchronized()
    tab.page.reload()  # begins at the top again
    expect(tab.conflicts).to_have_count(1)
    tab.expect_step(1)
    visited: list[str] = []
    for _ in range(120):
        tab.page.keyboard.press("Tab")
        mark = tab.page.evaluate(FOCUS_MARK)
        if mark["isBody"] and visited:
            break
        assert mark["isMarked"], f"nothing shows that {mark['name']} has the focus"
        assert mark["isSeen"], f"{mark['name']} has the focus and cannot be seen"
        visited.append(mark["name"])
    order = [visited.index(name) for name in ("sign-out", "step-1", f"field:{TITLE}", "step-next", "keep-mine")]
    assert order == sorted(order)
    assert {"keep-theirs", "keep-other", "checkpoint-save", "checkpoint-preview", "device-name"} <= set(visited)
