"""What only a real browser shows of a connection: timers of a hidden page, a socket that leads nowhere, the last words of a page that is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute

from sessile.testing import shows
from tests.e2e.conftest import ARGUMENTS
from tests.e2e.lifecycle import living_browser
from tests.e2e.served import Served, form_site_at

pytestmark = [pytest.mark.browser, pytest.mark.server]

_IS_SAVED = """() => window.sessile?.client.documents[0]?.syncStatus === "synchronized" && sessile.client.documents[0].pendingCount === 0"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with form_site_at(tmp_path_factory.mktemp("disconnection")) as server:
        yield server


@pytest.fixture(scope="module")
def living(require: Callable[[str], str], site: Served) -> Iterator[BrowserContext]:
    with living_browser(require("chromium"), ARGUMENTS) as context:
        yield context


def signed_in(context: BrowserContext, site: Served, person: str) -> Page:
    page = context.new_page()
    page.goto(site.origin + "/sign-in")
    page.get_by_label("Name").fill(person)
    page.get_by_role("button").click()
    page.wait_for_function(_IS_SAVED, polling=20)
    return page


def test_a_hidden_page_keeps_time_in_a_worker_under_a_strict_policy(
    living: BrowserContext, site: Served, person: str
) -> None:
    problems: list[str] = []
    page = signed_in(living, site, person)
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(site.origin + "/intake?trusted-types")
    page.wait_for_function(_IS_SAVED, polling=20)
    assert page.workers == [], "while it is looked at nothing is needed"
    with page.expect_worker() as started:
        living.new_page().bring_to_front()
    assert started.value.url == site.origin + "/api/v0/client/clock.js"
    # Without it the browser would ring once a second.
    gaps = page.evaluate(
        """() => new Promise((done) => {
          const { timers } = sessile.client.formOptions;
          const rung = [Date.now()];
          const ring = () => { rung.push(Date.now()); if (rung.length < 9) timers.set(ring, 50); else done(rung.slice(1).map((at, n) => at - rung[n])); };
          timers.set(ring, 50);
        })"""
    )
    assert sorted(gaps)[len(gaps) // 2] < 500, gaps
    page.bring_to_front()
    page.wait_for_function("() => document.visibilityState === 'visible'", polling=20)
    assert page.workers == []
    assert page.evaluate("async () => (await sessile.debug.stats()).status") == "connected"
    assert problems == []
    for other in living.pages[1:]:
        other.close()


@shows("H02", "browser")
def test_an_open_socket_that_leads_nowhere_is_doubted_and_used_again(
    living: BrowserContext, site: Served, person: str
) -> None:
    page = signed_in(living, site, person)
    connects = page.evaluate("() => sessile.client.stats().connects")
    status = page.locator("sessile-status")
    living.set_offline(True)  # Chromium keeps the socket open, and what is sent waits
    page.wait_for_function("() => sessile.client.status === 'degraded'", polling=20)
    page.get_by_label("Why").fill("into the void")
    page.wait_for_function("() => sessile.client.documents[0].pendingCount > 0", polling=20)
    assert status.get_attribute("data-state") != "saved"
    living.set_offline(False)
    page.wait_for_function(_IS_SAVED, polling=20)
    page.wait_for_function("() => sessile.client.status === 'connected'", polling=20)
    assert page.evaluate("() => sessile.client.documents[0].confirmed.why") == "into the void"
    assert page.evaluate("() => sessile.client.stats().connects") <= connects + 1
    page.close()


@shows("H05", "browser")
def test_a_page_that_is_left_says_what_its_socket_did_not_get_through(
    living: BrowserContext, site: Served, person: str
) -> None:
    assert living.browser is not None
    here, elsewhere = living.browser.new_context(), living.browser.new_context()
    page = here.new_page()
    swallowed: list[str] = []

    def swallow(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def sent(message: str | bytes) -> None:
            if json.loads(message)["type"] == "change":
                swallowed.append(str(message))
            else:
                server.send(message)

        route.on_message(sent)

    page.route_web_socket("**/ws", swallow)
    page.goto(site.origin + "/sign-in")
    page.get_by_label("Name").fill(person)
    page.get_by_role("button").click()
    page.wait_for_function(_IS_SAVED, polling=20)
    page.get_by_label("Why").fill("last words")
    page.wait_for_function("() => sessile.client.documents[0].unstoredCount === 0", polling=20)
    while not swallowed:
        page.wait_for_timeout(20)
    assert page.evaluate("() => sessile.client.documents[0].pendingCount") > 0
    page.close()
    other = signed_in(elsewhere, site, person)
    other.wait_for_function("() => sessile.client.documents[0].confirmed.why === 'last words'", polling=20)
    here.close()
    elsewhere.close()
