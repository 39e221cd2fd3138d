"""The quickstart's promise: one script and `data-sessile` on a form, under a policy of `default-src 'self'` and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.served import Served, form_site_at
from tests.e2e.tabs import Device, Tab

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with form_site_at(tmp_path_factory.mktemp("form")) as server:
        yield server


def sign_in(device: Device, person: str) -> Tab:
    tab = device.open_page("/sign-in")
    tab.page.get_by_label("Name").fill(person)
    tab.page.get_by_role("button").click()
    saved(tab.page)
    return tab


def saved(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("Saved")


def fill(page: Page) -> None:
    page.get_by_label("Why").press_sequentially("A pipe burst")
    page.get_by_label("Details").fill("first line\nsecond line")
    page.get_by_label("How many").fill("3")
    page.get_by_label("Urgent").check()
    page.get_by_label("Phone").check()
    page.get_by_label("Evening").check()
    page.get_by_label("Size").select_option("Large")
    page.get_by_label("Secret").fill("not to be kept")


def expect_filled(page: Page) -> None:
    expect(page.get_by_label("Why")).to_have_value("A pipe burst")
    expect(page.get_by_label("Details")).to_have_value("first line\nsecond line")
    expect(page.get_by_label("How many")).to_have_value("3")
    expect(page.get_by_label("Urgent")).to_be_checked()
    expect(page.get_by_label("Mail")).not_to_be_checked()
    expect(page.get_by_label("Phone")).to_be_checked()
    expect(page.get_by_label("Evening")).to_be_checked()
    expect(page.get_by_label("Size")).to_have_value("l")


def test_values_are_there_after_a_reload_and_in_another_tab(
    site: Served, new_device: Callable[..., Device], person: str
) -> None:
    device = new_device(site.origin)
    tab = sign_in(device, person)
    other = device.open_page("/intake")
    fill(tab.page)
    saved(tab.page)
    expect_filled(other.page)
    expect(other.page.get_by_label("Secret")).to_have_value("")
    tab.page.reload()
    expect_filled(tab.page)
    expect(tab.page.get_by_label("Secret")).to_have_value("")


def test_the_page_asks_before_it_is_left_in_mid_word(
    site: Served, new_device: Callable[..., Device], person: str
) -> None:
    tab = sign_in(new_device(site.origin), person)
    tab.page.get_by_label("Why").press_sequentially("half a wor")
    assert tab.stays_when_asked()
    saved(tab.page)
    tab.page.reload()
    expect(tab.page.get_by_label("Why")).to_have_value("half a wor")


def test_what_another_tab_writes_does_not_appear_under_the_fingers(
    site: Served, new_device: Callable[..., Device], person: str
) -> None:
    device = new_device(site.origin)
    tab = sign_in(device, person)
    other = device.open_page("/intake")
    saved(other.page)
    tab.page.get_by_label("Why").press_sequentially("mine")
    other.page.get_by_label("Details").fill("from the other tab")
    expect(tab.page.get_by_label("Details")).to_have_value("from the other tab")
    expect(tab.page.get_by_label("Why")).to_have_value("mine")
    expect(other.page.get_by_label("Why")).to_have_value("mine")
    expect(tab.page.get_by_label("Why")).to_be_focused()


def test_without_a_session_the_page_says_to_sign_in(site: Served, new_device: Callable[..., Device]) -> None:
    tab = new_device(site.origin).open_page("/intake")
    expect(tab.page.get_by_role("status")).to_have_text("Sign in to continue")


_CORE = """async () => {
  const { connect } = await import("/api/v0/client/core.js");
  window.client = connect();
  window.doc = await client.document("intake");
  const { verdict } = await doc.set("/why", "from the core").durable;
  return [verdict, client.status, client.getSnapshot().pendingCount];
}"""


def test_the_core_in_one_tab_and_the_whole_client_in_another(
    site: Served, new_device: Callable[..., Device], person: str
) -> None:
    """Under the same policy, from the same server, on the same outbox: each has a socket."""
    device = new_device(site.origin)
    tab = sign_in(device, person)
    core = device.open_page("/sign-in").page  # no script of ours is on it
    assert core.evaluate(_CORE) == ["applied", "connected", 0]
    expect(tab.page.get_by_label("Why")).to_have_value("from the core")
    tab.page.get_by_label("Details").fill("from the whole client")
    core.wait_for_function("() => doc.confirmed.details === 'from the whole client'")
