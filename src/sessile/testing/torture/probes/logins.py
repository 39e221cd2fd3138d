"""Logging in and out while other requests are under way."""

from __future__ import annotations

from typing import Final

from sessile.testing.torture.browser import Answer, Browser
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage
from sessile.testing.torture.verdicts import Outcome, Verdict, fail, not_applicable, ok

_NO_ROTATION: Final = "it has no way to give a session a new id"
_LATE: Final = {"key": "late", "value": "1"}


def fixation(stage: Stage) -> Verdict:
    """S1. The login is the library's own, without an extra call for a new id."""
    attacker = stage.visitor()
    victim = attacker.copy()
    stage.must(victim.ask("/login", user=stage.name()), "a login")
    if stage.is_live(attacker):
        return fail("the id from before the login is the way into the login")
    return ok("the id from before the login is worth nothing after it")


def read_after_logout(stage: Stage) -> Verdict:
    """P5."""
    browser = stage.user()
    before = browser.copy()
    with stage.held(browser, "/slow-read"):
        stage.must(browser.ask("/logout"), "a logout")
    return _stays_out(stage, before, browser, "a slow read")


def write_after_logout(stage: Stage) -> Verdict:
    """P5b."""
    browser = stage.user()
    before = browser.copy()
    with stage.held(browser, "/slow-write", **_LATE) as held:
        stage.must(browser.ask("/logout"), "a logout")
    verdict = _stays_out(stage, before, browser, "a slow write")
    return (
        ok(f"{verdict.observed}; the write was answered with {held.result.status}")
        if verdict.outcome is Outcome.OK
        else verdict
    )


def login_in_flight(stage: Stage) -> Verdict:
    """P6. Tab B reads and writes while tab A logs in."""
    if not stage.can("rotate"):
        return not_applicable(_NO_ROTATION)
    answered = {}
    for path in ("/slow-read", "/slow-write"):
        browser = stage.visitor()
        with stage.held(browser, path, **_LATE) as held:
            stage.must(browser.ask("/login", user=stage.name(), rotate="1"), "a login")
        if held.result.is_failure:
            return fail(f"{path} in the other tab was answered with {held.result.status}")
        if not stage.is_live(browser):
            return fail(f"the late answer to {path} ({held.result.status}) took the login's cookie away")
        is_kept = path == "/slow-read" or "late" in browser.ask("/read").data
        answered[path] = f"{held.result.status}{'' if is_kept else ' and is not kept'}"
    return ok(
        f"the login stays; the other tab's read was answered with {answered['/slow-read']}, its write with {answered['/slow-write']}"
    )


def old_cookie_after_login(stage: Stage) -> Verdict:
    """P6b. Tab B's request left the browser before tab A's login was answered, and arrives after it."""
    if not stage.can("rotate"):
        return not_applicable(_NO_ROTATION)
    answers: list[Answer] = []
    for path in ("/read", "/write"):
        browser = stage.visitor()
        old = browser.cookies
        stage.must(browser.ask("/login", user=stage.name(), rotate="1"), "a login")
        answers.append(browser.ask(path, cookie_header=old, key="late", value="1"))
        if answers[-1].user is not None:
            return fail(f"{path} with the id from before the login is in the login")
        if not stage.is_live(browser):
            what = "removed" if any(cookie.value is None for cookie in answers[-1].cookies) else "replaced"
            return fail(f"the answer to {path} with the old cookie {what} the login's cookie")
    return ok(
        f"the login stays; with the old cookie a read was answered with {answers[0].status}, a write with {answers[1].status}"
    )


def write_over_rotation(stage: Stage) -> Verdict:
    """P6c. A new id for the same user, while the other tab's form is on its way."""
    if not stage.can("rotate"):
        return not_applicable(_NO_ROTATION)
    browser = stage.user()
    with stage.held(browser, "/slow-write", **_LATE) as held:
        stage.must(browser.ask("/rotate"), "a rotation")
    if held.result.is_refused:
        return fail(f"the write that was under way was answered with {held.result.status}")
    if not stage.is_live(browser):
        return fail("the answer to the write that was under way logged the user out")
    if "late" not in browser.ask("/read").data:
        return fail("the write was answered with 200 and is lost")
    return ok("the write is kept, and the user stays logged in")


def _stays_out(stage: Stage, before: Browser, after: Browser, what: str) -> Verdict:
    if stage.is_live(before):
        return fail(f"{what} that ended after the logout brought the session back: its old cookie is logged in")
    if stage.is_live(after):
        return fail(f"the answer to {what} gave the browser a cookie that is logged in")
    return ok("logged out stays logged out")


PROBES: Final = (
    Probe(
        "S1",
        "A login gives a new id by itself: an id planted before it is worth nothing after it",
        "ASVS 5.0 7.2.4",
        fixation,
    ),
    Probe(
        "P5",
        "A slow read that ends after the logout does not bring the session back",
        "CVE-2025-46336, starsessions#58",
        read_after_logout,
    ),
    Probe("P5b", "Nor does a slow write", "CVE-2013-10075, connect-redis#328", write_after_logout),
    Probe(
        "P6",
        "A login in one tab survives the requests that the other tab has under way",
        "supabase/auth-js#213",
        login_in_flight,
    ),
    Probe("P6b", "And those that arrive with the old cookie after it", "directus#22360", old_cookie_after_login),
    Probe(
        "P6c",
        "A write that is under way while the same user gets a new id is kept",
        "PHP manual, session_regenerate_id",
        write_over_rotation,
    ),
)
