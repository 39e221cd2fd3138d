"""The operator console in front of the running demo: somebody is found, watched, helped and logged out; and what happens when the operator may not,
or the feed is lost. Its pages, light and dark, narrow and wide, are in test-results/screens/ for somebody to look at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Route, expect

from sessile.model.operator_access import Role
from sessile.model.session import EndReason
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.server.console.sessions import CONFIRM_ABOVE
from tests.e2e.axe import COLOURS, violations
from tests.e2e.conftest import RESULTS
from tests.e2e.cut_proxy import CutProxy
from tests.e2e.operator_console import ALERT, Console, demo_with_console, token_for
from tests.e2e.served import Served
from tests.e2e.tabs import NAME, TITLE, Device, Tab, new_context

pytestmark = [pytest.mark.browser, pytest.mark.server]

SCREENS = RESULTS / "screens"
HOSTILE = '<img src=x onerror="document.title=1">'
WIDTH = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
CROWD = 23
COPY = f"{NAME}/before"
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
def manager(folder: Path) -> Iterator[SessionManager]:
    """Of another process than the demo."""
    with SessionManager(Settings(database_url=f"sqlite:///{folder / 'demo.db'}")) as facade:
        yield facade


@pytest.fixture
def new_console(browser: Browser, served: Served, folder: Path) -> Iterator[Callable[..., Console]]:
    """`new_console(role)` is an operator's browser. A script that failed or broke the page's policy fails the test."""
    made: list[Console] = []

    def new(role: Role = Role.ADMIN, origin: str = "", path: str = "", name: str = "ada", **options: Any) -> Console:
        console = Console(new_context(browser, **options), origin or served.origin)
        made.append(console)
        console.sign_in(token_for(f"sqlite:///{folder / 'demo.db'}", role, name), path)
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
    served: Served,
    new_device: Callable[..., Device],
    new_console: Callable[..., Console],
    manager: SessionManager,
    person: str,
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
    _copied(console, tab)
    _synchronized_anew(console, tab)
    _extended(console, tab, manager)
    _refused_since_it_ended_meanwhile(console, tab, manager)


def _copied(console: Console, tab: Tab) -> None:
    """As it was before the restore, and under a name that is free."""
    console.get("fork-open").click()
    expect(console.get("fork-name")).to_be_focused()
    console.get("fork-name").fill(NAME)
    before = console.get("fork").locator("option", has_text="before restore").first.get_attribute("value")
    console.page.get_by_label("As it was at").select_option(before)
    console.get("fork-reason").fill("To look at what was lost")
    console.get("fork-go").click()
    expect(console.get("fork")).to_contain_text("There is a document of this name already.")
    console.get("fork-name").fill(COPY)
    console.get("fork-go").click()
    console.expect_told(f"Copied as {COPY}.")
    expect(console.get("documents").get_by_role("listitem").filter(has_text=COPY)).to_have_count(1)
    api, request = f"{tab.device.origin}/api/v0/documents", tab.device.context.request
    (copy_id,) = [one["document_id"] for one in request.get(api).json()["documents"] if one["name"] == COPY]
    assert request.get(f"{api}/{copy_id}").json()["state"]["report"]["title"] == HOSTILE
    assert tab.report["title"] == "Burst pipe", "the original stays"


def _synchronized_anew(console: Console, tab: Tab) -> None:
    document_id = tab.document_id

    def is_whole(payload: str | bytes) -> bool:
        frame = json.loads(payload)
        return bool(frame["type"] == "initial_state" and frame["document_id"] == document_id)

    console.get("resync").click()
    with tab.wire.sockets[-1].expect_event("framereceived", is_whole):
        console.confirm("Sees another text than we do")
    console.expect_told("Asked 1 socket to load 1 document anew.")
    tab.wait_synchronized()
    tab.wait_text(TITLE, "Burst pipe")


def _extended(console: Console, tab: Tab, manager: SessionManager) -> None:
    def ends_at() -> datetime:
        answer = tab.device.context.request.get(f"{tab.device.origin}/api/v0/session").json()
        return datetime.fromisoformat(answer["session"]["expires_at"])

    soon = datetime.now(UTC) + timedelta(minutes=10)
    manager.set_idle_deadline(tab.session_id, soon)
    assert ends_at() < soon + timedelta(seconds=1)
    console.get("extend").click()
    console.confirm("Works on a long report")
    console.expect_told("Extended.")
    assert ends_at() > soon + timedelta(hours=1)
    tab.wait_for("Date.parse(client.session.expires_at) > arg", (soon.timestamp() + 3600) * 1000)
    acts = console.acts(session=tab.session_id)
    assert ("extend", "ada", "Works on a long report") in console.acts()
    assert ("resync", "ada", "Sees another text than we do") in acts


def _refused_since_it_ended_meanwhile(console: Console, tab: Tab, manager: SessionManager) -> None:
    console.get("extend").click()
    manager.destroy_session(tab.session_id, reason=EndReason.ADMIN)
    expect(tab.get("signed-out")).to_be_visible()
    console.get("confirm-reason").fill("Works on a long report")
    console.get("confirm-go").click()
    expect(console.get("confirm").get_by_role("alert")).to_have_text("This session is over already.")
    console.get("confirm-cancel").click()
    expect(console.page.get_by_role("heading", level=1)).to_contain_text("ended")
    expect(console.get("extend")).to_have_count(0)


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


def test_a_user_is_shut_out_by_keyboard_and_let_in_again(
    served: Served,
    new_device: Callable[..., Device],
    new_console: Callable[..., Console],
    manager: SessionManager,
    person: str,
) -> None:
    """More than twenty sessions: their number is typed, and typed again when it has changed meanwhile."""
    tab = new_device(served.origin).sign_in(person)
    user = user_of(person)
    for _ in range(CONFIRM_ABOVE):
        manager.create_session(user)
    console = new_console(path=f"sessions/{tab.session_id}")
    page, keys, button = console.page, console.page.keyboard, console.get("disable-user")
    reason, typed, go = (console.get(f"confirm-{name}") for name in ("reason", "typed", "go"))
    console.tab_to(button)
    keys.press("Enter")
    expect(reason).to_be_focused()
    keys.press("Escape")
    expect(console.get("confirm")).to_be_hidden()
    expect(button).to_be_focused()
    keys.press("Enter")
    expect(reason).to_be_focused()
    keys.type("Account was taken over")
    keys.press("Enter")
    expect(console.get("confirm")).to_be_visible()
    console.tab_to(typed)
    keys.type(str(CONFIRM_ABOVE + 1))
    manager.create_session(user)
    keys.press("Enter")
    expect(page.get_by_role("dialog", name=f"end {CONFIRM_ABOVE + 2} sessions")).to_be_visible()
    expect(console.get("confirm").get_by_role("alert")).to_have_text(re.compile("changed meanwhile"))
    expect(reason).to_be_focused()
    expect(reason).to_have_value("Account was taken over")
    expect(tab.get("signed-out")).to_be_hidden()
    console.tab_to(typed)
    keys.type(str(CONFIRM_ABOVE + 2))
    held: list[Route] = []
    page.route("**/disable", lambda route: held.append(route))
    console.tab_to(go)
    keys.press("Enter")
    expect(go).to_have_text("Working…")
    for _ in range(2):  # a browser closes a dialog at the second without asking the page
        keys.press("Escape")
    expect(console.get("confirm")).to_be_visible()
    held[0].continue_()
    console.expect_told(f"{user} is disabled. Ended {CONFIRM_ABOVE + 2} sessions.")
    expect(console.get("confirm")).to_be_hidden()

    expect(tab.get("signed-out")).to_be_visible()
    assert tab.wire.sockets[-1].is_closed()
    again = tab.device.open_page()
    again.get("sign-in-name").fill(person)
    again.click("sign-in-button")
    expect(again.get("sign-in-problem")).to_contain_text("disabled")
    again.close()
    console.tab_to(console.get("enable-user"))
    keys.press("Enter")
    expect(reason).to_be_focused()
    keys.type("It is hers again")
    keys.press("Enter")
    console.expect_told(f"{user} is enabled.")
    expect(button).to_be_visible()
    tab.device.sign_in(person)
    own = [act for act in console.acts() if act[0] in {"disable", "enable"}]
    assert own == [("enable", "ada", "It is hers again"), ("disable", "ada", "Account was taken over")]


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
    console.go("Health")
    alert = console.get("alerts").get_by_role("listitem").filter(has_text=ALERT.replace("_", " "))
    expect(alert).to_contain_text(re.compile(r"Nobody looks after it\. If it lasts, it is told again in \d+ min"))
    expect(console.get("acknowledge")).to_have_attribute("aria-disabled", "true")
    other = new_console(Role.OPERATOR, path="health", name="bob")
    other.get("acknowledge").click()
    other.confirm("Asked the people who run the machine")
    other.expect_told("Noted.")
    for page in (other.page, console.page):
        looked_after = page.get_by_test_id("alerts").get_by_role("listitem")
        expect(looked_after).to_contain_text("bob looks after it: Asked the people who run the machine.")
        expect(looked_after).to_contain_text("not told again until it is over")
    console.go("Audit")
    expect(console.get("events").get_by_text("by bob: Asked the people who run the machine")).to_have_count(1)
    assert ("acknowledge_alert", "bob", "Asked the people who run the machine") in console.acts()
    console.go("Settings")
    expect(console.page.get_by_text("Your role (read-only) may not do this.")).to_have_count(
        3
    )  # and the message of before
    expect(tab.status).to_have_text("Saved")
    console.get("sign-out").click()
    expect(console.page.get_by_label("Token")).to_be_visible()
    console.page.go_back()
    expect(console.page.get_by_label("Token")).to_be_visible()


def test_many_at_once_have_to_be_typed(
    manager: SessionManager, new_console: Callable[..., Console], person: str
) -> None:
    user = user_of(person)
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
