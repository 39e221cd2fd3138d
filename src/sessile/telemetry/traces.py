"""Spans for whoever records them with OpenTelemetry. Without a provider there is no tracer, and a span costs one look at an attribute."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from sessile.model.errors import SessileError
from sessile.telemetry.table import ERROR_TYPE, SPANS, UndeclaredTelemetry

_ID_SHOWN: Final = 8


class Span:
    """What code may say of a span: attributes of the table."""

    __slots__ = ("_entry", "_span")

    def __init__(self, name: str, span: Any) -> None:
        self._entry = SPANS[name]
        self._span = span

    def set(self, attribute: str, value: str | int) -> None:
        """Raises UndeclaredTelemetry."""
        if attribute not in self._entry.attributes:
            raise UndeclaredTelemetry(f"{self._entry.name} has no attribute {attribute}")
        self._span.set_attribute(attribute, value)


class Traces:
    """`is_on` is False until somebody has set a provider; `connect` looks for one."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self.is_on = False

    def connect(self) -> bool:
        """Looks whether somebody records spans. Nothing is imported for it: whoever has set a provider has imported the API. Whether there is one."""
        api = sys.modules.get("opentelemetry.trace")
        if api is None:
            return False
        provider = api.get_tracer_provider()
        if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
            self.is_on, self._tracer = False, None
        elif not self.is_on:
            self._tracer = provider.get_tracer("sessile", release())
            self.is_on = True
        return self.is_on

    def span(self, name: str, attributes: Mapping[str, str | int] | None = None) -> AbstractContextManager[Span | None]:
        """Around what it tells of; None where nobody records. What fails is marked with the error's stable code, never with its text. Raises UndeclaredTelemetry."""
        return _OFF if not self.is_on else self._recorded(name, attributes or {})

    @contextmanager
    def _recorded(self, name: str, attributes: Mapping[str, str | int]) -> Iterator[Span]:
        if name not in SPANS:
            raise UndeclaredTelemetry(f"{name} is not in the table of spans")
        started = self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)
        with started as raw:
            span = Span(name, raw)
            for attribute, value in attributes.items():
                span.set(attribute, value)
            try:
                yield span
            except Exception as error:
                raw.set_attribute(ERROR_TYPE, error.code if isinstance(error, SessileError) else type(error).__name__)
                if not isinstance(error, SessileError) or error.retryable:  # a refusal by a rule is an answer
                    raw.set_status(_error_status())
                raise


def release() -> str:
    """The version of the package that is installed; empty where it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sessile")
    except PackageNotFoundError:
        return ""


_OFF: Final = nullcontext[None](None)


def shortened(identifier: str | None) -> str:
    """An id for logs and traces: its last eight characters. The first ones of a UUIDv7 are the time, which many share."""
    return "" if identifier is None else identifier if len(identifier) <= _ID_SHOWN else f"…{identifier[-_ID_SHOWN:]}"


def current_ids() -> tuple[str, str] | None:
    """Trace and span id (hexadecimal) of the span that this code runs in; None without one."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def _error_status() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)
