"""The page of `docs/reference` that has everything Sessile tells about itself, from the table in the code."""

from __future__ import annotations

from sessile.telemetry.alerts import RULES
from sessile.telemetry.judging import THRESHOLDS
from sessile.telemetry.log_events import LOG_EVENTS
from sessile.telemetry.table import ERROR_TYPE, METRICS, SPANS, MetricKind


def page(notice: str) -> str:
    """Metrics, spans, components and rules of alerts."""
    lines = [
        "# Telemetry",
        notice,
        "",
        "How to use it: [telemetry](../how-to/telemetry.md). A test compares this table with the code: nothing is told that does not stand here, and nothing stands here that is not told.",
        "",
        "## Metrics",
        (
            "At `/metrics` under these names; with OpenTelemetry under those in the second column. Labels have the values that stand here and no others, so a process has "
            f"{sum(metric.series for metric in METRICS.values())} series at most. No label is made of a user, a session, an address or a path."
        ),
        "",
        "| Prometheus | OpenTelemetry | kind | labels | meaning |",
        "|---|---|---|---|---|",
    ]
    for metric in METRICS.values():
        labels = "; ".join(f"`{label}`: {', '.join(values)}" for label, values in metric.labels.items())
        kind = f"{metric.kind.value}{f', {metric.unit}' if metric.unit else ''}"
        lines.append(f"| `{metric.name}` | `{metric.otel_name}` | {kind} | {labels} | {metric.meaning} |")
    bounds = next(metric.buckets for metric in METRICS.values() if metric.kind is MetricKind.HISTOGRAM)
    lines += [
        "",
        f"Buckets of histograms, in seconds: {', '.join(f'{bound:g}' for bound in bounds)}.",
        "",
        "## Spans",
        f"With OpenTelemetry, where a provider is set. A span that failed has `{ERROR_TYPE}` with the error's stable code, never its text. Ids are shortened to their last eight characters.",
        "",
        "| span | attributes | meaning |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{one.name}` | {', '.join(f'`{attribute}`' for attribute in one.attributes)} | {one.meaning} |"
        for one in SPANS.values()
    ]
    return "\n".join([*lines, *_log_lines(), *_components(), *_alerts(), ""])


def _log_lines() -> list[str]:
    return [
        "",
        "## Lines of logs",
        "Each has its name as `event_name` (`extra`), and as `event` in a line of JSON. Texts may change, names do not.",
        "",
        "| event | level | logger | fields | meaning |",
        "|---|---|---|---|---|",
        *(
            f"| `{one.name}` | {', '.join(one.levels)} | {', '.join(f'`{name}`' for name in one.loggers)} | "
            f"{', '.join(f'`{name}`' for name in one.fields)} | {one.meaning} |"
            for one in LOG_EVENTS.values()
        ),
    ]


def _components() -> list[str]:
    rows = [
        f"| `{name}` | {_shown(one.degraded, one.unit)} | {_shown(one.unhealthy, one.unit)} | {one.meaning} |"
        for name, one in THRESHOLDS.items()
    ]
    return [
        "",
        "## Components",
        "Looked at every `health_interval_s`. Each change of a state is kept with its reason and time, the last 256 of a process.",
        "",
        "| component | degraded from | unhealthy from | what is measured |",
        "|---|---|---|---|",
        *rows,
        "| `cache` | while sessions are read and not from it, or there is no way to it | | |",
    ]


def _alerts() -> list[str]:
    return [
        "",
        "## Alerts",
        (
            "An alert fires when its value has been above the threshold for that long. It is told again every cool-down while it lasts and nobody has acknowledged it. "
            "[The same for Prometheus](../operations/prometheus-alerts.yml)."
        ),
        "",
        "| rule | severity | threshold | for | cool-down | meaning |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{rule.name}` | {rule.severity.value} | {_shown(rule.threshold, rule.unit)} | {rule.for_s:g} s | {rule.cooldown_s:g} s | {rule.meaning} |"
            for rule in RULES
        ),
    ]


def _shown(value: float, unit: str) -> str:
    return f"{value:g} {unit}".strip()
