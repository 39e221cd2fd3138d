"""Counters, gauges and histograms: exact under threads, bounded by the table, and as Prometheus reads them."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from sessile import AsyncSessionManager, SessionManager, Settings
from sessile.model.errors import SessionEnded, SessionNotFound, StoreUnavailable
from sessile.model.session import EndReason
from sessile.telemetry.exposition import exposition
from sessile.telemetry.metrics import Histogram, Metrics, quantile_of
from sessile.telemetry.table import METRICS, SECONDS, SERIES_MAX, Metric, MetricKind, UndeclaredTelemetry

READ = "sessile_session_read_seconds"


def value(manager: SessionManager | AsyncSessionManager, name: str, **labels: str) -> float:
    return manager.telemetry.metrics.counter(name, **labels).value


def count(manager: SessionManager | AsyncSessionManager, name: str, **labels: str) -> int:
    return manager.telemetry.metrics.histogram(name, **labels).count


def test_threads_lose_no_count() -> None:
    metrics = Metrics()
    counter = metrics.counter("sessile_sessions_begun_total", how="login")
    histogram = metrics.histogram(READ, outcome="live")

    def work() -> None:
        for _ in range(2000):
            counter.add()
            histogram.observe(0.003)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counter.value, histogram.count) == (8000, 8000)
    assert histogram.total == pytest.approx(24)


@pytest.mark.parametrize(
    ("name", "labels", "fault"),
    [
        ("sessile_session_reads_total", {}, "not in the table"),
        (READ, {"outcome": "live", "user_id": "ada"}, "has the labels"),
        (READ, {}, "has the labels"),
        (READ, {"outcome": "ada@example.com"}, "a value that is not in the table"),
    ],
)
def test_what_the_table_does_not_have_is_refused(name: str, labels: dict[str, str], fault: str) -> None:
    with pytest.raises(UndeclaredTelemetry, match=fault) as refused:
        Metrics().histogram(name, **labels)
    assert "ada" not in str(refused.value), "a value may be somebody's name"


def test_a_metric_of_another_kind_is_refused() -> None:
    for kind in ("counter", "gauge"):
        with pytest.raises(UndeclaredTelemetry, match=f"no {kind}"):
            getattr(Metrics(), kind)(READ, outcome="live")
    with pytest.raises(ValueError, match="only goes up"):
        Metrics().counter("sessile_sessions_begun_total", how="login").add(-1)


def test_the_number_of_series_is_known_before_anything_happens() -> None:
    series = {name: metric.series for name, metric in METRICS.items()}
    assert max(series.values()) <= SERIES_MAX
    assert sum(series.values()) < 300


def test_quantiles_are_bounds_of_buckets() -> None:
    histogram = Histogram(SECONDS)
    assert histogram.quantile(0.5) is None
    for taken_s in (0.0002, 0.0002, 0.0002, 0.04):
        histogram.observe(taken_s)
    assert (histogram.quantile(0.5), histogram.quantile(0.95)) == (0.00025, 0.05)
    assert quantile_of((1.0, 2.0), [0, 0, 3], 0.5) == 2.0, "beyond the last bound it is that bound"


SAMPLE = re.compile(r'(sessile_[a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? (-?[0-9.e+-]+)')


def test_the_text_is_what_prometheus_reads() -> None:
    table = {
        "sessile_a_seconds": Metric(
            "sessile_a_seconds", MetricKind.HISTOGRAM, "seconds", "A.", {"kind": ("x",)}, (0.1, 1.0)
        ),
        "sessile_b": Metric("sessile_b", MetricKind.GAUGE, "", "B."),
        "sessile_c": Metric("sessile_c", MetricKind.GAUGE, "", "Nobody set it."),
    }
    metrics = Metrics(table)
    for taken_s in (0.05, 0.1, 0.5, 7):
        metrics.histogram("sessile_a_seconds", kind="x").observe(taken_s)
    metrics.gauge("sessile_b").set(1.5)
    assert exposition(metrics).splitlines() == [
        "# HELP sessile_a_seconds A.",
        "# TYPE sessile_a_seconds histogram",
        'sessile_a_seconds_bucket{kind="x",le="0.1"} 2',
        'sessile_a_seconds_bucket{kind="x",le="1"} 3',
        'sessile_a_seconds_bucket{kind="x",le="+Inf"} 4',
        'sessile_a_seconds_sum{kind="x"} 7.65',
        'sessile_a_seconds_count{kind="x"} 4',
        "# HELP sessile_b B.",
        "# TYPE sessile_b gauge",
        "sessile_b 1.5",
    ]


def test_every_line_of_the_whole_table_is_well_formed() -> None:
    lines = exposition(Metrics()).splitlines()
    assert len(lines) > 100
    assert [line for line in lines if not line.startswith("# ") and SAMPLE.fullmatch(line) is None] == []


def test_what_a_blocking_manager_does_is_counted() -> None:
    with SessionManager(Settings(database_url="memory://")) as manager:
        made = manager.create_session("ada")
        manager.authenticate(made.token)
        manager.login(made.session.session_id, "ada")
        manager.change_session_data(made.session.session_id, [], user_id="ada")
        manager.destroy_session(made.session.session_id, reason=EndReason.ADMIN)
        with pytest.raises(SessionEnded):
            manager.change_session_data(made.session.session_id, [], user_id="ada")
        with pytest.raises(SessionNotFound):
            manager.authenticate("nonsense")
        assert [count(manager, READ, outcome=outcome) for outcome in ("live", "unknown", "ended")] == [1, 1, 0]
        assert value(manager, "sessile_sessions_begun_total", how="created") == 1
        assert value(manager, "sessile_sessions_begun_total", how="login") == 1
        assert value(manager, "sessile_sessions_ended_total", reason="admin") == 1
        commits = [count(manager, "sessile_session_commit_seconds", outcome=o) for o in ("done", "refused")]
        assert commits == [1, 1]


async def test_what_an_asyncio_manager_does_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncSessionManager(Settings(database_url="memory://")) as manager:
        made = await manager.create_session("ada")
        await manager.authenticate(made.token)
        await manager.change_session_data(made.session.session_id, [], user_id="ada")

        async def away(*_: Any) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(manager._store, "read", away)
        with pytest.raises(StoreUnavailable):
            await manager.authenticate(made.token)
        assert [count(manager, READ, outcome=outcome) for outcome in ("live", "unavailable")] == [1, 1]
        assert count(manager, "sessile_session_commit_seconds", outcome="done") == 1
        assert count(manager, "sessile_store_transaction_seconds", kind="read", outcome="unavailable") == 1
        shown = manager.telemetry.snapshot()
        assert {one["labels"]["outcome"]: one["count"] for one in shown[READ]["series"]}["live"] == 1
