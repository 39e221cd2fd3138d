"""Spans and metrics for OpenTelemetry: with its own SDK where somebody records, and nothing at all where nobody does."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import opentelemetry.metrics
import opentelemetry.trace
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sessile import AsyncSessionManager, SessionManager, Settings
from sessile.model.document import Actor
from sessile.model.errors import SessionEnded, StoreUnavailable
from sessile.telemetry.logs import JsonFormatter
from sessile.telemetry.table import METRICS, SPANS, UndeclaredTelemetry
from sessile.telemetry.traces import Traces, shortened
from sessile.testing.fake_cache import FakeCache, FakeCacheServer
from sessile.testing.shows import shows_security

MEMORY = Settings(database_url="memory://")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The real SDK, without making it the provider of this whole process."""
    provider, made = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(made))
    monkeypatch.setattr(opentelemetry.trace, "get_tracer_provider", lambda: provider)
    yield made
    provider.shutdown()


def points(metric: Any) -> list[Any]:
    return list(metric.data.data_points)


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_without_a_provider_nothing_is_recorded() -> None:
    traces = Traces()
    assert not traces.connect()
    assert not traces.is_on
    with traces.span("sessile.session.load") as span:
        assert span is None


def test_without_the_api_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert not Traces().connect()
    assert "opentelemetry.trace" not in sys.modules


@shows_security("V3.3.4")
async def test_a_request_s_spans_are_children_of_its_own_and_hold_no_token(exporter: InMemorySpanExporter) -> None:
    tracer = opentelemetry.trace.get_tracer_provider().get_tracer("test")
    async with AsyncSessionManager(MEMORY) as manager:
        made = await manager.create_session("ada")
        with tracer.start_as_current_span("GET /") as root:
            await manager.authenticate(made.token)
            await manager.change_session_data(made.session.session_id, [], user_id="ada")
    for name in ("sessile.session.load", "sessile.session.commit"):
        (span,) = named(exporter, name)
        assert span.parent is not None
        assert span.parent.span_id == root.get_span_context().span_id
        assert attributes(span)["session.id"] == shortened(made.session.session_id)
    secret = made.token.partition(".")[2]
    told = json.dumps([span.to_json() for span in exporter.get_finished_spans()])
    assert secret not in told
    assert made.session.session_id not in told
    assert "ada" not in told


def test_what_failed_has_its_code_and_never_its_text(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SessionManager(MEMORY) as manager:
        made = manager.create_session("ada")
        manager.destroy_session(made.session.session_id)
        with pytest.raises(SessionEnded):
            manager.authenticate(made.token)

        async def away(*_: Any) -> None:
            raise StoreUnavailable("the database at 10.1.2.3")

        monkeypatch.setattr(manager._store, "read", away)
        with pytest.raises(StoreUnavailable):
            manager.authenticate(made.token)
    ended, unavailable = named(exporter, "sessile.session.load")
    assert (attributes(ended)["error.type"], ended.status.is_ok) == (SessionEnded.code, True), "an answer is no error"
    assert (attributes(unavailable)["sessile.outcome"], unavailable.status.is_ok) == ("unavailable", False)
    assert "10.1.2.3" not in unavailable.to_json()


async def test_every_span_of_the_table_is_there(exporter: InMemorySpanExporter) -> None:
    cache = FakeCache(FakeCacheServer())
    cache.is_cut_off = True
    async with AsyncSessionManager(MEMORY, cache=cache) as manager:
        made = await manager.create_session("ada")
        await manager.authenticate(made.token)
        await manager.change_session_data(made.session.session_id, [], user_id="ada")
        actor = Actor(user_id="ada", session_id=made.session.session_id)
        opened = await manager.documents.open(actor, "note")
        await manager.documents.change(actor, opened.document.document_id, [{"op": "set", "path": "/a", "value": 1}])
        await manager.cleanup_expired_sessions()
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} == SPANS.keys()
    for span in spans:
        assert attributes(span).keys() - {"error.type"} <= set(SPANS[span.name].attributes)


def test_an_undeclared_span_or_attribute_is_refused(exporter: InMemorySpanExporter) -> None:
    traces = Traces()
    assert traces.connect()
    with pytest.raises(UndeclaredTelemetry), traces.span("sessile.secret"):
        pass
    with pytest.raises(UndeclaredTelemetry, match="user_id"), traces.span("sessile.sweep", {"user_id": "ada"}):
        pass


def test_a_line_of_a_log_has_the_trace_it_belongs_to(exporter: InMemorySpanExporter) -> None:
    traces = Traces()
    traces.connect()
    formatter = JsonFormatter()
    record = logging.LogRecord("sessile.web", logging.INFO, "", 1, "x", (), None)
    assert "trace_id" not in json.loads(formatter.format(record))
    with traces.span("sessile.sweep"):
        line = json.loads(formatter.format(record))
    (span,) = exporter.get_finished_spans()
    context = span.get_span_context()
    assert context is not None
    assert (line["trace_id"], line["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


async def test_metrics_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(opentelemetry.metrics, "get_meter_provider", lambda: provider)
    async with AsyncSessionManager(MEMORY) as manager:
        made = await manager.create_session("ada")
        await manager.authenticate(made.token)
        await manager.health()
        data = reader.get_metrics_data()
        assert data is not None
        told = {
            metric.name: metric
            for one in data.resource_metrics
            for scope in one.scope_metrics
            for metric in scope.metrics
        }
    provider.shutdown()
    names = {metric.otel_name: metric for metric in METRICS.values()}
    assert told.keys() <= names.keys()
    (point,) = points(told["sessile.session.read"])
    assert (point.count, dict(point.attributes), told["sessile.session.read"].unit) == (1, {"outcome": "live"}, "s")
    assert tuple(point.explicit_bounds) == METRICS["sessile_session_read_seconds"].buckets
    begun = {dict(one.attributes)["how"]: one.value for one in points(told["sessile.sessions.begun"])}
    assert begun == {"created": 1, "login": 0}
