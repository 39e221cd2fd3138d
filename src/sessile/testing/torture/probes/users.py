"""A user's sessions as a list, and ending them."""

from __future__ import annotations

from typing import Final

from sessile.testing.torture.browser import FIREFOX, SAFARI
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage
from sessile.testing.torture.verdicts import Verdict, fail, not_applicable, ok

_NO_LIST: Final = "it cannot list a user's sessions"


def listed(stage: Stage) -> Verdict:
    """U1."""
    if not stage.can("list"):
        return not_applicable(_NO_LIST)
    name = stage.name()
    browsers = [stage.user(name), stage.user(name)]
    answer = stage.must(browsers[0].ask("/sessions"), "the list")
    count = len(answer.body.get("sessions", ()))
    if count != len(browsers):
        return fail(f"{count} sessions are listed instead of {len(browsers)}")
    if any(value in answer.text for browser in browsers for value in browser.jar.values()):
        return fail(
            "the list has the value of another browser's cookie in it: a page that shows it gives the login away"
        )
    return ok("both are listed, by something that is no credential")


def devices(stage: Stage) -> Verdict:
    """P10."""
    if not stage.can("list"):
        return not_applicable(_NO_LIST)
    name = stage.name()
    browser = stage.user(name, FIREFOX)
    stage.user(name, SAFARI)
    text = stage.must(browser.ask("/sessions"), "the list").text
    unnamed = [agent for agent in ("Firefox", "Safari") if agent not in text]
    if unnamed:
        return fail(f"the list does not say which session is on {' or '.join(unnamed)}")
    return ok("both browsers are named")


def others_ended(stage: Stage) -> Verdict:
    """U2."""
    if not stage.can("end_others"):
        return not_applicable("it cannot end a user's other sessions")
    name = stage.name()
    mine, other = stage.user(name), stage.warm(stage.user(name))
    stage.must(mine.ask("/end-others"), "ending the others")
    if stage.is_live(other):
        return fail("the other session is still logged in with its next request")
    if not stage.is_live(mine):
        return fail("its own session ended, too")
    return ok("the other session is out with its next request")


PROBES: Final = (
    Probe(
        "U1",
        "A user's sessions can be listed, without showing credentials",
        "flask-session#222, better-auth#11022",
        listed,
    ),
    Probe("P10", "The list tells which device each is on", "django-qsessions", devices),
    Probe(
        "U2",
        "A user's other sessions can be ended, and are out with their next request",
        "expressjs/session#504",
        others_ended,
    ),
)
