"""What lies in the stores: whether it can be used, and what becomes of a request when it is damaged or poisoned."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, Final

from sessile.testing.torture.browser import Browser
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage, counted
from sessile.testing.torture.verdicts import Verdict, fail, not_applicable, ok

_CANDIDATE: Final = re.compile(r"[A-Za-z0-9_\-.=]{16,}")
_PARTS: Final = re.compile(r"[:.]")
_WORD_MIN: Final = 16
_TRIED_MAX: Final = 400
_GARBAGE: Final = b"\xff\xfe{not a record"


def dump_is_useless(stage: Stage) -> Verdict:
    """S2. The cookie's value is looked for in the stores; then what is found there is tried as the cookie: whole words, and parts between dots."""
    victim = stage.warm(stage.user())
    text = "\n".join(side.dump() for side in (stage.cache, stage.sql) if side is not None)
    values = [value for value in victim.jar.values() if len(value) >= _WORD_MIN]
    if any(value in text for value in values):
        return fail("a dump of the stores has the very value of the cookie: whoever reads it is logged in")
    words = {
        word for found in _CANDIDATE.findall(text) for word in (found, *_PARTS.split(found)) if len(word) >= _WORD_MIN
    }
    words |= {part for value in values for part in _PARTS.split(value) if len(part) >= _WORD_MIN and part in text}
    # Those that stand in the victim's own cookie first: they are the likeliest.
    tried = sorted(words, key=lambda word: (not any(word in value for value in values), word))[:_TRIED_MAX]
    for word in tried:
        for name in victim.jar:
            if stage.browser().ask("/read", cookie_header=f"{name}={word}").user is not None:
                return fail("a dump of the stores has something that works as a cookie: whoever reads it is logged in")
    return ok(f"none of {len(tried)} words of a dump works as a cookie")


class _Canary:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._file,)


def pickle_planted(stage: Stage) -> Verdict:
    """S3."""
    if stage.cache is None:
        return not_applicable("it has no Redis")
    browser = stage.warm(stage.user())
    file = stage.application.folder / "unpickled"
    planted = stage.cache.overwrite(pickle.dumps(_Canary(file)))
    answer = browser.ask("/read")
    stage.cache.empty()
    if file.exists():
        file.unlink()
        return fail("a pickle that was put into Redis was executed: whoever can write there runs code here")
    return ok(f"{counted(planted, 'value')} replaced by a pickle, none was executed ({answer.status})")


def damaged_cache(stage: Stage) -> Verdict:
    """S4."""
    if stage.cache is None:
        return not_applicable("it has no Redis")
    browser = stage.warm(stage.user())
    count = stage.cache.overwrite(_GARBAGE)
    verdict = _lived_through(
        stage,
        browser,
        f"{counted(count, 'value')} in Redis damaged",
        is_lost=stage.sql is None or stage.sql.column is None,
    )
    stage.cache.empty()
    return verdict


def damaged_row(stage: Stage) -> Verdict:
    """S4b."""
    if stage.sql is None or stage.sql.column is None:
        return not_applicable("it keeps no sessions in SQL")
    browser = stage.user()
    if stage.cache is not None:
        stage.cache.empty()
    stage.sql.damage(_GARBAGE)
    return _lived_through(stage, browser, "what the row holds damaged", is_lost=True)


def log_is_useless(stage: Stage) -> Verdict:
    """S9. What the application has printed during all that was asked before."""
    log = stage.application.log()
    values = [value for value in stage.given if len(value) >= _WORD_MIN]
    found = sum(value in log for value in values)
    if found:
        return fail(f"{found} of {len(values)} cookies stand in what the application has printed")
    return ok(
        f"none of {len(values)} cookies stands in {counted(len(log.splitlines()), 'line')} that the application has printed"
    )


def _lived_through(stage: Stage, browser: Browser, what: str, *, is_lost: bool) -> Verdict:
    """Whether the browser can log in again, and, where there is another copy, whether a read before that is no failure. What is lost for good may be told
    with an error, or not."""
    answer = browser.ask("/read")
    if answer.is_failure and not is_lost:
        return fail(f"{what}: a read is answered with {answer.status}")
    again = browser.ask("/login", user=stage.name(), rotate="1")
    after = browser.ask("/read")
    if again.is_refused or after.user is None:
        return fail(
            f"{what}: a read is answered with {answer.status}, a new login with {again.status}, a read after it with {after.status}"
        )
    return ok(f"{what}: a read is answered with {answer.status}, and the browser can log in again")


PROBES: Final = (
    Probe("S2", "A dump of all stores contains nothing that works as a cookie", "CVE-2019-16782", dump_is_useless),
    Probe("S3", "A pickle that somebody put into Redis is not executed", "CVE-2021-33026", pickle_planted),
    Probe(
        "S4",
        "A record in Redis that cannot be read is no error where SQL has it, too, and the browser can log in again",
        "spring-session#529",
        damaged_cache,
    ),
    Probe(
        "S4b",
        "It can log in again over one in SQL, too, where a read may say that something is lost",
        "spring-session#90",
        damaged_row,
    ),
    Probe(
        "S9", "After all of that no cookie's value stands in the application's output", "CVE-2023-20866", log_is_useless
    ),
)
