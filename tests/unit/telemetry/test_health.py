"""Components with a history, alerts with cool-down and acknowledgement, and the look that brings both up to date."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from sessile import InvalidValue, SessionManager, Settings, verify_webhook
from sessile.model.errors import ConfigurationError, StoreUnavailable
from sessile.model.health import CacheLink, CacheStatus, ComponentState, Health, MemoryUse, PoolStatus
from sessile.model.webhook import webhook_key
from sessile.runtime.lane import drive
from sessile.runtime.sinks import SinkFailed
from sessile.runtime.sinks.alerts import AlertWebhook, Notifier
from sessile.telemetry.alerts import RULES, AlertRule, Alerts, AlertState, Notice, Severity, make_rules, values_of
from sessile.telemetry.health import HealthHistory
from sessile.telemetry.hub import Telemetry
from sessile.telemetry.judging import Reading, judgements
from sessile.telemetry.metrics import Metrics
from sessile.telemetry.table import UndeclaredTelemetry
from sessile.testing import FakeClock
from tests.integration.audit_receivers import SECRET

HEALTHY, DEGRADED, UNHEALTHY = ComponentState.HEALTHY, ComponentState.DEGRADED, ComponentState.UNHEALTHY
RULE = AlertRule("pool_full", "Full.", Severity.WARNING, 0.9, "", 30, 300, "x")


def reading(**given: Any) -> Reading:
    usual: dict[str, Any] = {
        "pool": PoolStatus(4, 1, 8),
        "health": Health(2.0, PoolStatus(4, 1, 8), CacheStatus(True, 9, 1, CacheLink("up"))),
        "background_failures": 0,
        "sweep_age_s": 10,
        "sweep_interval_s": 60,
        "sink_failures": 0,
        "errors": 0.0,
        "lag_s": 0.0,
        "memory": MemoryUse(10_000_000, 10_000_000, 1_000_000_000),
    }
    return Reading(**{**usual, **given})


def test_only_a_change_of_state_is_history() -> None:
    clock, metrics = FakeClock(), Metrics()
    history = HealthHistory(metrics, clock)
    begun = clock.now()
    assert history.report("database", HEALTHY, "answered in 2 ms") is None
    clock.advance(10)
    assert history.report("database", HEALTHY, "answered in 3 ms") is None
    clock.advance(10)
    flip = history.report("database", UNHEALTHY, "it cannot be reached")
    assert flip is not None
    assert (flip.before, flip.after, flip.at) == (HEALTHY, UNHEALTHY, clock.now())
    (component,) = history.components()
    assert (component.reason, component.since > begun, history.state()) == ("it cannot be reached", True, UNHEALTHY)
    assert metrics.gauge("sessile_component_state", component="database").value == 2
    history.report("database", HEALTHY, "answered in 2 ms")
    assert [one.after for one in history.history()] == [HEALTHY, UNHEALTHY], "newest first"
    assert history.history("pool") == []
    assert metrics.counter("sessile_component_flips_total", component="database").value == 2


def test_history_is_bounded_and_an_unknown_component_refused() -> None:
    history = HealthHistory(Metrics(), FakeClock(), flips_max=3)
    for number in range(10):
        history.report("pool", DEGRADED if number % 2 else HEALTHY, str(number))
    assert [one.reason for one in history.history()] == ["9", "8", "7"]
    with pytest.raises(UndeclaredTelemetry):
        history.report("user ada", DEGRADED, "")


@pytest.mark.parametrize(
    ("given", "component", "state"),
    [
        ({}, "database", HEALTHY),
        ({"health": None}, "database", UNHEALTHY),
        ({"health": Health(1500, None)}, "database", DEGRADED),
        ({"health": Health(5000, None)}, "database", UNHEALTHY),
        ({"pool": PoolStatus(8, 7, 8)}, "pool", DEGRADED),
        ({"pool": PoolStatus(8, 8, 8, 3)}, "pool", UNHEALTHY),
        ({"health": Health(1, None, CacheStatus(False, 0, 9, CacheLink("down")))}, "cache", DEGRADED),
        ({"health": Health(1, None, CacheStatus(False, 0, 9, CacheLink("up"))), "reads": 1}, "cache", DEGRADED),
        ({"health": Health(1, None, CacheStatus(False, 0, 9, CacheLink("up")))}, "cache", HEALTHY),
        ({"background_failures": 1}, "background", DEGRADED),
        ({"background_failures": 3}, "background", UNHEALTHY),
        ({"sweep_age_s": 130}, "sweep", DEGRADED),
        ({"sweep_age_s": 250}, "sweep", UNHEALTHY),
        ({"sink_failures": 1}, "audit_sinks", DEGRADED),
        ({"errors": 0.05}, "errors", DEGRADED),
        ({"errors": 0.2}, "errors", UNHEALTHY),
        ({"lag_s": 0.6}, "responsiveness", DEGRADED),
        ({"memory": MemoryUse(3_000_000_000, 3_000_000_000, 24_000_000_000)}, "memory", HEALTHY),
        ({"memory": MemoryUse(200_000_000, 800_000_000, 1_000_000_000)}, "memory", DEGRADED),
        ({"memory": MemoryUse(490_000_000, 490_000_000, 512_000_000)}, "memory", UNHEALTHY),
    ],
)
def test_thresholds(given: dict[str, Any], component: str, state: ComponentState) -> None:
    judged = {name: found for name, found, _ in judgements(reading(**given))}
    assert judged[component] is state
    if given:
        assert {found for name, found in judged.items() if name != component} == {HEALTHY}, "and nothing else is blamed"


def test_a_pool_that_is_exhausted_is_no_database_that_is_away() -> None:
    exhausted = reading(health=None, pool=PoolStatus(8, 8, 8, 3))
    told = {name: reason for name, _, reason in judgements(exhausted)}
    assert told["database"] == "no connection to it was free"
    assert told["pool"] == "8 of 8 connections at work, 3 callers wait"
    assert values_of(exhausted)["pool_full"] == 1.0
    away = {name: reason for name, _, reason in judgements(reading(health=None))}
    assert away["database"] == "it cannot be reached"


def test_an_alert_waits_is_told_once_and_cools_down() -> None:
    clock, metrics = FakeClock(), Metrics()
    alerts = Alerts(metrics, clock, [RULE])

    def judge(value: float | None, after_s: float = 0) -> list[Notice]:
        clock.advance(after_s)
        return alerts.judge({"pool_full": value})

    assert judge(0.95) == [], "not yet: it has to last"
    assert judge(0.5, 20) == []
    assert judge(0.95, 5) == []
    (fired,) = judge(0.97, 30)
    assert (fired.alert.state, fired.alert.value, fired.is_repeated) == (AlertState.ACTIVE, 0.97, False)
    assert metrics.gauge("sessile_alert_firing", rule="pool_full").value == 1
    assert judge(0.98, 60) == [], "told already"
    assert judge(None, 60) == [], "not known: nothing changes"
    (again,) = judge(0.98, 240)
    assert again.is_repeated
    (over,) = judge(0.1, 10)
    assert over.alert.state is AlertState.RESOLVED
    assert (alerts.active(), metrics.gauge("sessile_alert_firing", rule="pool_full").value) == ([], 0)
    assert judge(0.99, 30) == []
    assert judge(0.99, 30) == [], "it came back within its cool-down"
    assert alerts.active()[0].times == 2
    assert judge(0.1, 10) == [], "and nobody is told of the end of what they were not told of"
    assert [one.state for one in alerts.resolved()] == [AlertState.RESOLVED] * 2


def test_an_acknowledged_alert_is_told_no_more_until_it_is_over() -> None:
    clock = FakeClock()
    alerts = Alerts(Metrics(), clock, [RULE])
    with pytest.raises(InvalidValue):
        alerts.acknowledge("pool_full", "ada")
    alerts.judge({"pool_full": 1})
    clock.advance(30)
    assert len(alerts.judge({"pool_full": 1})) == 1
    assert alerts.told_again_at(alerts.active()[0]) == clock.now() + timedelta(seconds=RULE.cooldown_s)
    acknowledged = alerts.acknowledge("pool_full", "ada", "I am on it")
    assert (acknowledged.acknowledged_by, acknowledged.note) == ("ada", "I am on it")
    assert alerts.told_again_at(acknowledged) is None
    clock.advance(1000)
    assert alerts.judge({"pool_full": 1}) == []
    assert alerts.active()[0].state is AlertState.ACKNOWLEDGED
    (over,) = alerts.judge({"pool_full": 0})
    assert over.alert.acknowledged_by == "ada"


def test_a_rule_can_be_changed_and_switched_off() -> None:
    clock = FakeClock()
    alerts = Alerts(Metrics(), clock, [RULE])
    assert alerts.configure("pool_full", threshold=0.5).threshold == 0.5
    alerts.judge({"pool_full": 0.6})
    clock.advance(30)
    assert len(alerts.judge({"pool_full": 0.6})) == 1
    alerts.configure("pool_full", enabled=False)
    assert (alerts.active(), alerts.judge({"pool_full": 1})) == ([], [])
    with pytest.raises(InvalidValue):
        alerts.configure("nonsense", enabled=True)


def test_rules_of_the_settings() -> None:
    settings = Settings(alert_rules={"pool_full": {"threshold": 0.5, "enabled": 0}}, sweep_interval_s=7200)
    made = {rule.name: rule for rule in make_rules(settings.alert_rules, settings.sweep_interval_s)}
    assert (made["pool_full"].threshold, made["pool_full"].enabled) == (0.5, False)
    assert made["sweep_late"].threshold == 14400
    for rules, fault in (
        ({"nonsense": {}}, "there is no rule 'nonsense'"),
        ({"pool_full": {"treshold": 1}}, "no treshold"),
        ({"pool_full": {"for_s": -1}}, "below 0"),
        ({"memory_high": {"threshold": 2e9}}, "a share"),
    ):
        with pytest.raises(ConfigurationError, match=f"SESSILE_ALERT_RULES: .*{fault}"):
            Settings(alert_rules=rules)
    with pytest.raises(ConfigurationError, match="alert_webhook_secret"):
        Settings(alert_webhook_url="https://alerts.example/x")


def test_every_rule_has_a_value() -> None:
    assert values_of(reading()).keys() == {rule.name for rule in RULES}
    quiet = values_of(reading())
    assert [rule.name for rule in RULES if (quiet[rule.name] or 0) > rule.threshold] == []
    away = values_of(reading(health=None))
    assert (away["database_down"], away["cache_down"]) == (1, None)
    idle = Health(1, None, CacheStatus(False, 0, 9, CacheLink("up")))
    assert [values_of(reading(health=idle, reads=reads))["cache_down"] for reads in (0, 1)] == [0, 1]


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with SessionManager(Settings(database_url="memory://"), clock=FakeClock()) as made:
        yield made


def test_an_outage_is_seen_told_and_over(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry, watch = manager.telemetry, manager.serving.background.watch
    assert watch is not None
    token = manager.create_session("ada").token
    monkeypatch.setattr(
        "sessile.runtime.watch.memory_use", lambda: MemoryUse(10, 10, 100)
    )  # not the machine of the tests
    drive(watch.round())
    assert telemetry.health.state() is HEALTHY

    async def away(*_: Any) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as outage, caplog.at_level(logging.INFO, "sessile"):
        outage.setattr(manager._store, "read", away)
        for _ in range(25):
            with pytest.raises(StoreUnavailable):
                manager.authenticate(token)
        drive(watch.round())
    states = {one.name: one.state for one in telemetry.components()}
    assert (states["database"], states["errors"]) == (UNHEALTHY, UNHEALTHY)
    assert [alert.rule.name for alert in telemetry.alerts.active()] == ["database_down"]
    assert {record.event_name for record in caplog.records} == {"component_flipped", "alert_fired"}  # type: ignore[attr-defined]
    sample = telemetry.samples()[-1]
    assert (sample["errors"], sample["store_latency_s"]) == (1.0, None)
    drive(watch.round())
    assert telemetry.alerts.active() == []
    assert [flip.after for flip in telemetry.health_history("database")] == [HEALTHY, UNHEALTHY]
    assert manager.telemetry.metrics.gauge("sessile_store_up").value == 1


def test_the_ring_of_samples_is_bounded(manager: SessionManager) -> None:
    watch = manager.serving.background.watch
    assert watch is not None
    for _ in range(3):
        drive(watch.round())
    assert len(manager.telemetry.samples(2)) == 2
    sample = manager.telemetry.samples()[0]
    for _ in range(400):
        manager.telemetry.keep(sample)  # type: ignore[arg-type] # only counted
    assert len(manager.telemetry._samples) == 360


class Receiver(AlertWebhook):
    """Keeps what would be posted; the first `failures` tries fail."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__("https://alerts.example/x?key=secret", webhook_key(SECRET))
        self.failures = failures
        self.got: list[tuple[dict[str, str], bytes]] = []

    def _post(self, messages: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise SinkFailed("alerts.example: ConnectionRefusedError")
        self.got += messages


def test_a_webhook_is_told_signed_and_again_after_a_failure() -> None:
    telemetry, receiver = Telemetry(FakeClock()), Receiver(failures=2)
    clock = FakeClock()
    alerts = Alerts(Metrics(), clock, [RULE])
    alerts.judge({"pool_full": 1})
    clock.advance(30)
    notifier = Notifier(telemetry, receiver, "node", pause=lambda _: None)
    notifier.tell(alerts.judge({"pool_full": 1}))
    notifier.join(10)
    ((headers, body),) = receiver.got
    told = json.loads(body)
    assert (told["type"], told["data"]["rule"], told["data"]["state"]) == ("alert.fired", "pool_full", "active")
    with pytest.raises(InvalidValue, match="not audit events"):  # so the signature is right
        verify_webhook(SECRET, headers, body)
    counter = telemetry.metrics.counter
    assert counter("sessile_alert_notifications_total", channel="webhook", outcome="sent").value == 1
    assert counter("sessile_alert_notifications_total", channel="log", outcome="sent").value == 1


def test_a_webhook_that_is_away_is_given_up_and_told(caplog: pytest.LogCaptureFixture) -> None:
    telemetry, clock = Telemetry(FakeClock()), FakeClock()
    alerts = Alerts(Metrics(), clock, [RULE])
    alerts.judge({"pool_full": 1})
    clock.advance(30)
    notifier = Notifier(telemetry, Receiver(failures=99), "node", pause=lambda _: None)
    notifier.tell(alerts.judge({"pool_full": 1}))
    notifier.join(10)
    assert caplog.records[-1].event_name == "alert_not_told"  # type: ignore[attr-defined]
    assert "secret" not in caplog.text
    assert (
        telemetry.metrics.counter("sessile_alert_notifications_total", channel="webhook", outcome="failed").value == 1
    )
