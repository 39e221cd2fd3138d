"""What is typed on one device, shown on another: two devices of one person in Chromium, direct and through a proxy with 100 ms latency.

From the key's event in one page to the moment in which the field of the other page has the text, on one clock. That includes the client's own wait for the next key, its
outbox on the disk, the server's commit, and the other page's work.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.telling import Tell
from sessile.testing.fault_proxy import FaultProxy
from tests.conftest import find_binary
from tests.e2e.conftest import ARGUMENTS
from tests.e2e.served import Served, form_site_at

TITLE: Final = "Typed on one device, shown on the other"
KEYS: Final = 300
PAUSE_MS: Final = 150
LATENCY_S: Final = 0.1
_NOW: Final = "performance.timeOrigin + performance.now()"
_TYPED: Final = f"""() => {{
  window.typed = {{}};
  const field = document.querySelector("[name=why]");
  field.addEventListener("input", () => (typed[field.value] ??= {_NOW}), true);
}}"""
_SHOWN: Final = f"""() => {{
  window.shown = {{}};
  const field = document.querySelector("[name=why]");
  sessile.client.documents[0].subscribe(() => queueMicrotask(() => (shown[field.value] ??= {_NOW})));
}}"""
_SAVED: Final = "() => window.sessile?.client.documents[0]?.syncStatus === 'synchronized'"


@contextmanager
def devices(browser: Browser, origin: str) -> Iterator[tuple[Page, Page]]:
    """Two devices of one person with the same form open."""
    contexts = [browser.new_context(base_url=origin) for _ in range(2)]
    pages = []
    for context in contexts:
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_label("Name").fill("ada")
        page.get_by_role("button").click()
        page.wait_for_function(_SAVED)
        pages.append(page)
    yield pages[0], pages[1]
    for context in contexts:
        context.close()


def typed(browser: Browser, origin: str) -> list[float]:
    """Milliseconds from a key to its being shown. A key whose text was overtaken by the next one's is not counted: both came at once."""
    with devices(browser, origin) as (writer, reader):
        writer.evaluate(_TYPED)
        reader.evaluate(_SHOWN)
        field = writer.get_by_label("Why")
        field.fill("")
        field.focus()
        for number in range(KEYS):
            writer.keyboard.press("abcdefghij"[number % 10])
            writer.wait_for_timeout(PAUSE_MS)
        writer.wait_for_function(_SAVED)
        writer.wait_for_timeout(2000)
        begun: dict[str, float] = writer.evaluate("() => typed")
        seen: dict[str, float] = reader.evaluate("() => shown")
    return [seen[text] - at for text, at in begun.items() if text and text in seen]


def row(variant: str, found: list[float]) -> dict[str, Any]:
    ordered = sorted(found)
    return {
        "variant": variant,
        "keys": KEYS,
        "shown_by_themselves": len(ordered),
        "p50_ms": round(statistics.median(ordered)),
        "p99_ms": round(ordered[int(0.99 * (len(ordered) - 1))]),
        "longest_ms": round(ordered[-1]),
    }


def measure(folder: Path, tell: Tell) -> list[dict[str, Any]]:
    """Raises AssertionError when there is no Chromium."""
    chromium = find_binary("chromium")
    assert chromium is not None, "no Chromium"
    with form_site_at(folder) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        rows = [row("direct", typed(browser, site.origin))]
        tell(f"through a proxy, {LATENCY_S:.1f} s for a request and its answer")
        with FaultProxy("127.0.0.1", _port(site)) as proxy:
            proxy.faults.latency(LATENCY_S)
            rows.append(row("proxy, 100 ms", typed(browser, f"http://127.0.0.1:{proxy.port}")))
        browser.close()
    return rows


def _port(site: Served) -> int:
    return int(site.origin.rpartition(":")[2])
