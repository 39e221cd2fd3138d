"""A provider of OpenTelemetry that keeps spans as text, on its API alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace


class RecordedSpan(trace.NonRecordingSpan):
    """It writes down all that is said of it."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self._told = told

    def set_attribute(self, key: str, value: Any) -> None:
        self._told.append(f"{key}={value!r}")

    def set_attributes(self, attributes: Any) -> None:
        self._told.append(repr(dict(attributes)))

    def add_event(self, name: str, *given: Any, **named: Any) -> None:
        self._told.append(f"event {name} {given!r} {named!r}")

    def record_exception(self, exception: BaseException, *given: Any, **named: Any) -> None:
        self._told.append(f"exception {exception!r} {given!r} {named!r}")

    def set_status(self, *given: Any, **named: Any) -> None:
        self._told.append(f"status {given!r} {named!r}")

    def update_name(self, name: str) -> None:
        self._told.append(name)


class Recorder(trace.TracerProvider, trace.Tracer):
    """Provider and tracer in one."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self

    def start_span(self, name: str, *given: Any, **named: Any) -> trace.Span:
        self.told.append(f"span {name} {given!r} {named!r}")
        return RecordedSpan(self.told)

    @contextmanager
    def _current(self, name: str, *given: Any, **named: Any) -> Iterator[trace.Span]:
        yield self.start_span(name, *given, **named)

    def start_as_current_span(self, name: str, *given: Any, **named: Any) -> Any:
        return self._current(name, *given, **named)
