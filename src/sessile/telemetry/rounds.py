"""How the work between requests is doing: rounds that succeeded, found the store away, or failed."""

from __future__ import annotations

from collections.abc import Callable

from sessile.telemetry.metrics import Metrics
from sessile.telemetry.table import TASKS


class Rounds:
    """`seconds` is a clock that never goes back."""

    def __init__(self, metrics: Metrics, seconds: Callable[[], float]) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._began_at = seconds()
        self._succeeded_at: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._seen = {"sweep"}
        """Tasks that were tried. A sweep that never succeeds is told of, too."""

    def done(self, task: str) -> None:
        """A round succeeded. A sink's own task counts as `audit`."""
        task = self._known(task)
        self._succeeded_at[task] = self._seconds()
        self._failures[task] = 0
        self._metrics.counter("sessile_background_rounds_total", task=task, outcome="done").add()

    def away(self, task: str) -> None:
        """The store could not be reached: no fault of the task."""
        self._metrics.counter("sessile_background_rounds_total", task=self._known(task), outcome="away").add()

    def failed(self, task: str) -> None:
        """A round raised."""
        task = self._known(task)
        self._failures[task] = self._failures.get(task, 0) + 1
        self._metrics.counter("sessile_background_rounds_total", task=task, outcome="failed").add()

    def failures_in_a_row(self) -> int:
        """Of the task that has the most."""
        return max(self._failures.values(), default=0)

    def age_s(self, task: str) -> float:
        """How long ago a round of it succeeded; since the start where none has."""
        return self._seconds() - self._succeeded_at.get(task, self._began_at)

    def collect(self) -> None:
        """The ages, into gauges."""
        for task in sorted(self._seen):
            self._metrics.gauge("sessile_background_success_age_seconds", task=task).set(self.age_s(task))

    def _known(self, task: str) -> str:
        known = task if task in TASKS else "audit"
        self._seen.add(known)
        return known
