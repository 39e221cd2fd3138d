"""What lies in the stores: whether it can be used, and what becomes of a request when it is damaged or poisoned."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, Final

from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage
from sessile.testing.torture.verdicts import Verdict, fail, not_applicable, ok

_CANDIDATE: Final = re.compile(r"[A-Za-z0-9_\-.=]{16,}")
_PARTS: Final = re.compile(r"[:.]")
_TRIED_MAX: Final = 400
_GARBAGE: Final = b"\xff\xfe{not a record"


def dump_is_useless(stage: Stage) -> Verdict:
    """S2. What is found in the stores is tried as the cookie: whole words, and parts between dots."""
    victim = stage.user()
    stage.must(victim.ask("/read"), "a read")
    text = "\n".join(side.dump() for side in (stage.cache, stage.sql) if side is not None)
    words = {word for found in _CANDIDATE.findall(text) for word in (found, *_PARTS.split(found)) if len(word) >= 16}
    values = [value for value in victim.jar.values() if len(value) >= 16]
    # Those that stand in the victim's own cookie first: they are the likeliest.
    tried = sorted(words, key=lambda word: (not any(word in value for value in values), word))[:_TRIED_MAX]
    for word in tried:
        for name in victim.jar:
            if stage.browser().ask("/read", cookie_header=f"{name}={word}").user is not None:
                where = "the very value of the cookie" if word in values else "something that works as a cookie"
                return fail(f"a dump of the stores has {where}: whoever reads it is logged in")
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
    browser = stage.user()
    stage.must(browser.ask("/read"), "a read")
    file = stage.application.folder / "unpickled"
    planted = stage.cache.overwrite(pickle.dumps(_Canary(file)))
    answer = browser.ask("/read")
    stage.cache.overwrite(b"")
    if file.exists():
        file.unlink()
        return fail("a pickle that was put into Redis was executed: whoever can write there runs code here")
    return ok(f"{planted} values replaced by a pickle, none was executed ({answer.status})")


def damaged(stage: Stage) -> Verdict:
    """S4. What Redis has is damaged first, then what is in SQL."""
    told = []
    if stage.cache is not None:
        browser = stage.user()
        stage.must(browser.ask("/read"), "a read")
        count = stage.cache.overwrite(_GARBAGE)
        answer = browser.ask("/read")
        if answer.is_failure:
            return fail(f"a record in Redis that cannot be read: {answer.status}")
        told.append(f"{count} values in Redis: {answer.status}")
    if stage.sql is not None and stage.sql.column is not None:
        browser = stage.user()
        if stage.cache is not None:
            stage.cache.overwrite(_GARBAGE)
        stage.sql.damage(_GARBAGE)
        answer = browser.ask("/read")
        if answer.is_failure:
            return fail(f"a record in SQL that cannot be read: {answer.status}")
        told.append(f"the record in SQL: {answer.status}")
    return ok("; ".join(told))


PROBES: Final = (
    Probe("S2", "A dump of all stores contains nothing that works as a cookie", "CVE-2019-16782", dump_is_useless),
    Probe("S3", "A pickle that somebody put into Redis is not executed", "CVE-2021-33026", pickle_planted),
    Probe("S4", "A record that cannot be read is no error of the server", "spring-session#529", damaged),
)
