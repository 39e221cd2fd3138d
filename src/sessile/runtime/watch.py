"""The look that a process takes at itself now and then: how its parts are, which alerts fire, and a sample for the last hour's curves."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from sessile.engine.caching import SessionCache
from sessile.model.anomaly import Anomaly
from sessile.model.errors import StoreUnavailable
from sessile.model.health import ComponentState, Flip, Health, PoolStatus
from sessile.model.webhook import webhook_key
from sessile.ports import Clock, Store, Transaction
from sessile.runtime.delivery import Delivery
from sessile.runtime.memory import memory_use
from sessile.runtime.settings import Settings
from sessile.runtime.sinks.alerts import AlertWebhook, Notifier
from sessile.telemetry.alerts import make_rules, values_of
from sessile.telemetry.hub import Sample, Telemetry
from sessile.telemetry.judging import READS_MIN, Reading, judgements
from sessile.telemetry.metrics import Histogram, quantile_of
from sessile.telemetry.table import METRICS

logger = logging.getLogger("sessile.health")
_READS: Final = "sessile_session_read_seconds"
_FAILED: Final = frozenset({"unavailable", "failed"})


def make_telemetry(settings: Settings, clock: Clock) -> Telemetry:
    """With the rules of the settings."""
    return Telemetry(clock, rules=make_rules(settings.alert_rules, settings.sweep_interval_s))


async def look_at(store: Store, cached: SessionCache | None) -> Health:
    """Asks the store for something, and says how long that took. Raises StoreUnavailable."""
    began = time.perf_counter()
    await store.read(_look)
    taken_ms = (time.perf_counter() - began) * 1000
    return Health(taken_ms, store.pool(), None if cached is None else cached.status())


def pool_of(store: Store) -> PoolStatus | None:
    """Also when nobody gets a connection: that is when it matters. None for a store that is not open."""
    try:
        return store.pool()
    except StoreUnavailable:
        return None


class Watch:
    """One for each manager. `round` is called every `health_interval_s`, and never raises because something is away: that is what it is there to see."""

    def __init__(
        self,
        telemetry: Telemetry,
        settings: Settings,
        store: Store,
        clock: Clock,
        cached: SessionCache | None,
        deliveries: Sequence[Delivery] = (),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._telemetry = telemetry
        self.rounds = telemetry.rounds
        self._settings = settings
        self._store = store
        self._clock = clock
        self._cached = cached
        self._deliveries = deliveries
        self._seconds = seconds
        self.notifier = Notifier(telemetry, _webhook(settings), f"{socket.gethostname()}/{secrets.token_hex(3)}")
        self._before_s = seconds()
        self._rounds_ended_s: float | None = None
        self._counted = self._counts()

    async def round(self) -> None:
        """Looks once, judges, tells, and keeps a sample."""
        now_s = self._seconds()
        lag_s = 0.0
        if self._rounds_ended_s is not None:
            lag_s = max(0.0, now_s - self._rounds_ended_s - self._settings.health_interval_s)
        self._telemetry.connect()
        pool = pool_of(self._store)  # before it asks: afterwards whoever it waited for has gone
        try:
            health: Health | None = await look_at(self._store, self._cached)
        except StoreUnavailable:
            health = None
        self._telemetry.note_health(health, pool)
        reading = self._reading(health, pool, lag_s)
        for judgement in judgements(reading):
            flip = self._telemetry.health.report(*judgement)
            if flip is not None:
                _log(flip)
        self.notifier.tell(self._telemetry.alerts.judge(values_of(reading)))
        self._keep(reading, now_s)
        self._rounds_ended_s = self._seconds()

    def _reading(self, health: Health | None, pool: PoolStatus | None, lag_s: float) -> Reading:
        rounds, metrics = self._telemetry.rounds, self._telemetry.metrics
        counts = self._counts()
        reads = {outcome: counts[outcome] - self._counted[outcome] for outcome in METRICS[_READS].labels["outcome"]}
        total = sum(reads.values())
        errors = sum(reads[outcome] for outcome in _FAILED) / total if total >= READS_MIN else None
        memory = memory_use()
        metrics.gauge("sessile_loop_lag_seconds").set(lag_s)
        metrics.gauge("sessile_process_resident_bytes").set(memory.resident_bytes)
        metrics.gauge("sessile_memory_used_ratio").set(memory.used or 0)
        return Reading(
            health=health,
            pool=pool,
            background_failures=rounds.failures_in_a_row(),
            sweep_age_s=rounds.age_s("sweep"),
            sweep_interval_s=self._settings.sweep_interval_s,
            sink_failures=max((one.failures for one in self._deliveries), default=None),
            errors=errors,
            lag_s=lag_s,
            memory=memory,
            reads=total,
            token_reuses=counts["reuses"] - self._counted["reuses"],
        )

    def _counts(self) -> dict[str, int]:
        metrics = self._telemetry.metrics
        counts = {labels["outcome"]: _count(one) for labels, one in metrics.each(_READS)}
        counts["commits"] = sum(_count(one) for _, one in metrics.each("sessile_session_commit_seconds"))
        counts["changes"] = sum(_count(one) for _, one in metrics.each("sessile_document_change_seconds"))
        counts["reuses"] = int(metrics.counter("sessile_anomalies_total", kind=str(Anomaly.TOKEN_REUSE)).value)
        for number, count in enumerate(metrics.histogram(_READS, outcome="live").read()[0]):
            counts[f"bucket {number}"] = count
        return counts

    def _keep(self, reading: Reading, now_s: float) -> None:
        counts, before = self._counts(), self._counted
        passed_s = max(now_s - self._before_s, 1e-3)
        bounds = METRICS[_READS].buckets
        found = [counts[f"bucket {number}"] - before[f"bucket {number}"] for number in range(len(bounds) + 1)]
        self._telemetry.collect()
        sockets = self._telemetry.metrics.gauge("sessile_sockets").value
        pool = reading.pool
        outcomes = METRICS[_READS].labels["outcome"]
        self._telemetry.keep(
            Sample(
                at=self._clock.now(),
                reads_per_s=sum(counts[one] - before[one] for one in outcomes) / passed_s,
                commits_per_s=(counts["commits"] - before["commits"]) / passed_s,
                changes_per_s=(counts["changes"] - before["changes"]) / passed_s,
                errors=reading.errors,
                read_p95_s=quantile_of(bounds, found, 0.95),
                store_latency_s=None if reading.health is None else reading.health.latency_ms / 1000,
                pool_in_use=None if pool is None else pool.in_use,
                sockets=None if sockets is None else int(sockets),
                lag_s=reading.lag_s,
                resident_bytes=reading.memory.resident_bytes,
            )
        )
        self._counted, self._before_s = counts, now_s


def _count(one: object) -> int:
    assert isinstance(one, Histogram)
    return one.count


def _webhook(settings: Settings) -> AlertWebhook | None:
    url, secret = settings.alert_webhook_url, settings.alert_webhook_secret
    if url is None or secret is None:
        return None
    return AlertWebhook(url.get_secret_value(), webhook_key(secret.get_secret_value()))


def _log(flip: Flip) -> None:
    is_well = flip.after is ComponentState.HEALTHY
    logger.log(
        logging.INFO if is_well else logging.WARNING,
        "%s is %s: %s",
        flip.component,
        flip.after.value,
        flip.reason,
        extra={"event_name": "component_flipped", "component": flip.component, "state": flip.after.value},
    )


def _look(tx: Transaction) -> None:
    tx.instance("ready")
