"""The tools of the console in a real browser, under the demo's strict policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.served import Served
from tests.e2e.tabs import Device

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_the_tools_are_loaded_when_they_are_called_and_say_no_secret(
    demo: Served, new_device: Callable[..., Device], person: str
) -> None:
    device = new_device(demo.origin)
    page = device.sign_in(person).page
    loaded: list[str] = []
    page.on("response", lambda response: loaded.append(response.url))
    assert page.evaluate("() => [sessionSync.isInitialized, sessionSync.isOnline, sessionSync.getTabId()]") == [
        True,
        True,
        page.evaluate("() => sessile.client.tabId"),
    ]
    assert page.evaluate("async () => (await sessionSync.syncSessionState()).session_id.length") == 36
    tools = demo.origin + "/api/v0/client/debug.js"
    assert tools not in loaded
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    findings = page.evaluate("() => sessionDebugTools.runAllTests()")
    assert tools in loaded
    assert [one for one in findings if not one["ok"]] == []
    secrets = [cookie["value"] for cookie in device.context.cookies()]
    assert secrets, "there is a cookie that could be told"
    assert not [secret for secret in secrets if secret in "\n".join(said)]
    page.goto(page.url.partition("?")[0] + "?debug")
    page.get_by_role("complementary", name="Connection details").get_by_role("button", name="Close").click()
    assert page.locator("aside[aria-label='Connection details']").count() == 0
