"""The rules of alerts as a file for Prometheus, from the table in the code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sessile.telemetry.alerts import RULES

FILE = Path(__file__).resolve().parent.parent / "docs" / "operations" / "prometheus-alerts.yml"


GONE: Final = """\
      - alert: SessileGone
        expr: 'up{job="sessile"} == 0'
        for: 60s
        labels:
          severity: critical
        annotations:
          summary: 'Prometheus does not reach a process: it has ended, or may not be scraped.'"""
"""What no process can say of itself. The job is that of docs/how-to/telemetry.md."""


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
    return "\n".join([*lines, GONE, ""])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
