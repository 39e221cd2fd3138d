"""What the browser and the caches between are told, and which cookies are believed."""

from __future__ import annotations

import string
from typing import Final

from sessile.testing.torture.browser import SetCookie
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage, comes, counted
from sessile.testing.torture.verdicts import Verdict, fail, ok

_GUESSES: Final = 20
_FORGOTTEN_WITHIN_S: Final = 8.0
_ALPHABETS: Final = ("0123456789", string.ascii_lowercase, string.ascii_uppercase)
_CHANGED: Final = 12
"""Characters of a session's id that are changed to make one that nobody was given: the end of it, so that it keeps its form."""


def guesses_leave_nothing(stage: Stage) -> Verdict:
    """P3b. Notes of what is unknown may be kept for some seconds."""
    given = stage.warm(stage.visitor())
    before = stage.kept()
    for number in range(_GUESSES):
        guess = given.copy()
        for name, value in guess.jar.items():
            guess.jar[name] = value[:-_CHANGED] + "".join(map(_other, value[-_CHANGED:-2])) + f"{number:02}"
        stage.must(guess.ask("/read"), "a read with an id that was made up")
    if not comes(lambda: stage.kept() <= before, _FORGOTTEN_WITHIN_S):
        return fail(
            f"{_GUESSES} requests with ids that were made up left {counted(stage.kept() - before, 'session')} behind"
        )
    return ok(f"{_GUESSES} requests with ids that were made up left nothing behind")


def unknown_id(stage: Stage) -> Verdict:
    """P3."""
    planted = stage.visitor()
    for name, value in planted.jar.items():
        planted.jar[name] = value[:-_CHANGED] + "".join(map(_other, value[-_CHANGED:]))
    attacker = planted.copy()
    answer = planted.ask("/write", key="mine", value="1")
    if "mine" in stage.must(attacker.copy().ask("/read"), "a read").data:
        return fail("an id that the client made up became a session's id: whoever planted it reads the session")
    planted = attacker.copy()
    stage.must(planted.ask("/login", user=stage.name(), rotate="1"), "a login")
    if stage.is_live(attacker):
        return fail("a login under an id that the client made up can be used by whoever planted it")
    return ok(f"a write with it was answered with {answer.status}, and nobody can use it")


def attributes(stage: Stage) -> Verdict:
    """S5."""
    browser = stage.browser()
    answer = stage.must(browser.ask("/login", is_https=True, user=stage.name()), "a login over https")
    cookie = max(answer.cookies, key=lambda one: len(one.value or ""), default=None)
    if cookie is None:
        return fail("a login over https set no cookie")
    missing = _missing(cookie)
    return fail(f"{cookie.shown}: without {' and '.join(missing)}") if missing else ok(cookie.shown)


def shared_caches(stage: Stage) -> Verdict:
    """S6."""
    browser = stage.user()
    told = []
    for path in ("/read", "/write"):
        answer = stage.must(browser.ask(path, key="k", value="v"), path)
        vary, control = answer.header("vary"), answer.header("cache-control")
        varies = {part.strip().lower() for part in vary.split(",")}
        if not ({"cookie", "*"} & varies or "no-store" in control.lower() or "private" in control.lower()):
            return fail(
                "a response that depends on the session has neither `Vary: Cookie` nor `Cache-Control: private`"
            )
        told = [f"{name}: {value}" for name, value in (("Vary", vary), ("Cache-Control", control)) if value]
    return ok("; ".join(told))


def two_cookies(stage: Stage) -> Verdict:
    """S8."""
    attacker, victim = stage.user(), stage.user()
    theirs = attacker.copy().ask("/read").user
    statuses = []
    for where, pair in (("first", (attacker, victim)), ("last", (victim, attacker))):
        answer = victim.copy().ask("/read", cookie_header="; ".join(browser.cookies for browser in pair))
        if answer.user == theirs:
            return fail(f"the victim is in the attacker's session when the planted cookie comes {where}")
        statuses.append(str(answer.status))
    return ok(f"whichever comes first, nobody is in the attacker's session ({' and '.join(statuses)})")


def _other(character: str) -> str:
    """Another one of the same kind."""
    if character in "abcdef":
        return "bcdefa"["abcdef".index(character)]  # what is hexadecimal stays so
    for alphabet in _ALPHABETS:
        if character in alphabet:
            return alphabet[(alphabet.index(character) + 1) % len(alphabet)]
    return character


def _missing(cookie: SetCookie) -> list[str]:
    wanted = [name for name in ("HttpOnly", "Secure") if name.lower() not in cookie.attributes]
    samesite = cookie.attributes.get("samesite", "").lower()
    return wanted if samesite in {"lax", "strict"} else [*wanted, "SameSite"]


PROBES: Final = (
    Probe("P3", "An id that the server never gave is not adopted", "CVE-2018-1000519, CVE-2022-38054", unknown_id),
    Probe(
        "P3b",
        "Requests with ids that were made up leave nothing behind",
        "CVE-2015-5963, CVE-2015-5964",
        guesses_leave_nothing,
    ),
    Probe("S5", "By default, over https, the cookie is HttpOnly, Secure and SameSite", "ASVS 5.0 3.3", attributes),
    Probe(
        "S6",
        "No shared cache may give a response that depends on the session to another person",
        "CVE-2023-30861",
        shared_caches,
    ),
    Probe(
        "S8",
        "A second cookie of the same name, planted by a neighbour domain, puts nobody into another's session",
        "RFC 6265 8.6",
        two_cookies,
    ),
)
