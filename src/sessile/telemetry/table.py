"""Everything that Sessile tells about itself, in one table: metrics and spans here, lines of logs in `log_events`. What is not declared cannot be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from math import prod
from typing import Final

from sessile.model.anomaly import Anomaly
from sessile.model.document import Verdict
from sessile.model.session import EndReason

SERIES_MAX: Final = 60
"""Series that one metric may have: the product of its labels' values."""
SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NAME: Final = re.compile(r"sessile_[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
_LABEL: Final = re.compile(r"[a-z][a-z_]*", re.ASCII)
PERSONAL: Final = frozenset(
    {
        "user", "user_id", "session", "session_id", "handle", "token", "device", "device_id", "document_id", "tab_id", "address", "ip", "client",
        "email", "name", "path", "url", "trace_id", "span_id",
    }
)  # fmt: skip
"""Labels that no metric has: each person, session or address would be a series of its own, kept for months by whoever collects them."""


class MetricKind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class UndeclaredTelemetry(KeyError):
    """Code tells something that the table does not have: a metric, a label or one of its values, a span, an attribute. Add it to the table, or correct the name."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Labels have all their values here, so that the number of series is known. Raises ValueError for what Prometheus or good sense refuses."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name}: sessile_ and words in small letters")
        if (self.kind is MetricKind.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and nothing else, end in _total")
        if self.unit and f"_{self.unit}" not in self.name:
            raise ValueError(f"{self.name}: the unit {self.unit} belongs into the name")
        if (self.kind is MetricKind.HISTOGRAM) != bool(self.buckets) or list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError(f"{self.name}: histograms have rising buckets, and nothing else has any")
        for label, values in self.labels.items():
            if label in PERSONAL or _LABEL.fullmatch(label) is None:
                raise ValueError(f"{self.name}: {label} is no label: each person or session would be a series")
            if not values or len(values) != len(set(values)):
                raise ValueError(f"{self.name}: {label} has its values in the table, each once")
        if self.series > SERIES_MAX:
            raise ValueError(f"{self.name}: {self.series} series, and at most {SERIES_MAX} are kept")

    @property
    def series(self) -> int:
        """How many there are, used or not."""
        return prod(len(values) for values in self.labels.values())

    def label_sets(self) -> list[dict[str, str]]:
        """All of them."""
        return [dict(zip(self.labels, values, strict=True)) for values in product(*self.labels.values())]

    @property
    def otel_name(self) -> str:
        """In OpenTelemetry's way: dots, and neither unit nor `total`, which its exporter for Prometheus puts back."""
        return self.name.removesuffix("_total").removesuffix(f"_{self.unit}" if self.unit else "").replace("_", ".")


@dataclass(frozen=True, slots=True)
class SpanEntry:
    """A span of a trace. Attributes never have a token, nor a whole id."""

    name: str
    meaning: str
    attributes: tuple[str, ...] = ()


_COUNTER, _GAUGE, _HISTOGRAM = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM

TASKS: Final = (
    "poll",
    "touch",
    "presence",
    "checkpoint",
    "compaction",
    "sweep",
    "retention",
    "cache",
    "audit",
    "watch",
)
"""What is done between requests. `audit` is all sinks of the audit log together."""
COMPONENTS: Final = (
    "database",
    "pool",
    "cache",
    "background",
    "sweep",
    "audit_sinks",
    "errors",
    "responsiveness",
    "memory",
)
READS: Final = ("live", "unknown", "expired", "ended", "unavailable", "failed")
WRITES: Final = ("done", "refused", "unavailable", "failed")
CHANNELS: Final = ("log", "webhook")
LINK_STATES: Final = ("up", "connecting", "down", "new")
RULES: Final = (
    "database_down", "database_slow", "pool_full", "cache_down", "reads_fail", "sweep_late", "background_fails", "audit_stuck", "loop_late", "memory_high",
    "token_reuse",
)  # fmt: skip

_METRICS: Final = (
    Metric(
        "sessile_session_read_seconds", _HISTOGRAM, "seconds",
        "How long it took to find the session of a token, by what came of it. `live` lets the request in; `unavailable` is an outage (503).",
        {"outcome": READS}, SECONDS,
    ),
    Metric(
        "sessile_session_commit_seconds", _HISTOGRAM, "seconds",
        "How long a change of session data took until it was durable. `refused`: the session was over, or another user's.",
        {"outcome": WRITES}, SECONDS,
    ),
    Metric(
        "sessile_document_change_seconds", _HISTOGRAM, "seconds",
        "How long submitted changes of a document took until they were durable and had a verdict.",
        {"outcome": WRITES}, SECONDS,
    ),
    Metric(
        "sessile_document_changes_total", _COUNTER, "", "Changes of documents by their verdict.", {"verdict": tuple(map(str, Verdict))},
    ),
    Metric("sessile_sessions_begun_total", _COUNTER, "", "Sessions that began, and logins.", {"how": ("created", "login")}),
    Metric("sessile_sessions_ended_total", _COUNTER, "", "Sessions that this process ended, by reason.", {"reason": tuple(map(str, EndReason))}),
    Metric("sessile_anomalies_total", _COUNTER, "", "What looked like an attack, by its kind.", {"kind": tuple(map(str, Anomaly))}),
    Metric(
        "sessile_store_transaction_seconds", _HISTOGRAM, "seconds",
        "How long transactions took, waiting for a connection and the commit included. `refused` is a rule's answer and no fault.",
        {"kind": ("read", "write"), "outcome": WRITES}, SECONDS,
    ),
    Metric("sessile_store_up", _GAUGE, "", "1 when the database answered the last look."),
    Metric("sessile_store_latency_seconds", _GAUGE, "seconds", "How long the last look at the database took."),
    Metric("sessile_pool_connections", _GAUGE, "", "Connections to the database."),
    Metric("sessile_pool_in_use", _GAUGE, "", "Of these at work."),
    Metric("sessile_pool_size_max", _GAUGE, "", "How many there may be."),
    Metric("sessile_pool_waiting", _GAUGE, "", "Callers that wait for one."),
    Metric("sessile_cache_used", _GAUGE, "", "1 while sessions are read from the cache; else the database answers."),
    Metric("sessile_cache_hits_total", _COUNTER, "", "Sessions read from the cache."),
    Metric("sessile_cache_misses_total", _COUNTER, "", "Sessions that the database had to answer."),
    Metric("sessile_cache_failures_total", _COUNTER, "", "Connections to the cache that were lost or not had."),
    Metric("sessile_cache_timeouts_total", _COUNTER, "", "Calls that the cache did not answer in time."),
    Metric("sessile_cache_refusals_total", _COUNTER, "", "Calls that failed at once because the cache was away."),
    Metric("sessile_cache_link", _GAUGE, "", "How the way to the cache is: 1 for the state it is in.", {"state": LINK_STATES}),
    Metric("sessile_sockets", _GAUGE, "", "WebSockets of this process."),
    Metric("sessile_draining", _GAUGE, "", "1 while the process says goodbye to its sockets."),
    Metric(
        "sessile_background_rounds_total", _COUNTER, "", "Rounds of the work between requests. `away`: the store could not be reached.",
        {"task": TASKS, "outcome": ("done", "away", "failed")},
    ),
    Metric(
        "sessile_background_success_age_seconds", _GAUGE, "seconds",
        "How long ago a round of that work last succeeded; since the start where none has.", {"task": TASKS},
    ),
    Metric("sessile_component_state", _GAUGE, "", "How a component is: 0 healthy, 1 degraded, 2 unhealthy.", {"component": COMPONENTS}),
    Metric("sessile_component_flips_total", _COUNTER, "", "How often a component's state changed.", {"component": COMPONENTS}),
    Metric("sessile_alert_firing", _GAUGE, "", "1 while an alert of that rule is active, acknowledged or not.", {"rule": RULES}),
    Metric(
        "sessile_alert_notifications_total", _COUNTER, "", "Notifications of alerts by the way they went.",
        {"channel": CHANNELS, "outcome": ("sent", "failed")},
    ),
    Metric("sessile_loop_lag_seconds", _GAUGE, "seconds", "How late the event loop, or the thread of background work, last came to its round."),
    Metric(
        "sessile_memory_used_ratio", _GAUGE, "ratio",
        "Share of the memory that there is for this process: of its control group's limit, else of the machine; 0 where the system does not say.",
    ),
    Metric("sessile_process_resident_bytes", _GAUGE, "bytes", "Memory of this process; 0 where the system does not say."),
)  # fmt: skip

METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _METRICS}

_SPANS: Final = (
    SpanEntry("sessile.session.load", "From a token to its session.", ("sessile.outcome", "session.id")),
    SpanEntry("sessile.session.commit", "A change of session data, until it is durable.", ("sessile.outcome", "session.id")),
    SpanEntry("sessile.document.change", "Submitted changes of a document, until they have a verdict.", ("sessile.outcome", "sessile.document.id", "sessile.changes")),
    SpanEntry("sessile.cache.fallback", "The database answers for the cache, which did not know or could not be asked.", ("session.id",)),
    SpanEntry("sessile.sweep", "A batch of sessions past a deadline is ended.", ("sessile.sessions.ended",)),
)  # fmt: skip

SPANS: Final[Mapping[str, SpanEntry]] = {span.name: span for span in _SPANS}
ERROR_TYPE: Final = "error.type"
"""On every span that failed, as OpenTelemetry names it: the error's stable code."""
