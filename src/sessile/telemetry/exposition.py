"""Metrics as Prometheus reads them: the text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from sessile.telemetry.metrics import Histogram, Metrics

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def exposition(metrics: Metrics) -> str:
    """All series that have a value. Names, labels and their values are those of the table, so nothing has to be escaped."""
    return "".join(f"{line}\n" for name in metrics.table for line in _family(metrics, name))


def _family(metrics: Metrics, name: str) -> Iterator[str]:
    metric = metrics.table[name]
    lines = [line for labels, one in metrics.each(name) for line in _lines(name, labels, one, metric.buckets)]
    if lines:
        yield f"# HELP {name} {metric.meaning}"
        yield f"# TYPE {name} {metric.kind.value}"
        yield from lines


def _lines(name: str, labels: Mapping[str, str], one: object, bounds: tuple[float, ...]) -> Iterator[str]:
    if isinstance(one, Histogram):
        counts, total = one.read()
        for bound, count in zip((*(f"{bound:g}" for bound in bounds), "+Inf"), accumulate(counts), strict=True):
            yield f"{name}_bucket{_shown({**labels, 'le': bound})} {count}"
        yield f"{name}_sum{_shown(labels)} {_number(total)}"
        yield f"{name}_count{_shown(labels)} {sum(counts)}"
        return
    value: float | None = getattr(one, "value", None)
    if value is not None:
        yield f"{name}{_shown(labels)} {_number(value)}"


def _shown(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
