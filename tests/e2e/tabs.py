"""What a person sees and does, in the words of the demo: devices (browser contexts) with tabs (pages)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Error, Locator, Page, WebSocket, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.e2e.recording import Recording, recordings

NAME: Final = "incident-report"
TITLE: Final = "/report/title"
WHAT: Final = "/report/what"
PLACE: Final = "/report/place"
TIMEOUT_MS: Final = 30_000
"""For what happens by itself; nothing here waits so long unless it fails."""
POLLING_MS: Final = 20

_DOC: Final = "const doc = sessile.client.documents.find((one) => one.name === name);"
_IS_SYNCHRONIZED: Final = f"""name => {{ {_DOC}
  return doc !== undefined && doc.syncStatus === "synchronized" && doc.pendingCount === 0 && doc.unstoredCount === 0; }}"""
_STANDING: Final = f"""name => {{ {_DOC}
  return doc === undefined ? [document.title, document.body.innerText.slice(0, 300)]
    : {{ sync: doc.syncStatus, pending: doc.pendingCount, unstored: doc.unstoredCount, client: sessile.client.status }}; }}"""
_VIEW: Final = f"""name => {{ {_DOC}
  return {{ state: doc.state, confirmed: doc.confirmed, version: doc.version, conflicts: doc.conflicts.length }}; }}"""
_NETWORK: Final = ("Failed to load resource", "WebSocket connection to")
"""What Chromium says on the console when the network fails, which is what these tests do to it."""


@dataclass
class Wire:
    """What went over one tab's sockets, as the browser saw it."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    sockets: list[WebSocket] = field(default_factory=list)

    def listen(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        socket.on("framesent", lambda payload: self.sent.append(json.loads(payload)))
        socket.on("framereceived", lambda payload: self.received.append(json.loads(payload)))

    @property
    def acknowledged(self) -> set[int]:
        return {verdict["seq"] for frame in self.received if frame["type"] == "ack" for verdict in frame["verdicts"]}

    @property
    def changes(self) -> dict[int, list[dict[str, Any]]]:
        """Operations by seq, of everything that was sent."""
        return {
            change["seq"]: change["operations"]
            for frame in self.sent
            if frame["type"] == "change"
            for change in frame["changes"]
        }


class Tab:
    def __init__(self, page: Page, device: Device) -> None:
        self.page = page
        self.device = device
        self.wire = Wire()
        self.loads = 0
        """Page loads since the report was there."""
        page.on("websocket", self.wire.listen)
        page.on("domcontentloaded", lambda _: self._loaded())
        page.on("pageerror", lambda error: device.problems.append(f"uncaught: {error}"))
        page.on("console", self._said)
        # The page asks before it is left with unstored work; a test that leaves means it.
        self._answer = "leave"
        self._questions = 0
        page.on("dialog", self._asked)

    def _loaded(self) -> None:
        self.loads += 1

    def _asked(self, dialog: Dialog) -> None:
        self._questions += 1
        (dialog.dismiss if self._answer == "stay" else dialog.accept)()

    def stays_when_asked(self) -> bool:
        """Tries to leave by a link, and stays if the page asks; whether it asked."""
        self._answer, before = "stay", self._questions
        self.page.evaluate("() => { location.href = '/left' }")
        self._answer = "leave"
        return self._questions == before + 1

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_NETWORK):
            self.device.problems.append(f"console: {message.text}")

    # ------------------------------------------------------------------ what is on the page

    def get(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def field(self, path: str) -> Locator:
        return self.get(f"field:{path}")

    @property
    def status(self) -> Locator:
        return self.get("status")

    @property
    def banner(self) -> Locator:
        return self.get("offline-banner")

    @property
    def conflicts(self) -> Locator:
        return self.get("conflict")

    def expect_step(self, number: int) -> None:
        expect(self.get(f"step-{number}")).to_have_attribute("aria-current", "step")
        expect(self.get(f"step-panel-{number}")).to_be_visible()

    def click(self, target: str | Locator) -> None:
        """Clicks what has this test id. In front, as a person would: a page behind gets a frame a second at times, and a click waits
        for two of them."""
        self.page.bring_to_front()
        (self.get(target) if isinstance(target, str) else target).click()

    def go_to_step(self, number: int) -> None:
        self.click(f"step-{number}")
        self.expect_step(number)

    # ------------------------------------------------------------------ what the client knows

    def view(self) -> dict[str, Any]:
        view: dict[str, Any] = self.page.evaluate(_VIEW, NAME)
        return view

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.view()["state"]["report"]
        return report

    def wait_synchronized(self, timeout_ms: float = TIMEOUT_MS) -> None:
        try:
            self.page.wait_for_function(_IS_SYNCHRONIZED, arg=NAME, timeout=timeout_ms, polling=POLLING_MS)
        except PlaywrightTimeout as late:
            raise AssertionError(f"not synchronized: {self.page.evaluate(_STANDING, NAME)}") from late

    def wait_for(self, condition: str, arg: Any = None, timeout_ms: float = TIMEOUT_MS) -> None:
        """Until a JavaScript expression of `doc`, `client` and `arg` is true."""
        body = f"([name, arg]) => {{ {_DOC} const {{ client }} = sessile; return {condition}; }}"
        self.page.wait_for_function(body, arg=[NAME, arg], timeout=timeout_ms, polling=POLLING_MS)

    def wait_text(self, path: str, text: str, timeout_ms: float = TIMEOUT_MS) -> None:
        """Until the document, with what is pending, has this text, and the person sees it."""
        keys = path.strip("/").split("/")
        self.wait_for("arg[0].reduce((value, key) => value?.[key], doc.state) === arg[1]", [keys, text], timeout_ms)
        expect(self.field(path)).to_have_value(text, timeout=timeout_ms)

    def wait_kept(self) -> None:
        """Until something is stored in this browser that the server has not answered."""
        self.wait_for("doc.pendingCount > 0 && doc.unstoredCount === 0")

    # ------------------------------------------------------------------ what the server says

    def log(self) -> list[dict[str, Any]]:
        """Every change in the document's log, read over HTTP with this device's cookie."""
        request = self.device.context.request
        address = f"{self.device.origin}/api/v0/documents/{self.document_id}"
        epoch = request.get(address).json()["epoch"]
        answer = request.get(f"{address}/changes?since={epoch}.0")
        assert answer.status == 200, answer.text()
        body = answer.json()
        assert body["type"] == "state_update", "the log is too long to be read in one go"
        changes: list[dict[str, Any]] = body["changes"]
        return changes

    @property
    def document_id(self) -> str:
        document_id: str = self.page.evaluate(f"name => {{ {_DOC} return doc.id; }}", NAME)
        return document_id

    @property
    def device_no(self) -> int:
        device_no: int = self.page.evaluate(f"name => {{ {_DOC} return doc.deviceNo; }}", NAME)
        return device_no

    @property
    def session_id(self) -> str:
        session_id: str = self.page.evaluate("() => sessile.client.session.session_id")
        return session_id

    def own_log(self) -> list[dict[str, Any]]:
        """What this device has in the log; fails when a change is there twice or one is left out."""
        own = [change for change in self.log() if change["device_no"] == self.device_no]
        assert [change["seq"] for change in own] == list(range(1, len(own) + 1))
        return own

    def close(self) -> None:
        self.page.close()
        self.device.tabs.remove(self)

    def crash(self) -> None:
        """The renderer dies, as it does when memory runs out: no event, no last words."""
        with self.page.expect_event("crash"), suppress(Error):  # the navigation never ends
            self.page.goto("chrome://crash")
        self.device.tabs.remove(self)


class Device:
    """One browser profile: cookies and storage of its own."""

    def __init__(self, context: BrowserContext, origin: str, label: str, recording: Recording | None = None) -> None:
        self.context = context
        self._recording = recording
        self.origin = origin
        self.label = label
        self.tabs: list[Tab] = []
        self.problems: list[str] = []

    def sign_in(self, person: str) -> Tab:
        tab = self.open_page()
        tab.get("sign-in-name").fill(person)
        tab.click("sign-in-button")
        return self._ready(tab)

    def open_tab(self) -> Tab:
        return self._ready(self.open_page())

    def open_page(self, path: str = "/") -> Tab:
        tab = Tab(self.context.new_page(), self)
        self.tabs.append(tab)
        tab.page.goto(self.origin + path)
        return tab

    def _ready(self, tab: Tab) -> Tab:
        expect(tab.get("saved-on-server")).to_be_visible(timeout=TIMEOUT_MS)
        tab.wait_synchronized()
        tab.loads = 0
        return tab

    def close(self) -> None:
        if self._recording is not None:
            self._recording.look_before_the_end(self.context)
        self.context.close()
        if self._recording is not None:
            recordings.add(self._recording)
        self.tabs.clear()


def wait_equal(tabs: Iterable[Tab], timeout_ms: float = TIMEOUT_MS) -> dict[str, Any]:
    """Until every tab is synchronized at one version; that view, which is the same in all of them."""
    tabs = list(tabs)
    for tab in tabs:
        tab.wait_synchronized(timeout_ms)
    version = max(tab.view()["version"] for tab in tabs)
    ends_at = time.monotonic() + timeout_ms / 1000
    while (
        True
    ):  # the application may add what it found, and a page keep what was typed: the versions go on a little, and end
        for tab in tabs:
            tab.wait_for("doc.version >= arg && doc.pendingCount === 0", version, timeout_ms)
        views = [tab.view() for tab in tabs]
        latest = max(view["version"] for view in views)
        if all(view == views[0] and view["state"] == view["confirmed"] for view in views) or time.monotonic() > ends_at:
            break
        version = latest
    for view in views:
        assert view == views[0]
        assert view["state"] == view["confirmed"]
    return views[0]


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin", **options)
    context.set_default_timeout(15_000)
    return context
