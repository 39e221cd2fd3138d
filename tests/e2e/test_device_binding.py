"""Device bound sessions in a real Chromium: its own keys (in software), its own refreshes, over TLS that it trusts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from sessile.testing.shows import shows_security
from sessile.web.binding import REFRESH_PATH, REGISTRATION_PATH
from tests.e2e.bound_site import BoundSite, bound_site
from tests.e2e.conftest import ARGUMENTS
from tests.e2e.recording import Recording, recordings
from tests.e2e.served import free_port

BOUND = "__Host-sessile-bound"
FEATURES = "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting"
TTL_S, GRACE_S = 600, 30


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoundSite]:
    with bound_site(tmp_path_factory.mktemp("bound"), free_port(), dbsc_missing_at={"/fresh": "step_up"}) as made:
        yield made


@pytest.fixture
def profile(
    request: pytest.FixtureRequest, require: Callable[[str], str], site: BoundSite, tmp_path: Path
) -> Iterator[BrowserContext]:
    """A browser profile for each test: a browser signs six times in a while and no more. Nothing of this works in a private window, over plain http or with a certificate that is only tolerated."""
    arguments = [
        *ARGUMENTS,
        f"--enable-features={FEATURES}",
        f"--ignore-certificate-errors-spki-list={site.spki}",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
    ]
    recording = Recording(tmp_path, request.node.name)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=require("chromium"), args=arguments
        )
        recording.follow(context)
        recording.follow_answers(context)
        yield context
        recording.look_before_the_end(context)
        context.close()
        recordings.add(recording)


@pytest.fixture
def page(profile: BrowserContext, site: BoundSite) -> Iterator[Page]:
    """Bound: logged in, registered, refreshed once."""
    site.clock.ahead = timedelta(0)
    page = profile.new_page()
    page.goto(site.origin + "/static/begin")
    site.asked()
    page.evaluate("fetch('/login', {method: 'POST'})")
    _until(lambda: _cookie(profile) is not None, page)
    _until(lambda: _fetched(page, "/who")["bound"] is True, page)
    paths = site.asked()
    assert paths[:2] == ["/login", REGISTRATION_PATH]
    assert paths.count(REFRESH_PATH) == 1
    yield page
    page.close()


@shows_security("D-1", "D-15", "D-17.1", "D-17.13")
def test_a_cold_page_costs_one_refresh_and_files_cost_none(
    page: Page, profile: BrowserContext, site: BoundSite
) -> None:
    """D-1, D-15"""
    profile.clear_cookies(name=BOUND)
    page.goto(site.origin + "/static/a")
    assert site.asked() == [], "files are out of its scope"
    page.goto(site.origin + "/")
    assert page.inner_text("p") == "ada"
    assert sorted(site.asked()) == ["/", REFRESH_PATH, "/pixel", "/pixel", "/pixel"]


@shows_security("D-17.12")
def test_whoever_follows_a_link_on_another_site_is_still_logged_in(
    page: Page, profile: BrowserContext, site: BoundSite
) -> None:
    profile.clear_cookies(name=BOUND)
    page.goto(site.other_origin + "/static/a")
    with page.expect_navigation():
        page.evaluate(f"location.href = '{site.origin}/'")
    assert page.inner_text("p") == "ada"
    (refresh,) = [entry for entry in site.seen if entry["path"] == REFRESH_PATH]
    assert "cookie" not in refresh["headers"], "the session cookie is not there, and is not needed"


@shows_security("D-10")
def test_a_socket_waits_for_its_refresh(page: Page, profile: BrowserContext, site: BoundSite) -> None:
    """D-10"""
    profile.clear_cookies(name=BOUND)
    site.asked()
    told = page.evaluate(
        "new Promise((done, failed) => { const s = new WebSocket('wss://' + location.host + '/socket');"
        " s.onmessage = message => done(message.data); s.onerror = () => failed('refused') })"
    )
    assert told == "ada True"
    assert site.asked() == [REFRESH_PATH, "/socket"]


@shows_security("D-6", "D-12")
def test_trouble_of_the_server_costs_no_binding(page: Page, profile: BrowserContext, site: BoundSite) -> None:
    """D-6, D-12"""
    profile.clear_cookies(name=BOUND)
    site.is_troubled = True
    try:
        assert _fetched(page, "/who") == {"user": None, "bound": False, "reason": "unbound"}
        assert "server_error" in site.seen[-1]["headers"]["secure-session-skipped"]
    finally:
        site.is_troubled = False
    assert _fetched(page, "/who") == {"user": "ada", "bound": True, "reason": None}


@shows_security("D-7", "D-8")
def test_a_copy_of_all_cookies_is_good_for_the_life_of_the_bound_one(
    page: Page, profile: BrowserContext, site: BoundSite
) -> None:
    """D-7, D-8: what is measured here stands in docs/how-to/device-binding.md."""
    jar = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in profile.cookies(site.origin))
    headers = {"Host": f"app.test:{site.port}", "Cookie": jar}
    with httpx.Client(base_url=f"https://127.0.0.1:{site.port}", verify=False, headers=headers) as thief:
        window_s = 0
        while thief.get("/who").json()["user"] == "ada":
            window_s += 30
            site.clock.ahead = timedelta(seconds=window_s)
        assert TTL_S < window_s <= TTL_S + 2 * GRACE_S
        assert thief.get("/who").json()["reason"] == "unbound"
        assert thief.get("/fresh").status_code == 403, "known there, and not fresh"
    profile.clear_cookies(name=BOUND)
    assert _fetched(page, "/who")["user"] == "ada", "the browser with the key goes on"


@shows_security("D-4", "D-10", "D-17.9", "D-17.14")
def test_a_log_out_ends_the_binding(page: Page, profile: BrowserContext, site: BoundSite) -> None:
    """D-4, D-10"""
    jar = profile.cookies(site.origin)
    page.evaluate("fetch('/logout', {method: 'POST'})")
    profile.clear_cookies(name=BOUND)
    profile.add_cookies([cookie for cookie in jar if cookie["name"] != BOUND])  # type: ignore[misc]
    site.asked()
    assert _fetched(page, "/who")["reason"] == "ended:logout"
    _fetched(page, "/who")
    assert site.asked().count(REFRESH_PATH) <= 1, "told once that it is over, the browser does not ask again"
    assert _cookie(profile) is None


def _cookie(profile: BrowserContext) -> str | None:
    return next((cookie["value"] for cookie in profile.cookies() if cookie["name"] == BOUND), None)


def _fetched(page: Page, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(f"fetch('{path}').then(answer => answer.json())")
    return answer


def _until(holds: Callable[[], bool], page: Page) -> None:
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(200)
    raise AssertionError("it did not come about")
