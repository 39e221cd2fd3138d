"""The rules of alerts as a file for Prometheus, from the table in the code."""

from __future__ import annotations

from pathlib import Path

from sessile.telemetry.alerts import RULES

FILE = Path(__file__).resolve().parent.parent / "docs" / "operations" / "prometheus-alerts.yml"


def rules_file() -> str:
    """YAML. Prometheus has no cool-down: that is Alertmanager's `repeat_interval`."""
    lines = [
        "# Written by scripts/write_reference.py from sessile.telemetry.alerts: change the code, then run `make reference`.",
        "groups:",
        "  - name: sessile",
        "    rules:",
    ]
    for rule in RULES:
        name = "Sessile" + "".join(part.capitalize() for part in rule.name.split("_"))
        lines += [
            f"      - alert: {name}",
            f"        expr: {_quoted(rule.promql.replace('$THRESHOLD', f'{rule.threshold:g}'))}",
            f"        for: {rule.for_s:g}s",
            "        labels:",
            f"          severity: {rule.severity.value}",
            "        annotations:",
            f"          summary: {_quoted(rule.meaning)}",
        ]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
