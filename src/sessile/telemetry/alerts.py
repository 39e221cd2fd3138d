"""Alerts: rules with a threshold, how long it has to be passed, and a cool-down; states active, acknowledged, resolved. Judged in this process, for this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sessile.model.errors import InvalidValue
from sessile.ports import Clock
from sessile.telemetry.judging import Reading
from sessile.telemetry.metrics import Metrics

RESOLVED_KEPT: Final = 200
_NOTE_LENGTH_MAX: Final = 500


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Fires when its value has been above the threshold for `for_s` seconds. It is told once, and again every `cooldown_s` while it lasts and nobody has acknowledged
    it; one that comes back sooner than that after it was told is not told again."""

    name: str
    meaning: str
    severity: Severity
    threshold: float
    unit: str
    for_s: float
    cooldown_s: float
    promql: str
    """The same for Prometheus; `$THRESHOLD` stands for the threshold."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Alert:
    """`times`: how often it fired since it was told; `value` is the latest. `note` is what whoever acknowledged it wrote."""

    rule: AlertRule
    state: AlertState
    since: datetime
    value: float
    times: int = 1
    acknowledged_by: str | None = None
    note: str = ""
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told: an alert that fires, goes on, or is over."""

    alert: Alert
    is_repeated: bool = False


_WARNING, _CRITICAL = Severity.WARNING, Severity.CRITICAL
_FAILED_READS: Final = (
    'sum by (instance) (rate(sessile_session_read_seconds_count{outcome=~"unavailable|failed"}[5m]))'
    " / sum by (instance) (rate(sessile_session_read_seconds_count[5m])) > $THRESHOLD"
)
RULES: Final = (
    AlertRule("database_down", "The database does not answer.", _CRITICAL, 0, "", 0, 300, "1 - sessile_store_up > $THRESHOLD"),
    AlertRule("database_slow", "A look at the database takes long.", _WARNING, 1, "s", 30, 600, "sessile_store_latency_seconds > $THRESHOLD"),
    AlertRule("pool_full", "Nearly all connections to the database are at work.", _WARNING, 0.9, "", 30, 600, "sessile_pool_in_use / sessile_pool_size_max > $THRESHOLD"),
    AlertRule("cache_down", "The cache is not used: the database answers everything.", _WARNING, 0, "", 60, 1800, "(1 - sessile_cache_used) * (rate(sessile_cache_misses_total[5m]) > bool 0) > $THRESHOLD"),
    AlertRule("reads_fail", "Session reads fail: people get 503.", _CRITICAL, 0.05, "", 30, 300, _FAILED_READS),
    AlertRule("sweep_late", "Sessions past a deadline are not swept.", _WARNING, 3600, "s", 0, 3600, 'sessile_background_success_age_seconds{task="sweep"} > $THRESHOLD'),
    AlertRule(
        "background_fails", "Work between requests fails over and over.", _WARNING, 2, "", 0, 1800,
        'sum by (instance) (increase(sessile_background_rounds_total{outcome="failed"}[10m])) > $THRESHOLD',
    ),
    AlertRule("audit_stuck", "A sink of the audit log takes nothing.", _WARNING, 4, "", 0, 1800, 'sessile_component_state{component="audit_sinks"} > 1'),
    AlertRule("loop_late", "The event loop is held up.", _WARNING, 1, "s", 30, 600, "sessile_loop_lag_seconds > $THRESHOLD"),
    AlertRule("memory_high", "Memory runs out.", _WARNING, 0.9, "", 300, 3600, "sessile_memory_used_ratio > $THRESHOLD"),
    AlertRule(
        "token_reuse", "A retired token was used after its window: somebody has a copy.", _CRITICAL, 0, "", 0, 3600,
        'increase(sessile_anomalies_total{kind="authn_token_reuse"}[5m]) > $THRESHOLD',
    ),
)  # fmt: skip


_SHARES: Final = frozenset({"pool_full", "reads_fail", "memory_high"})


def make_rules(changes: Mapping[str, Mapping[str, float]], sweep_interval_s: float) -> list[AlertRule]:
    """The rules with what is set otherwise: by name `threshold`, `for_s`, `cooldown_s`, `enabled`. Raises ValueError for what is no rule or no field."""
    known = {rule.name: rule for rule in RULES}
    known["sweep_late"] = replace(known["sweep_late"], threshold=max(3600, 2 * sweep_interval_s))
    for name, fields in changes.items():
        if name not in known:
            raise ValueError(f"there is no rule {name!r}; there are {', '.join(known)}")
        if unknown := fields.keys() - {"threshold", "for_s", "cooldown_s", "enabled"}:
            raise ValueError(
                f"{name} has threshold, for_s, cooldown_s and enabled, and no {', '.join(sorted(unknown))}"
            )
        if any(value < 0 for value in fields.values()):
            raise ValueError(f"{name} has a number below 0")
        if name in _SHARES and fields.get("threshold", 0) > 1:
            raise ValueError(f"{name} has a share as its threshold, at most 1")
        made = {key: bool(value) if key == "enabled" else float(value) for key, value in fields.items()}
        known[name] = replace(known[name], **made)  # type: ignore[arg-type] # checked above
    return list(known.values())


def values_of(reading: Reading) -> Mapping[str, float | None]:
    """The value of each rule; None: not known just now, so nothing changes."""
    health, pool = reading.health, reading.pool
    return {
        "database_down": float(health is None),
        "database_slow": None if health is None else health.latency_ms / 1000,
        "pool_full": None if pool is None or not pool.size_max else pool.in_use / pool.size_max,
        "cache_down": None if reading.cache_is_away is None else float(reading.cache_is_away),
        "reads_fail": reading.errors,
        "sweep_late": reading.sweep_age_s,
        "background_fails": float(reading.background_failures),
        "audit_stuck": None if reading.sink_failures is None else float(reading.sink_failures),
        "loop_late": reading.lag_s,
        "memory_high": reading.memory.used,
        "token_reuse": float(reading.token_reuses),
    }


class Alerts:
    """Safe to share between threads."""

    def __init__(self, metrics: Metrics, clock: Clock, rules: Sequence[AlertRule] = RULES) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._rules = {rule.name: rule for rule in rules}
        self._above_since: dict[str, datetime] = {}
        self._told_at: dict[str, datetime] = {}
        self._told: set[str] = set()
        """Open ones that somebody was told of, who is then told of the end, too."""
        self._open: dict[str, Alert] = {}
        self._over: deque[Alert] = deque(maxlen=RESOLVED_KEPT)
        for name in self._rules:
            metrics.gauge("sessile_alert_firing", rule=name).set(0)

    def rules(self) -> list[AlertRule]:
        """As they are now."""
        with self._lock:
            return list(self._rules.values())

    def active(self) -> list[Alert]:
        """Those that are not over, acknowledged ones among them."""
        with self._lock:
            return list(self._open.values())

    def told_again_at(self, alert: Alert) -> datetime | None:
        """When its cool-down is over and it is told again, if it lasts till then; None while somebody looks after it, or when nobody was told of it."""
        with self._lock:
            told_at = self._told_at.get(alert.rule.name)
        if told_at is None or alert.state is not AlertState.ACTIVE:
            return None
        return told_at + timedelta(seconds=alert.rule.cooldown_s)

    def resolved(self) -> list[Alert]:
        """The last that are over, newest first."""
        with self._lock:
            return list(reversed(self._over))

    def acknowledge(self, name: str, by: str, note: str = "") -> Alert:
        """Somebody looks after it: it is told no more until it is over. Raises InvalidValue when it is not active."""
        with self._lock:
            alert = self._open.get(name)
            if alert is None:
                raise InvalidValue("/rule", "no alert of that rule is active")
            alert = replace(alert, state=AlertState.ACKNOWLEDGED, acknowledged_by=by, note=note[:_NOTE_LENGTH_MAX])
            self._open[name] = alert
            return alert

    def configure(self, name: str, *, threshold: float | None = None, enabled: bool | None = None) -> AlertRule:
        """Changes a rule of this process until it ends; settings do it for good. Raises InvalidValue."""
        with self._lock:
            rule = self._rules.get(name)
            if rule is None:
                raise InvalidValue("/rule", "there is no such rule")
            rule = replace(
                rule,
                threshold=rule.threshold if threshold is None else threshold,
                enabled=rule.enabled if enabled is None else enabled,
            )
            self._rules[name] = rule
            if not rule.enabled:
                self._resolve(name, self._clock.now())
                self._above_since.pop(name, None)
            return rule

    def judge(self, values: Mapping[str, float | None]) -> list[Notice]:
        """Looks at the values of this moment; what is to be told now."""
        now = self._clock.now()
        with self._lock:
            notices = [self._judge_one(rule, values.get(rule.name), now) for rule in self._rules.values()]
        return [notice for notice in notices if notice is not None]

    def _judge_one(self, rule: AlertRule, value: float | None, now: datetime) -> Notice | None:
        if value is None or not rule.enabled:
            return None
        alert = self._open.get(rule.name)
        if value <= rule.threshold:
            self._above_since.pop(rule.name, None)
            was_told = rule.name in self._told
            over = self._resolve(rule.name, now)
            return Notice(over) if over is not None and was_told else None
        since = self._above_since.setdefault(rule.name, now)
        if now - since < timedelta(seconds=rule.for_s):
            return None
        told_at = self._told_at.get(rule.name)
        is_due = told_at is None or now - told_at >= timedelta(seconds=rule.cooldown_s)
        if alert is None:
            times = 1 if is_due else 1 + self._times_before(rule.name)
            self._open[rule.name] = alert = Alert(rule, AlertState.ACTIVE, since, value, times)
            self._metrics.gauge("sessile_alert_firing", rule=rule.name).set(1)
            return self._tell(Notice(alert), now) if is_due else None
        self._open[rule.name] = alert = replace(alert, rule=rule, value=value)
        if is_due and alert.state is AlertState.ACTIVE:
            return self._tell(Notice(alert, is_repeated=True), now)
        return None

    def _tell(self, notice: Notice, now: datetime) -> Notice:
        self._told.add(notice.alert.rule.name)
        self._told_at[notice.alert.rule.name] = now
        return notice

    def _times_before(self, name: str) -> int:
        return next((alert.times for alert in reversed(self._over) if alert.rule.name == name), 0)

    def _resolve(self, name: str, now: datetime) -> Alert | None:
        alert = self._open.pop(name, None)
        self._told.discard(name)
        if alert is None:
            return None
        over = replace(alert, state=AlertState.RESOLVED, resolved_at=now)
        self._over.append(over)
        self._metrics.gauge("sessile_alert_firing", rule=name).set(0)
        return over
