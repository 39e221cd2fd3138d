"""The metrics of the table as OpenTelemetry's, for whoever has set a provider of meters. Counters and gauges are read when they are collected and cost nothing between."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from sessile.telemetry.metrics import Histogram, Metrics
from sessile.telemetry.table import Metric, MetricKind
from sessile.telemetry.traces import release


def connect_metrics(metrics: Metrics, collect: Callable[[], None]) -> bool:
    """Makes an instrument for each metric, once. `collect` brings what is read on demand up to date. False where nobody records; nothing is imported for that."""
    api = sys.modules.get("opentelemetry.metrics")
    if api is None:
        return False
    provider = api.get_meter_provider()
    if type(provider).__name__ in {"_ProxyMeterProvider", "NoOpMeterProvider"}:
        return False
    meter = provider.get_meter("sessile", release())
    for metric in metrics.table.values():
        _connect(api, meter, metrics, metric, collect)
    return True


def _connect(api: Any, meter: Any, metrics: Metrics, metric: Metric, collect: Callable[[], None]) -> None:
    unit = {"seconds": "s", "bytes": "By"}.get(metric.unit, "1")
    if metric.kind is MetricKind.HISTOGRAM:
        instrument = meter.create_histogram(
            metric.otel_name,
            unit=unit,
            description=metric.meaning,
            explicit_bucket_boundaries_advisory=list(metric.buckets),
        )
        for labels, one in metrics.each(metric.name):
            assert isinstance(one, Histogram)
            one.also = _recorder(instrument, labels)
        return

    def observed(_options: Any) -> Iterable[Any]:
        collect()
        for labels, one in metrics.each(metric.name):
            value = getattr(one, "value", None)
            if value is not None:
                yield api.Observation(value, labels)

    make = meter.create_observable_counter if metric.kind is MetricKind.COUNTER else meter.create_observable_gauge
    make(metric.otel_name, callbacks=[observed], unit=unit, description=metric.meaning)


def _recorder(instrument: Any, labels: dict[str, str]) -> Callable[[float], None]:
    return lambda value: instrument.record(value, labels)
