"""How long something takes and what it asks of the store: `profile(name)` for running systems, `count_queries()` for tests. In both lanes.

What is counted is everything that this process asks of its stores meanwhile, whoever asks, but not the work between requests: changes share commits, so whose a
commit is cannot be said. In a test do one thing at a time.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from sessile.telemetry.statements import start_listening, stop_listening

logger = logging.getLogger("sessile.telemetry")

PROFILES_MAX: Final = 100
OTHERS: Final = "(others)"
"""Where profiles of further names go."""
_SLOWEST: Final = 5
_STATEMENT_LENGTH_MAX: Final = 500
_ENDS_AND_BEGINNINGS: Final = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
_F = TypeVar("_F", bound=Callable[..., Any])

IN_BACKGROUND: Final[ContextVar[bool]] = ContextVar("sessile_in_background", default=False)
"""True in what runs between requests."""


class BudgetExceeded(AssertionError):
    """Something took longer, or asked the database more often, than it may. `measured` is what was seen."""

    def __init__(self, message: str, measured: Measured) -> None:
        super().__init__(message)
        self.measured = measured


@dataclass(slots=True)
class Measured:
    """What was seen so far. Statements are those of the database; what begins and ends a transaction is none. A store in memory has none."""

    name: str
    seconds: float = 0.0
    reads: int = 0
    writes: int = 0
    statements: int = 0
    statement_seconds: float = 0.0
    slowest: list[tuple[float, str]] = field(default_factory=list)
    """The five that took longest, without their values."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def transactions(self) -> int:
        return self.reads + self.writes

    def transaction(self, *, is_write: bool) -> None:
        with self._lock:
            self.writes += is_write
            self.reads += not is_write

    def statement(self, text: str, seconds: float) -> None:
        if text.lstrip().upper().startswith(_ENDS_AND_BEGINNINGS):
            return
        with self._lock:
            self.statements += 1
            self.statement_seconds += seconds
            self.slowest.append((seconds, " ".join(text.split())[:_STATEMENT_LENGTH_MAX]))
            self.slowest = sorted(self.slowest, key=lambda one: one[0], reverse=True)[:_SLOWEST]

    def excess(self, queries_max: int | None, time_max_s: float | None) -> str | None:
        """What is over the budget, in words; None: nothing."""
        if queries_max is not None and self.statements > queries_max:
            told = "; ".join(text for _, text in self.slowest)
            return f"{self.name}: {self.statements} queries, and {queries_max} are allowed: {told}"
        if time_max_s is not None and self.seconds > time_max_s:
            return f"{self.name}: {self.seconds:.3f} s, and {time_max_s:g} s are allowed"
        return None


_active: list[Measured] = []
_lock: Final = threading.Lock()


def watchers() -> tuple[Measured, ...]:
    """Those who count just now; none in what runs between requests."""
    return tuple(_active) if _active and not IN_BACKGROUND.get() else ()


@contextmanager
def _counting(measured: Measured) -> Iterator[Measured]:
    with _lock:
        _active.append(measured)
    start_listening()
    began = time.perf_counter()
    try:
        yield measured
    finally:
        measured.seconds = time.perf_counter() - began
        stop_listening()
        with _lock:
            # By identity: two that have seen the same are equal.
            _active[:] = [one for one in _active if one is not measured]


@contextmanager
def count_queries(queries_max: int | None = None, *, time_max_s: float | None = None) -> Iterator[Measured]:
    """Counts until the end of the block. Raises BudgetExceeded at its end when there were more, or it took longer, than is given."""
    with _counting(Measured("count_queries")) as measured:
        yield measured
    told = measured.excess(queries_max, time_max_s)
    if told is not None:
        raise BudgetExceeded(told, measured)


@dataclass(slots=True)
class Profile:
    """All calls under one name. Times in seconds."""

    name: str
    calls: int = 0
    failures: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0
    statements: int = 0
    statement_s: float = 0.0
    transactions: int = 0
    over_budget: int = 0

    @property
    def mean_s(self) -> float:
        return self.total_s / self.calls if self.calls else 0.0


_profiles: dict[str, Profile] = {}


def profiles() -> list[Profile]:
    """Those since the start or since `forget_profiles`, the one that took most time first."""
    with _lock:
        return sorted(_profiles.values(), key=lambda one: one.total_s, reverse=True)


def forget_profiles() -> None:
    """Begins anew."""
    with _lock:
        _profiles.clear()


class profile:  # noqa: N801 - used as a function: `with profile("checkout"):` and `@profile("checkout")`
    """Around an operation, or above a function (of either colour): calls, failures, time and queries are added up under its name (`profiles`). What is over a budget is
    logged as a warning, `budget_exceeded`; with `strict` it raises BudgetExceeded. `name` stands in the code and is never made from a request."""

    def __init__(
        self, name: str, *, queries_max: int | None = None, time_max_s: float | None = None, strict: bool = False
    ) -> None:
        self.name = name
        self._budget = (queries_max, time_max_s)
        self._strict = strict
        self._under_way: list[Any] = []

    def __enter__(self) -> Measured:
        counting = _counting(Measured(self.name))
        measured = counting.__enter__()
        self._under_way.append((counting, measured))
        return measured

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        counting, measured = self._under_way.pop()
        counting.__exit__(None, None, None)
        told = measured.excess(*self._budget)
        _add(measured, failed=error is not None, is_over=told is not None)
        if told is None:
            return
        logger.warning("Over its budget: %s", told, extra={"event_name": "budget_exceeded"})
        if self._strict and error is None:
            raise BudgetExceeded(told, measured)

    def __call__(self, function: _F) -> _F:
        name, (queries_max, time_max_s), strict = self.name, self._budget, self._strict

        def fresh() -> profile:
            return profile(name, queries_max=queries_max, time_max_s=time_max_s, strict=strict)

        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with fresh():
                    return await function(*args, **kwargs)

            return cast("_F", awaited)

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with fresh():
                return function(*args, **kwargs)

        return cast("_F", called)


def _add(measured: Measured, *, failed: bool, is_over: bool) -> None:
    with _lock:
        name = measured.name if measured.name in _profiles or len(_profiles) < PROFILES_MAX else OTHERS
        kept = _profiles.setdefault(name, Profile(name))
        kept.calls += 1
        kept.failures += failed
        kept.total_s += measured.seconds
        kept.longest_s = max(kept.longest_s, measured.seconds)
        kept.statements += measured.statements
        kept.statement_s += measured.statement_seconds
        kept.transactions += measured.transactions
        kept.over_budget += is_over
