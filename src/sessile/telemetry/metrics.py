"""Counters, gauges and histograms of the table. Cheap enough for every request: an observation takes one lock and no allocation that stays."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sessile.telemetry.table import METRICS, Metric, MetricKind, UndeclaredTelemetry

Also = Callable[[float], None]
"""Told of every value beside us, where somebody records metrics with OpenTelemetry."""
_QUANTILES: Final = (0.5, 0.95, 0.99)


class Counter:
    """Goes up. Safe to share between threads."""

    __slots__ = ("_lock", "value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0.0

    def add(self, amount: float = 1) -> None:
        """Raises ValueError for an amount below 0: a counter that goes back looks like a restart."""
        if amount < 0:
            raise ValueError("a counter only goes up")
        with self._lock:
            self.value += amount

    def follow(self, total: float) -> None:
        """Takes over what somebody else counts. Less than before is not believed."""
        with self._lock:
            self.value = max(self.value, total)


class Gauge:
    """A value as it is now; None: not known, and not shown."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def set(self, value: float | None) -> None:
        self.value = value


class Histogram:
    """Counts by bucket, and the sum. Safe to share between threads."""

    __slots__ = ("_bounds", "_lock", "also", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._lock = threading.Lock()
        self.counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0
        self.also: Also | None = None

    def observe(self, value: float) -> None:
        place = bisect_left(self._bounds, value)
        with self._lock:
            self.counts[place] += 1
            self.total += value
        if self.also is not None:
            self.also(value)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def read(self) -> tuple[list[int], float]:
        """Counts of the buckets (the last one is beyond all bounds) and the sum, of one moment."""
        with self._lock:
            return list(self.counts), self.total

    def quantile(self, share: float) -> float | None:
        """The bound of the bucket that holds it; None without a value. Beyond the last bound it is that bound."""
        return quantile_of(self._bounds, self.read()[0], share)


def quantile_of(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The upper bound of the bucket in which the `share` of all values is reached; None without any."""
    wanted, seen = share * sum(counts), 0
    if not wanted:
        return None
    for bound, count in zip(bounds, counts, strict=False):
        seen += count
        if seen >= wanted:
            return bound
    return bounds[-1]


Series = Counter | Gauge | Histogram


class Metrics:
    """One of each series of the table, made at once: so none is made on the way, and no label can have a value that the table does not know."""

    def __init__(self, table: Mapping[str, Metric] = METRICS) -> None:
        self.table = table
        self._series: dict[str, dict[tuple[str, ...], Series]] = {
            name: {tuple(labels.values()): _made(metric) for labels in metric.label_sets()}
            for name, metric in table.items()
        }

    def counter(self, name: str, **labels: str) -> Counter:
        """Raises UndeclaredTelemetry for a metric, a label or a value that is not in the table, or is of another kind."""
        found = self._find(name, labels)
        if not isinstance(found, Counter):
            raise UndeclaredTelemetry(f"{name} is no counter")
        return found

    def gauge(self, name: str, **labels: str) -> Gauge:
        """Raises like `counter`."""
        found = self._find(name, labels)
        if not isinstance(found, Gauge):
            raise UndeclaredTelemetry(f"{name} is no gauge")
        return found

    def histogram(self, name: str, **labels: str) -> Histogram:
        """Raises like `counter`."""
        found = self._find(name, labels)
        if not isinstance(found, Histogram):
            raise UndeclaredTelemetry(f"{name} is no histogram")
        return found

    def _find(self, name: str, labels: Mapping[str, str]) -> Series:
        metric = self.table.get(name)
        if metric is None:
            raise UndeclaredTelemetry(f"{name} is not in the table of metrics")
        if labels.keys() != metric.labels.keys():
            raise UndeclaredTelemetry(f"{name} has the labels {sorted(metric.labels)}, and not {sorted(labels)}")
        found = self._series[name].get(tuple(labels[label] for label in metric.labels))
        if found is None:
            # Not the value itself: it may be somebody's name.
            raise UndeclaredTelemetry(f"{name}: a label has a value that is not in the table")
        return found

    def each(self, name: str) -> list[tuple[dict[str, str], Series]]:
        """The series of a metric with their labels, in the order of the table."""
        metric = self.table[name]
        return [(labels, self._series[name][tuple(labels.values())]) for labels in metric.label_sets()]

    def snapshot(self) -> dict[str, Any]:
        """By name: `kind`, `unit`, `meaning` and `series`, each with `labels` and `value`, or `count`, `sum`, `p50`, `p95`, `p99`. Ready for JSON. Gauges that nobody
        has set are left out."""
        return {name: shown for name in self.table if (shown := self._shown(name))["series"]}

    def _shown(self, name: str) -> dict[str, Any]:
        metric = self.table[name]
        series = [
            {"labels": labels, **values}
            for labels, one in self.each(name)
            if (values := _values(one, metric.buckets)) is not None
        ]
        return {"kind": metric.kind.value, "unit": metric.unit, "meaning": metric.meaning, "series": series}


def _values(one: Series, bounds: Sequence[float]) -> dict[str, float | None] | None:
    if not isinstance(one, Histogram):
        return None if one.value is None else {"value": one.value}
    counts, total = one.read()
    quantiles = {f"p{share * 100:.0f}": quantile_of(bounds, counts, share) for share in _QUANTILES}
    return {"count": sum(counts), "sum": total, **quantiles}


def _made(metric: Metric) -> Series:
    match metric.kind:
        case MetricKind.COUNTER:
            return Counter()
        case MetricKind.GAUGE:
            return Gauge()
        case MetricKind.HISTOGRAM:
            return Histogram(metric.buckets)
