"""What requests change, at the same time and below the top level."""

from __future__ import annotations

from typing import Final

from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage
from sessile.testing.torture.verdicts import Verdict, fail, ok


def parallel_keys(stage: Stage) -> Verdict:
    """P4."""
    browser = stage.user()
    with stage.held(browser, "/slow-write", key="a", value="1") as held:
        stage.must(browser.ask("/write", key="b", value="1"), "a write")
    stage.must(held.result, "the slower write")
    return _both({"a", "b"}, set(stage.must(browser.ask("/read"), "a read").data))


def parallel_below(stage: Stage) -> Verdict:
    """P4b."""
    browser = stage.user()
    with stage.held(browser, "/slow-nested", sku="a") as held:
        stage.must(browser.ask("/nested", sku="b"), "a write")
    stage.must(held.result, "the slower write")
    found = stage.must(browser.ask("/read"), "a read").data.get("basket")
    return _both({"a", "b"}, set(found) if isinstance(found, dict) else set())


def nested(stage: Stage) -> Verdict:
    """S7."""
    browser = stage.user()
    for sku in ("a", "b"):
        stage.must(browser.ask("/nested", sku=sku), "a write")
    found = stage.must(browser.ask("/read"), "a read").data.get("basket")
    kept = sorted(found) if isinstance(found, dict) else []
    if kept != ["a", "b"]:
        return fail(
            "a change inside a dict that was loaded with the session is lost, unless the handler says that it changed something"
        )
    return ok("kept without a word from the handler")


def _both(wanted: set[str], found: set[str]) -> Verdict:
    lost = wanted - found
    if lost:
        return fail(
            f"both were answered with 200, and {len(lost)} of 2 is lost: the {'earlier' if 'b' in lost else 'later'} one"
        )
    return ok("both are kept")


PROBES: Final = (
    Probe(
        "P4",
        "Two requests that write different keys at the same time are both kept",
        "flask-session#71, laravel#18187",
        parallel_keys,
    ),
    Probe("P4b", "So are two that change the same dict in different places", "laravel#30996", parallel_below),
    Probe("S7", "A change below the top level is kept", "django `session.modified`", nested),
)
