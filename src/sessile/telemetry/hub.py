"""What one manager tells of itself: metrics, health with its history, alerts, traces, and samples of the last hour."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sessile.model.health import Component, Flip, Health, PoolStatus
from sessile.ports import Clock
from sessile.telemetry.alerts import RULES, AlertRule, Alerts
from sessile.telemetry.bridge import connect_metrics
from sessile.telemetry.exposition import exposition
from sessile.telemetry.health import FLIPS_MAX, HealthHistory
from sessile.telemetry.metrics import Counter, Histogram, Metrics
from sessile.telemetry.rounds import Rounds
from sessile.telemetry.table import CHANNELS, LINK_STATES
from sessile.telemetry.traces import Traces

SAMPLES_MAX: Final = 360
"""One a look: an hour at the default interval of 10 s."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment. Rates are of the time since the sample before; None: not known."""

    at: datetime
    reads_per_s: float
    commits_per_s: float
    changes_per_s: float
    errors: float | None
    read_p95_s: float | None
    store_latency_s: float | None
    pool_in_use: int | None
    sockets: int | None
    lag_s: float
    resident_bytes: int


class Telemetry:
    """`manager.telemetry`. Everything here is of this process and in its memory."""

    def __init__(
        self,
        clock: Clock,
        *,
        rules: Sequence[AlertRule] = RULES,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics = Metrics()
        self.health = HealthHistory(self.metrics, clock)
        self.alerts = Alerts(self.metrics, clock, rules)
        self.traces = Traces()
        self.rounds = Rounds(self.metrics, seconds)
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._collectors: list[Callable[[], None]] = [self.rounds.collect]
        self._has_meters = False

    def connect(self) -> None:
        """Looks whether somebody records traces and metrics with OpenTelemetry; called when the manager opens, and with each look at its health."""
        self.traces.connect()
        if not self._has_meters:
            self._has_meters = connect_metrics(self.metrics, self.collect)

    def collect(self) -> None:
        """Brings up to date what is only looked at when somebody asks."""
        for collector in list(self._collectors):
            collector()

    def before_reading(self, collector: Callable[[], None]) -> None:
        """`collector` is called before metrics are read, and sets gauges. It must not block or raise."""
        self._collectors.append(collector)

    def exposition(self) -> str:
        """The metrics in Prometheus' text format (`sessile.telemetry.exposition.MEDIA_TYPE`)."""
        self.collect()
        return exposition(self.metrics)

    def snapshot(self) -> dict[str, Any]:
        """The metrics, ready for JSON; see `Metrics.snapshot`."""
        self.collect()
        return self.metrics.snapshot()

    def components(self) -> list[Component]:
        """How each part of the process was found last."""
        return self.health.components()

    def health_history(self, component: str | None = None, limit: int = FLIPS_MAX) -> list[Flip]:
        """When components changed their state, newest first."""
        return self.health.history(component, limit)

    def samples(self, limit: int = SAMPLES_MAX) -> list[dict[str, Any]]:
        """The last samples, oldest first: fields of `Sample`, `at` as a datetime."""
        return [asdict(one) for one in list(self._samples)[-limit:]]

    def keep(self, sample: Sample) -> None:
        """Into the ring; the oldest falls out."""
        self._samples.append(sample)

    def note_health(self, health: Health | None, pool: PoolStatus | None) -> None:
        """Into gauges; `health` None: the database did not answer."""
        gauge = self.metrics.gauge
        gauge("sessile_store_up").set(health is not None)
        gauge("sessile_store_latency_seconds").set(None if health is None else health.latency_ms / 1000)
        gauge("sessile_pool_connections").set(None if pool is None else pool.size)
        gauge("sessile_pool_in_use").set(None if pool is None else pool.in_use)
        gauge("sessile_pool_size_max").set(None if pool is None else pool.size_max)
        gauge("sessile_pool_waiting").set(None if pool is None else pool.waiting)
        cache = None if health is None else health.cache
        if cache is None:
            gauge("sessile_cache_used").set(None)
            return
        gauge("sessile_cache_used").set(cache.is_used)
        counter = self.metrics.counter
        counter("sessile_cache_hits_total").follow(cache.hits)
        counter("sessile_cache_misses_total").follow(cache.misses)
        counter("sessile_cache_failures_total").follow(cache.link.failures)
        counter("sessile_cache_timeouts_total").follow(cache.link.timeouts)
        counter("sessile_cache_refusals_total").follow(cache.link.refusals)
        for state in LINK_STATES:
            gauge("sessile_cache_link", state=state).set(cache.link.state == state)

    def notified(self, channel: str, *, was_sent: bool) -> None:
        """Counts a notification of an alert."""
        assert channel in CHANNELS
        outcome = "sent" if was_sent else "failed"
        self.metrics.counter("sessile_alert_notifications_total", channel=channel, outcome=outcome).add()


@dataclass(slots=True)
class Outcomes:
    """Histograms of one metric by outcome, looked up once."""

    by_outcome: dict[str, Histogram]

    @classmethod
    def of(cls, metrics: Metrics, name: str, **labels: str) -> Outcomes:
        outcomes = metrics.table[name].labels["outcome"]
        return cls({outcome: metrics.histogram(name, **labels, outcome=outcome) for outcome in outcomes})


@dataclass(slots=True)
class Counters:
    """Counters of one metric by its only label, looked up once. A value that is not in the table is not counted: a newer process may tell of it."""

    by_value: dict[str, Counter]

    @classmethod
    def of(cls, metrics: Metrics, name: str) -> Counters:
        ((label, values),) = metrics.table[name].labels.items()
        return cls({value: metrics.counter(name, **{label: value}) for value in values})
