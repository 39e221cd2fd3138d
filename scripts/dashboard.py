"""The dashboard for Grafana, from a table of panels. Its queries name metrics of `sessile.telemetry.table` only, which a test checks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE = Path(__file__).resolve().parent.parent / "docs" / "operations" / "grafana-dashboard.json"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_HERE: Final = 'instance=~"$instance"'
_COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries` are pairs of a query and the legend of its series; `$HERE` stands for the chosen instances. `unit` is Grafana's."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    meaning: str = ""


def _quantile(share: float, metric: str, by: str = "") -> str:
    labels = f"le{', ' + by if by else ''}"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({metric}_bucket{{$HERE}}[$__rate_interval])))"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{$HERE}}[$__rate_interval]))"


PANELS: Final = (
    Panel("Database", (("min(sessile_store_up{$HERE})", "up"),), kind="stat", width=4, height=4),
    Panel("Cache used", (("min(sessile_cache_used{$HERE})", "used"),), kind="stat", width=4, height=4, meaning="Also 0 while nobody reads."),
    Panel("Sockets", (("sum(sessile_sockets{$HERE})", "sockets"),), kind="stat", width=4, height=4),
    Panel("Alerts", (("sum(sessile_alert_firing{$HERE})", "firing"),), kind="stat", width=4, height=4),
    Panel("Draining", (("sum(sessile_draining{$HERE})", "processes"),), kind="stat", width=4, height=4),
    Panel("Worst component", (("max(sessile_component_state{$HERE})", "0 healthy, 1 degraded, 2 unhealthy"),), kind="stat", width=4, height=4),
    Panel("Session reads", ((_rate("sessile_session_read_seconds_count", "outcome"), "{{outcome}}"),), unit="reqps", meaning="unavailable and failed are answered 503."),
    Panel(
        "Time of a session read",
        tuple((_quantile(share, "sessile_session_read_seconds"), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
        unit="s",
    ),
    Panel(
        "Share of reads that the cache answered",
        (("sum(rate(sessile_cache_hits_total{$HERE}[$__rate_interval])) / (sum(rate(sessile_cache_hits_total{$HERE}[$__rate_interval])) + sum(rate(sessile_cache_misses_total{$HERE}[$__rate_interval])))", "hits"),),
        unit="percentunit",
    ),
    Panel("Sessions begun", ((_rate("sessile_sessions_begun_total", "how"), "{{how}}"),), unit="ops"),
    Panel("Sessions ended", ((_rate("sessile_sessions_ended_total", "reason"), "{{reason}}"),), unit="ops"),
    Panel("What looks like an attack", (("sum by (kind) (increase(sessile_anomalies_total{$HERE}[$__rate_interval]))", "{{kind}}"),)),
    Panel("Changes of session data", ((_rate("sessile_session_commit_seconds_count", "outcome"), "{{outcome}}"), ), unit="ops"),
    Panel("Changes of documents", ((_rate("sessile_document_changes_total", "verdict"), "{{verdict}}"),), unit="ops"),
    Panel(
        "Time until a change is durable",
        ((_quantile(0.95, "sessile_session_commit_seconds"), "session p95"), (_quantile(0.95, "sessile_document_change_seconds"), "document p95")),
        unit="s",
    ),
    Panel("Transactions", ((_rate("sessile_store_transaction_seconds_count", "kind, outcome"), "{{kind}} {{outcome}}"),), unit="ops"),
    Panel("Time of a transaction, p95", ((_quantile(0.95, "sessile_store_transaction_seconds", "kind"), "{{kind}}"),), unit="s"),
    Panel("Look at the database", (("max by (instance) (sessile_store_latency_seconds{$HERE})", "{{instance}}"),), unit="s"),
    Panel(
        "Connections",
        (("sum(sessile_pool_in_use{$HERE})", "at work"), ("sum(sessile_pool_connections{$HERE})", "there"), ("sum(sessile_pool_size_max{$HERE})", "at most"), ("sum(sessile_pool_waiting{$HERE})", "callers that wait")),
    ),
    Panel("Way to the cache", (("sum by (state) (sessile_cache_link{$HERE})", "{{state}}"),)),
    Panel(
        "Cache lost, late, refused",
        (
            ("sum(increase(sessile_cache_failures_total{$HERE}[$__rate_interval]))", "lost"),
            ("sum(increase(sessile_cache_timeouts_total{$HERE}[$__rate_interval]))", "late"),
            ("sum(increase(sessile_cache_refusals_total{$HERE}[$__rate_interval]))", "refused at once"),
        ),
    ),
    Panel("Components", (("max by (component) (sessile_component_state{$HERE})", "{{component}}"),), kind="state-timeline", width=12),
    Panel("Changes of state", (("sum by (component) (increase(sessile_component_flips_total{$HERE}[$__rate_interval]))", "{{component}}"),), width=6),
    Panel("Alerts that fire", (("max by (rule) (sessile_alert_firing{$HERE})", "{{rule}}"),), kind="state-timeline", width=6),
    Panel("Work between requests", ((_rate("sessile_background_rounds_total", "task, outcome"), "{{task}} {{outcome}}"),), unit="ops"),
    Panel("Since the last success", (("max by (task) (sessile_background_success_age_seconds{$HERE})", "{{task}}"),), unit="s"),
    Panel("Notifications", ((_rate("sessile_alert_notifications_total", "channel, outcome"), "{{channel}} {{outcome}}"),), unit="ops"),
    Panel("Event loop late by", (("max by (instance) (sessile_loop_lag_seconds{$HERE})", "{{instance}}"),), unit="s", width=12),
    Panel("Memory", (("max by (instance) (sessile_process_resident_bytes{$HERE})", "{{instance}}"),), unit="bytes", width=6),
    Panel("Share of the memory there is", (("max by (instance) (sessile_memory_used_ratio{$HERE})", "{{instance}}"),), unit="percentunit", width=6),
)  # fmt: skip


def dashboard() -> str:
    """JSON for "Import dashboard"."""
    x = y = row_height = 0
    panels = []
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > _COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        panels.append(_panel(number, panel, x, y))
        x, row_height = x + panel.width, max(row_height, panel.height)
    made = {
        "title": "Sessile",
        "uid": "sessile",
        "description": "Written by scripts/write_reference.py: change scripts/dashboard.py, then run make reference.",
        "tags": ["sessile"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source_variable(), _instance_variable()]},
        "panels": panels,
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": panel.title,
        "description": panel.meaning,
        "type": panel.kind,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": query.replace("$HERE", _HERE),
                "legendFormat": legend,
            }
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _instance_variable() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Instance",
        "type": "query",
        "datasource": _SOURCE,
        "query": "label_values(sessile_store_up, instance)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
