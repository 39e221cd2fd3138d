"""The operator console as an operator sees it: a browser that is signed in with a token, and its pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

from sessile.model.operator_access import Role
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from tests.e2e.served import Served, demo_at

ALERT = "sweep_late"
_NETWORK = ("Failed to load resource",)
"""What Chromium says on its console when the network fails, which a test does on purpose."""


def token_for(database_url: str, role: Role, name: str = "ada") -> str:
    """As `sessile operators token` makes one on the server."""
    with SessionManager(Settings(database_url=database_url)) as manager:
        return manager.operator_access.issue_token(name, role, lifetime_s=900, made_by="root").token


@contextmanager
def demo_with_console(folder: Path) -> Iterator[Served]:
    """With an alert that is always on: no sweep at this very moment."""
    rules = json.dumps({ALERT: {"threshold": 0}})
    with demo_at(folder, SESSILE_CONSOLE="1", SESSILE_ALERT_RULES=rules, SESSILE_HEALTH_INTERVAL_S="1") as server:
        yield server


class Console:
    """One page of the console. What a script throws, and what breaks the page's policy, is in `problems`."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.problems: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("console", self._said)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_NETWORK):
            self.problems.append(f"console: {message.text}")

    def sign_in(self, token: str, path: str = "") -> None:
        self.page.goto(f"{self.origin}/console/{path}")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.get("pause").or_(self.page.get_by_role("heading", level=1)).first).to_be_visible()

    def open(self, path: str) -> None:
        self.page.goto(f"{self.origin}/console/{path}")
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()

    def go(self, name: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(name)

    def get(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    @property
    def rows(self) -> Locator:
        return self.page.locator("tbody tr[data-row]")

    def tab_to(self, target: Locator) -> None:
        """As somebody gets there who has no pointer."""
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if target.evaluate("one => one === document.activeElement"):
                return
        raise AssertionError(f"no way to {target} with the keyboard")

    def acts(self, **query: str) -> list[tuple[str, str, str]]:
        """What the audit log has of operators: action, who and why, newest first."""
        answer = self.page.request.get(f"{self.origin}/api/console/audit", params={"type": "operator_acted", **query})
        return [(one["data"]["action"], one["by"], one["reason"]) for one in answer.json()["events"]]

    def confirm(self, reason: str, **typed: Any) -> None:
        """The dialog wants a reason, and does nothing without."""
        go = self.get("confirm-go")
        expect(go).to_be_disabled()
        self.get("confirm-reason").fill(reason)
        for count in typed.values():
            expect(go).to_be_disabled()
            self.get("confirm-typed").fill(str(count))
        go.click()
        expect(self.get("confirm")).to_be_hidden()

    def expect_told(self, text: str | re.Pattern[str]) -> None:
        expect(self.get("toasts")).to_contain_text(text)
