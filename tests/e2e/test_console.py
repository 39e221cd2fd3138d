"""The operator console in front of the running demo: somebody is found, watched, helped and logged out; and what happens when the operator may not,
or the feed is lost. Its pages, light and dark, narrow and wide, are in test-results/screens/ for somebody to look at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from sessile.model.operator_access import Role
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from tests.e2e.axe import COLOURS, violations
from tests.e2e.conftest import RESULTS
from tests.e2e.cut_proxy import CutProxy
from tests.e2e.operator_console import Console, demo_with_console, token_for
from tests.e2e.served import Served
from tests.e2e.tabs import TITLE, Device, new_context

pytestmark = [pytest.mark.browser, pytest.mark.server]

SCREENS = RESULTS / "screens"
HOSTILE = '<img src=x onerror="document.title=1">'
WIDTH = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
CROWD = 23
PAGES = {"overview": "", **{name: name for name in ("sessions", "devices", "audit", "health", "settings")}}
LOOKS: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1280), ("dark", 320))


def user_of(person: str) -> str:
    """The demo's id of who typed this name."""
    return f"demo:{person.casefold()}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with demo_with_console(folder) as server:
        yield server


@pytest.fixture
def new_console(browser: Browser, served: Served, folder: Path) -> Iterator[Callable[..., Console]]:
    """`new_console(role)` is an operator's browser. A script that failed or broke the page's policy fails the test."""
    made: list[Console] = []

    def new(role: Role = Role.ADMIN, origin: str = "", path: str = "", **options: Any) -> Console:
        console = Console(new_context(browser, **options), origin or served.origin)
        made.append(console)
        console.sign_in(token_for(f"sqlite:///{folder / 'demo.db'}", role), path)
        return console

    yield new
    for console in made:
        console.page.context.close()
    assert [problem for console in made for problem in console.problems] == []


def test_somebody_is_found_and_one_of_two_devices_is_ended(
    served: Served, new_device: Callable[..., Device], new_console: Callable[..., Console], person: str
) -> None:
    lost, kept = (new_device(served.origin).sign_in(person) for _ in range(2))
    console = new_console()
    page = console.page
    expect(console.get("card-Online")).not_to_have_text("0")
    expect(page).to_have_title(re.compile(r"^\(\d+\) Overview"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    console.go("Sessions")
    page.keyboard.press("/")
    expect(console.get("search")).to_be_focused()
    page.keyboard.type("us")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(console.get("search")).to_have_value("user:")
    page.keyboard.type(f'"{user_of(person)}" state:onl')
    page.get_by_role("option", name="state:online").click()
    expect(console.rows).to_have_count(2)
    expect(console.get("total")).to_have_text("2 matching")
    expect(page).to_have_title(re.compile(r"^\(2\) Sessions"))
    expect(page).to_have_url(re.compile("state%3Aonline"))
    page.reload()
    expect(console.rows).to_have_count(2)
    expect(console.get("feed")).to_have_text("Live")
    console.get("select-all").check()
    expect(console.get("bulk")).to_contain_text("2 selected.")
    console.get("select-all").uncheck()

    page.locator(f"tr[data-row='{lost.session_id}'] td.c-device").click()
    page.keyboard.press("x")
    expect(console.get("end-selected")).to_have_text("End 1 session")
    page.keyboard.press("Enter")
    expect(console.get("session-devices")).to_contain_text("1 tab")
    sockets: list[bool] = []
    lost.page.on("websocket", lambda socket: sockets.append(socket.is_closed()))
    console.get("end-session").click()
    console.confirm("Laptop was stolen")
    console.expect_told("Ended 1 session, closed 1 socket.")
    expect(lost.get("signed-out")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ended")
    expect(console.get("timeline")).to_contain_text("Laptop was stolen")
    expect(kept.get("signed-out")).to_be_hidden()
    expect(kept.status).to_have_text("Saved")

    console.go("Audit")
    expect(console.get("chain")).to_contain_text("chain intact")
    console.get("filter-type").fill("operator_acted")
    console.get("filter-user").fill(user_of(person))
    console.get("filter-user").press("Enter")
    event = console.get("events").get_by_role("listitem").filter(has_text="Laptop was stolen")
    expect(event).to_have_count(1)
    event.locator("summary").click()
    expect(event).to_contain_text("Before")
    with page.expect_download() as csv:
        console.get("export-csv").click()
    assert "Laptop was stolen" in csv.value.path().read_text()
    with page.expect_download() as lines:
        console.get("export-jsonl").click()
    exported = [json.loads(line) for line in lines.value.path().read_text().splitlines()]
    assert any("Laptop was stolen" in json.dumps(one) for one in exported)


def test_somebodys_work_is_restored_after_a_look_at_what_would_change(
    served: Served, new_device: Callable[..., Device], new_console: Callable[..., Console], person: str
) -> None:
    tab = new_device(served.origin).sign_in(person)
    tab.field(TITLE).fill("Burst pipe")
    tab.wait_synchronized()
    tab.get("checkpoint-label").fill(HOSTILE)
    tab.click("checkpoint-save")
    expect(tab.get("checkpoint").filter(has_text=HOSTILE)).to_have_count(1)
    tab.field(TITLE).fill(HOSTILE)
    tab.wait_synchronized()

    console = new_console(Role.OPERATOR, path=f"sessions/{tab.session_id}")
    page = console.page
    console.get("documents").get_by_role("button", name="Open").click()
    document = console.get("document")
    document.get_by_role("button", name="State", exact=True).click()
    console.get("show-state").click()
    expect(console.get("state")).to_contain_text(HOSTILE.replace('"', '\\"'))
    document.get_by_role("button", name="Compare").click()
    value = page.locator("option", has_text=HOSTILE).first.get_attribute("value")
    page.get_by_label("From").select_option(value)
    console.get("show-diff").click()
    expect(console.get("differences")).to_contain_text("/report/title")

    document.get_by_role("button", name="Checkpoints").click()
    console.get("checkpoints").get_by_role("listitem").filter(has_text=HOSTILE).get_by_test_id("restore-open").click()
    console.get("restore-go").click()
    preview = console.get("restore")
    expect(preview.get_by_role("row").filter(has_text="/report/title")).to_contain_text("Burst pipe")
    assert tab.report["title"] == HOSTILE, "a preview changes nothing"
    expect(console.get("restore-go")).to_be_disabled()
    console.get("restore-reason").fill("Asked for by phone")
    console.get("restore-go").click()
    console.expect_told("Restored as version")
    tab.wait_text(TITLE, "Burst pipe")
    expect(console.get("checkpoints")).to_contain_text("before restore")
    assert page.locator("img[src=x]").count() == 0

    console.get("switch-platform").click()
    chosen = console.get("platform-choice").locator("option").first.inner_text()
    console.confirm("Chose the wrong one")
    console.expect_told(f"Switched to {chosen}.")
    expect(tab.get("insurer").locator("option:checked")).to_have_text(chosen)


def test_the_loss_of_the_feed_is_said_and_it_comes_back(
    served: Served,
    new_device: Callable[..., Device],
    new_console: Callable[..., Console],
    new_proxy: Callable[..., CutProxy],
    person: str,
) -> None:
    network = new_proxy(served)
    console = new_console(origin=network.origin, path="sessions?q=" + quote(f'user:"{user_of(person)}"'))
    feed, banner = console.get("feed"), console.get("banner")
    expect(feed).to_have_text("Live")
    expect(console.page.get_by_text("No session matches.")).to_be_visible()
    network.refuse()
    expect(banner).to_contain_text(re.compile(r"Live feed lost, last update \d+ s ago"))
    expect(feed).to_have_text("Feed lost")
    tab = new_device(served.origin).sign_in(person)
    network.heal()
    banner.get_by_role("button", name="Try now").click()
    expect(feed).to_have_text("Live")
    expect(banner).to_be_hidden()
    expect(console.rows).to_have_count(1)
    expect(console.rows).to_contain_text("online")

    console.page.keyboard.press("p")
    expect(banner).to_contain_text("Paused")
    tab.page.close()
    expect(feed).to_have_text("Paused")
    expect(console.rows).to_contain_text("online")
    console.page.keyboard.press("p")
    expect(console.rows).to_contain_text("offline")


def test_who_may_only_read_is_told_so(
    served: Served, new_device: Callable[..., Device], new_console: Callable[..., Console], person: str
) -> None:
    tab = new_device(served.origin).sign_in(person)
    console = new_console(Role.READ_ONLY, path=f"sessions/{tab.session_id}?document={tab.document_id}")
    for name in ("end-session", "resync", "switch-platform", "disable-user", "fork-open"):
        button = console.get(name)
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(button).to_have_attribute("title", "Your role (read-only) may not do this")
    console.get("end-session").click(force=True)
    console.expect_told("Your role (read-only) may not do this.")
    expect(console.get("confirm")).to_be_hidden()
    console.go("Audit")
    expect(console.get("export-csv")).to_have_attribute("aria-disabled", "true")
    console.go("Settings")
    expect(console.page.get_by_text("Your role (read-only) may not do this.")).to_have_count(
        3
    )  # and the message of before
    expect(tab.status).to_have_text("Saved")
    console.get("sign-out").click()
    expect(console.page.get_by_label("Token")).to_be_visible()
    console.page.go_back()
    expect(console.page.get_by_label("Token")).to_be_visible()


def test_many_at_once_have_to_be_typed(folder: Path, new_console: Callable[..., Console], person: str) -> None:
    user = user_of(person)
    with SessionManager(Settings(database_url=f"sqlite:///{folder / 'demo.db'}")) as manager:
        for _ in range(CROWD):
            manager.create_session(user)
    console = new_console(Role.OPERATOR, path="sessions?q=" + quote(f'user:"{user}"'))
    expect(console.get("total")).to_have_text(f"{CROWD} matching")
    console.get("select-all").check()
    console.get("end-selected").click()
    expect(console.page.get_by_role("heading", name=f"End {CROWD} sessions?")).to_be_visible()
    console.confirm("Password was found in a paste", typed=CROWD)
    console.expect_told(f"Ended {CROWD} sessions, closed 0 sockets.")
    expect(console.page.get_by_text("No session matches.")).to_be_visible()


def test_pictures(
    served: Served, new_device: Callable[..., Device], new_console: Callable[..., Console], person: str
) -> None:
    """Each page is loaded once, and turns with the colours and the width of the window while it is open."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    tab = new_device(served.origin).sign_in(person)
    console = new_console(reduced_motion="reduce")
    for name, path in {**PAGES, "session": f"sessions/{tab.session_id}?document={tab.document_id}"}.items():
        console.open(path)
        expect(console.page.get_by_text("Loading…")).to_have_count(0)
        for scheme, width_px in LOOKS:
            console.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            console.page.set_viewport_size({"width": width_px, "height": 900})
            scroll_width, width = console.page.evaluate(WIDTH)
            assert scroll_width <= width, f"{name} can be scrolled sideways: {scroll_width} of {width} px"
            assert violations(console.page, None if scheme == "light" else COLOURS) == []
            picture = SCREENS / f"console-{name}-{scheme}-{width_px}.png"
            console.page.screenshot(path=picture)
            assert picture.stat().st_size > 5000, "a blank page"
