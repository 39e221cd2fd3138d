"""`sessile doctor --profile`: what the common verbs cost on this database, against their budgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, TypeVar

from sessile.cli.diagnosis import Diagnosis
from sessile.model.errors import StoreUnavailable
from sessile.runtime.blocking import SessionManager
from sessile.telemetry import Measured, count_queries

ROUNDS: Final = 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one verb: queries at most in any round, and seconds in the median one."""

    verb: str
    queries_max: int
    time_max_s: float


CREATE: Final = Budget("begin a session", 7, 0.2)
FIND: Final = Budget("find a session by its token", 1, 0.1)
CHANGE: Final = Budget("change a session's data", 4, 0.05)
EXTEND: Final = Budget("extend a session", 6, 0.05)
END: Final = Budget("end a session", 6, 0.1)


def profiled(manager: SessionManager) -> Iterator[Diagnosis]:
    """Begins anonymous sessions, uses and ends them; nothing else is touched. One finding for each verb."""
    seen: dict[Budget, list[Measured]] = {CREATE: [], FIND: [], CHANGE: [], EXTEND: [], END: []}

    def measured(budget: Budget, verb: Callable[..., T], *args: Any, **options: Any) -> T:
        with count_queries() as one:
            result = verb(*args, **options)
        seen[budget].append(one)
        return result

    try:
        for _ in range(ROUNDS):
            issued = measured(CREATE, manager.create_session)
            handle = issued.session.session_id
            try:
                measured(FIND, manager.authenticate, issued.token)
                measured(CHANGE, manager.change_session_data, handle, [], user_id=None)
                measured(EXTEND, manager.extend_session, handle)
            finally:
                measured(END, manager.destroy_session, handle)
    except StoreUnavailable as error:
        yield Diagnosis("profile", "error", f"The database was lost meanwhile: {error.message}", "", "sessile db check")
        return
    for budget, rounds in seen.items():
        yield _finding(budget, rounds)


def _finding(budget: Budget, rounds: list[Measured]) -> Diagnosis:
    queries = max(one.statements for one in rounds)
    taken_s = median(one.seconds for one in rounds)
    in_database_s = median(one.statement_seconds for one in rounds)
    what = (
        f"To {budget.verb}: {queries} queries in {taken_s * 1000:.1f} ms, {in_database_s * 1000:.1f} ms of it in queries "
        f"(budget {budget.queries_max} in {budget.time_max_s * 1000:.0f} ms)."
    )
    if queries > budget.queries_max:
        slowest = max(rounds, key=lambda one: one.statements).slowest
        why = f"Somebody added queries: {'; '.join(text[:80] for _, text in slowest)}"
        return Diagnosis("profile", "warning", what, why, "Compare with a version before")
    if taken_s > budget.time_max_s:
        why = "People wait for it. A commit waits for the disk; a network between here and the database adds to each query."
        return Diagnosis("profile", "warning", what, why, "sessile db check")
    return Diagnosis("profile", "ok", what)
