"""axe-core, the rules for accessible pages that a program can check, on a page that a test has opened."""

from __future__ import annotations

from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.architecture.tree import ROOT

_AXE = ROOT / "clients" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async (rules) => {
  const only = rules === null ? {} : { runOnly: { type: "rule", values: rules } };
  const { violations, passes } = await axe.run(document, { resultTypes: ["violations"], preload: false, ...only });
  return { checked: violations.length + passes.length, faults: violations.flatMap(({ id, help, nodes }) => nodes.map((node) => {
    return `${id} (${help}) at ${node.target.join(" ")}: ${node.failureSummary.replaceAll("\\n", " ")}`; })) };
}"""
COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that a colour scheme decides."""


@cache
def _source() -> str:
    assert _AXE.is_file(), "axe-core is missing: `npm ci` in clients/browser"
    return _AXE.read_text(encoding="utf-8")


def violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """What is wrong with the page as it stands now: rule, element and reason. DevTools brings the program in, which the page's policy does
    not concern: it stays as strict as it is served."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_source())
    found: dict[str, Any] = page.evaluate(_RUN, rules)
    assert found["checked"] > 0, "no rule had anything to check"
    faults: list[str] = found["faults"]
    return faults
