"""What a probe works with: an application in a process of its own, its stores, a network that breaks, and browsers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from sessile.testing.fault_proxy import FaultProxy
from sessile.testing.torture.application import Application
from sessile.testing.torture.browser import ANSWER_TIMEOUT_S, FIREFOX, Answer, Browser
from sessile.testing.torture.engines import Engine
from sessile.testing.torture.storage import RedisSide, SqlSide
from sessile.testing.torture.verdicts import fail, not_applicable, stop

_ARRIVES_WITHIN_S: Final = 15.0
_RECOVERS_WITHIN_S: Final = 20.0
_WARM_WITHIN_S: Final = 15.0
_READS_IN_A_ROW: Final = 3
"""So many reads that asked the cache: the first of them may have filled it, the later ones were answered by it."""
_LOOK_EVERY_S: Final = 0.01
_TRIES: Final = 3


@dataclass(frozen=True)
class Effort:
    """What one request cost: commands and changes in the cache, writing transactions in the database, cookies set. None where there is no such store."""

    answer: Answer
    commands: int | None
    cache_changes: int | None
    sql_changes: int | None

    @property
    def writes(self) -> int:
        return (self.cache_changes or 0) + (self.sql_changes or 0)

    @property
    def shown(self) -> str:
        parts = []
        if self.commands is not None:
            parts.append(
                f"{counted(self.commands, 'command')} and {counted(self.cache_changes or 0, 'change')} in the cache"
            )
        if self.sql_changes is not None:
            parts.append(counted(self.sql_changes, "writing transaction"))
        cookies = len(self.answer.cookies)
        return ", ".join([*parts, f"{cookies} Set-Cookie" if cookies else "no Set-Cookie"])


class Held:
    """A request that waits at its gate, having read the session, until it is let go."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.error: OSError | None = None

    @property
    def result(self) -> Answer:
        """The answer, once it was let go. Ends the probe when there is none."""
        if self.answer is None:
            stop(fail(f"a request that was under way got no answer: {type(self.error).__name__}"))
        return self.answer


Another: TypeAlias = Callable[[Mapping[str, str]], AbstractContextManager[Application]]
"""Starts a second application on the same stores, with these options; ends it with the context."""


class Stage:
    """One engine, ready to be probed. What a probe leaves behind does not disturb the next one: each makes its own users and browsers."""

    def __init__(
        self,
        engine: Engine,
        application: Application,
        cache: RedisSide | None,
        cache_proxy: FaultProxy | None,
        sql: SqlSide | None,
        sql_proxy: FaultProxy | None,
        another: Another,
    ) -> None:
        self.engine = engine
        self.application = application
        self.cache = cache
        self.cache_proxy = cache_proxy
        self.sql = sql
        self.sql_proxy = sql_proxy
        self._another = another
        self._number = 0
        self.given: set[str] = set()
        """The values of all cookies that were set so far."""

    @property
    def versions(self) -> dict[str, str]:
        return dict(self.application.about["versions"])

    @property
    def servers(self) -> list[str]:
        """The stores that are in use, with their versions."""
        return [side.version for side in (self.sql, self.cache) if side is not None]

    def can(self, ability: str) -> bool:
        """Whether the library offers "rotate", "list", "end_others"."""
        return ability in self.application.about["abilities"]

    # -- people -------------------------------------------------------------------------------------------------------------------------

    def browser(self, user_agent: str = FIREFOX) -> Browser:
        """One that never was here."""
        return Browser(self.application.port, user_agent, self.given)

    def visitor(self) -> Browser:
        """Somebody anonymous who has a session, with `seed` in it."""
        browser = self.browser()
        self.must(browser.ask("/write", key="seed", value="1"), "an anonymous write")
        if not browser.jar:
            stop(fail("an anonymous write was answered without a session cookie"))
        return browser

    def user(self, name: str | None = None, user_agent: str = FIREFOX) -> Browser:
        """Somebody who is logged in."""
        browser = self.browser(user_agent)
        self.must(browser.ask("/login", user=name or self.name(), rotate="1"), "a login")
        if not browser.jar:
            stop(fail("a login was answered without a session cookie"))
        return browser

    def name(self) -> str:
        """A user nobody has used before."""
        self._number += 1
        return f"user-{self._number}"

    @staticmethod
    def must(answer: Answer, what: str) -> Answer:
        """Ends the probe unless this was answered as usual."""
        if answer.is_refused:
            stop(fail(f"{what} was answered with {answer.status}"))
        return answer

    def kept(self) -> int:
        """How many sessions there are: rows, or keys in the cache, whichever is more."""
        rows = self.sql.rows() if self.sql is not None else 0
        return max(rows, len(self.cache.keys()) if self.cache is not None else 0)

    def is_live(self, browser: Browser) -> bool:
        """Whether the cookies of this browser stand for somebody who is logged in; asked with a copy, so that nothing changes in it."""
        return self.must(browser.copy().ask("/read"), "a read").user is not None

    def warm(self, browser: Browser) -> Browser:
        """The same browser, once its reads come from the cache: some libraries use theirs only a while after a start or an outage."""
        cache = self.cache
        if cache is not None and self.engine.is_durable:
            in_a_row = 0

            def is_used() -> bool:
                nonlocal in_a_row
                before = cache.commands()
                self.must(browser.ask("/read"), "a read")
                in_a_row = in_a_row + 1 if cache.commands() > before else 0
                return in_a_row == _READS_IN_A_ROW

            if not comes(is_used, _WARM_WITHIN_S):
                stop(fail(f"{_WARM_WITHIN_S:.0f} s after an outage or a start the cache is still not used"))
        else:
            self.must(browser.ask("/read"), "a read")
        return browser

    # -- time -------------------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def held(self, browser: Browser, path: str, **parameters: str) -> Iterator[Held]:
        """Inside, the request has read the session and waits. At the end of the block it goes on, and its answer is kept by the browser then."""
        gate = f"gate-{self._number}-{time.monotonic_ns()}"
        held = Held()
        cookies = browser.cookies

        def ask() -> None:
            try:
                held.answer = browser.send(path, cookies, False, {**parameters, "gate": gate})
            except OSError as error:
                held.error = error

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            arrived = self.application.folder / f"{gate}.arrived"
            if not comes(lambda: arrived.exists() or not thread.is_alive(), _ARRIVES_WITHIN_S):
                stop(fail(f"{path} did not reach its handler"))
            yield held
        finally:
            (self.application.folder / f"{gate}.open").touch()
            thread.join(ANSWER_TIMEOUT_S)
        if held.answer is not None:
            browser.keep(held.answer)

    def effort(self, browser: Browser, path: str) -> Effort:
        """What a request costs. Asked three times, and the least counts, because libraries do work of their own in the background; cookies are the
        most that any of them set."""
        efforts = [self._one_effort(browser, path) for _ in range(_TRIES)]
        answer = max((effort.answer for effort in efforts), key=lambda answer: len(answer.cookies))
        return Effort(
            answer,
            _least([effort.commands for effort in efforts]),
            _least([effort.cache_changes for effort in efforts]),
            _least([effort.sql_changes for effort in efforts]),
        )

    def _one_effort(self, browser: Browser, path: str) -> Effort:
        before = self._counts()
        answer = self.must(browser.ask(path), f"GET {path}")
        after = self._counts()
        spent = [None if was is None or now is None else now - was for was, now in zip(before, after, strict=True)]
        return Effort(answer, *spent)

    def _counts(self) -> tuple[int | None, int | None, int | None]:
        cache, sql = self.cache, self.sql
        return (
            None if cache is None else cache.commands(),
            None if cache is None else cache.changes(),
            None if sql is None else sql.changes(),
        )

    @contextmanager
    def with_options(self, **options: str) -> Iterator[Stage]:
        """A second application on the same stores, with options of its program."""
        with self._another(options) as application:
            yield Stage(self.engine, application, self.cache, self.cache_proxy, self.sql, self.sql_proxy, self._another)

    # -- trouble ----------------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def without_cache(self) -> Iterator[None]:
        """Inside, Redis refuses connections. Afterwards it is there again, with everything it had."""
        with _without(self.cache_proxy, "it has no Redis"):
            yield

    @contextmanager
    def without_sql(self) -> Iterator[None]:
        """The same for the database."""
        reason = "its database is a file, not a server" if self.engine.is_durable else "it keeps no sessions in SQL"
        with _without(self.sql_proxy if self.engine.is_durable else None, reason):
            yield

    def recover(self, browser: Browser) -> int:
        """Returns when reads and writes are answered again after an outage: how many still failed until then. Ends the probe when that takes 20 s."""
        failed = 0
        last = 0

        def is_back() -> bool:
            nonlocal failed, last
            # The write is by somebody new: it needs the stores, and leaves this browser's session as it is.
            answers = (browser.ask("/read"), self.browser().ask("/write", key="k", value="v"))
            failed += sum(answer.is_failure for answer in answers)
            last = max(answer.status for answer in answers)
            return not any(answer.is_failure for answer in answers)

        if not comes(is_back, _RECOVERS_WITHIN_S):
            stop(fail(f"{_RECOVERS_WITHIN_S:.0f} s after the outage requests were still answered with {last}"))
        return failed


def counted(number: int, what: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


@contextmanager
def _without(proxy: FaultProxy | None, reason: str) -> Iterator[None]:
    if proxy is None:
        stop(not_applicable(reason))
    proxy.faults.refuse()
    try:
        yield
    finally:
        proxy.faults.heal()


def comes(holds: Callable[[], bool], within_s: float) -> bool:
    """Whether it holds within that time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _least(numbers: Sequence[int | None]) -> int | None:
    found = [number for number in numbers if number is not None]
    return min(found) if found else None
