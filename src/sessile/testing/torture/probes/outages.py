"""Redis goes away, or the database, or a row."""

from __future__ import annotations

import time
from typing import Final

from sessile.testing.torture.browser import Answer
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage, counted
from sessile.testing.torture.verdicts import Outcome, Verdict, fail, not_applicable, ok

_BOUND_S: Final = 3.0
"""How long the end of a session may take that was made behind the library's back."""
_SETTLES_S: Final = 2.5
_READS_OUT: Final = 10
_PAUSE_S: Final = 0.1


def ignoring(stage: Stage) -> Verdict:
    """P7."""
    browser = stage.warm(stage.user())
    with stage.without_cache():
        answer = browser.ask("/ignore")
    stage.recover(browser)
    if answer.is_refused:
        return fail(f"a request that does not touch the session was answered with {answer.status}")
    return fail("it set a cookie") if answer.cookies else ok(f"answered with {answer.status}, no cookie")


def reading(stage: Stage) -> Verdict:
    """P7b."""
    browser = stage.warm(stage.user())
    with stage.without_cache():
        answer = browser.ask("/read")
    stage.recover(browser)
    verdict = _told(answer)
    if verdict.outcome is not Outcome.OK or answer.user is not None:
        return verdict
    if stage.engine.is_durable:
        return fail(f"answered with {answer.status}, though the session is in SQL")
    return not_applicable(f"it has no durable copy; answered with {answer.status}")


def afterwards(stage: Stage) -> Verdict:
    """P7c."""
    browser = stage.warm(stage.user())
    with stage.without_cache():
        statuses = [browser.ask("/read").status, browser.ask("/write", key="k", value="v").status]
    stage.recover(browser)
    if not stage.is_live(browser):
        return fail(
            f"the user is logged out after it (a read and a write in it were answered with {statuses[0]} and {statuses[1]})"
        )
    return ok(
        f"the user is still logged in (a read and a write in it were answered with {statuses[0]} and {statuses[1]})"
    )


def without_sql(stage: Stage) -> Verdict:
    """P7d."""
    browser = stage.warm(stage.user())
    with stage.without_sql():
        answer = browser.ask("/read")
    failed = stage.recover(browser)
    verdict = _told(answer)
    if not stage.is_live(browser):
        return fail("the user is logged out after it")
    after = f"; {counted(failed, 'request')} still failed when it was back" if failed else ""
    return Verdict(verdict.outcome, verdict.observed + after)


def logout_in_outage(stage: Stage) -> Verdict:
    """P8."""
    if not stage.engine.is_durable:
        return not_applicable("it keeps sessions in Redis only: while that is away there is nothing to end")
    browser, witness = stage.warm(stage.user()), stage.user()
    before = browser.copy()
    with stage.without_cache():
        answer = browser.ask("/logout")
    stage.recover(witness)
    if stage.is_live(before):
        return fail(
            f"the logout was answered with {answer.status}, and when Redis is back the session is logged in again"
        )
    if answer.is_refused:
        return fail(f"the logout was answered with {answer.status}, though the session is gone")
    return ok(f"the logout was answered with {answer.status}, and it holds when Redis is back")


def row_deleted(stage: Stage) -> Verdict:
    """P9."""
    if stage.sql is None or not stage.engine.is_durable:
        return not_applicable("it keeps no sessions in SQL")
    browser = stage.warm(stage.user())
    # What a login leaves to be written later would meet the missing row, and that is luck.
    time.sleep(_SETTLES_S)
    stage.warm(browser)
    stage.sql.delete_rows()
    deadline = time.monotonic() + _BOUND_S
    out = 0
    # Out for good: a cache may be asked by one read and not by the next.
    while out < _READS_OUT:
        out = 0 if stage.is_live(browser) else out + 1
        if time.monotonic() > deadline and out < _READS_OUT:
            return fail(f"{_BOUND_S:.0f} s after its row was deleted the session is still logged in")
        time.sleep(_PAUSE_S)
    return ok(f"out within {_BOUND_S:.0f} s of the deletion of its row")


def _told(answer: Answer) -> Verdict:
    """Whether an outage was told for what it is: served all the same, or refused, but never taken for a logout."""
    if answer.user is not None:
        return ok("still logged in")
    if not answer.is_refused:
        return fail(f"answered with {answer.status} as if nobody were logged in")
    if any(cookie.value is None for cookie in answer.cookies):
        return fail(f"answered with {answer.status}, and the cookie was removed")
    return ok(f"refused with {answer.status}")


PROBES: Final = (
    Probe(
        "P7",
        "Redis is down: a request that does not touch the session is answered",
        "connect-redis#159, spring-session#1102",
        ignoring,
    ),
    Probe(
        "P7b",
        "Redis is down: a read is answered from the durable copy; nobody is taken for anonymous",
        "flask-session#45, redisson#3366",
        reading,
    ),
    Probe("P7c", "After an outage of Redis everybody is still logged in", "", afterwards),
    Probe("P7d", "The database is down: nobody is taken for anonymous", "", without_sql),
    Probe("P8", "A logout while Redis is down holds when it is back", "better-auth#11073", logout_in_outage),
    Probe("P9", "A session whose row is deleted in SQL is out", "better-auth#6893", row_deleted),
)
