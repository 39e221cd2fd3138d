"""What a session costs where it is not needed."""

from __future__ import annotations

from typing import Final

from sessile.testing.torture.browser import Browser
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage, counted
from sessile.testing.torture.verdicts import Verdict, fail, ok


def anonymous_ignored(stage: Stage) -> Verdict:
    """P1."""
    before = stage.kept()
    browser = stage.browser()
    effort = stage.effort(browser, "/ignore")
    made = stage.kept() - before
    if made or effort.writes or effort.answer.cookies:
        return fail(f"{counted(made, 'session')} made; {effort.shown}")
    return ok(f"nothing kept; {effort.shown}")


def user_ignored(stage: Stage) -> Verdict:
    """P2."""
    return _quiet(stage, stage.warm(stage.user()), "/ignore")


def read_only(stage: Stage) -> Verdict:
    """P2b. The first read may count as activity and be written down; the ones right after it need not be."""
    return _quiet(stage, stage.warm(stage.user()), "/read")


def _quiet(stage: Stage, browser: Browser, path: str) -> Verdict:
    effort = stage.effort(browser, path)
    return (fail if effort.writes or effort.answer.cookies else ok)(effort.shown)


PROBES: Final = (
    Probe(
        "P1",
        "An anonymous request that ignores the session keeps nothing and sets no cookie",
        "litestar#5085, flask-session#8",
        anonymous_ignored,
    ),
    Probe(
        "P2",
        "A logged-in request that ignores the session writes nothing and sets no cookie",
        "expressjs/session#891, flask-session#70",
        user_ignored,
    ),
    Probe(
        "P2b", "A request that only reads the session writes nothing and sets no cookie", "starlette#2019", read_only
    ),
)
