"""The table of telemetry and the code say the same: nothing is told that is not declared, and nothing is declared that is not told."""

from __future__ import annotations

import re

import pytest

from scripts import alert_rules
from sessile.telemetry.alerts import RULES as ALERT_RULES
from sessile.telemetry.judging import THRESHOLDS
from sessile.telemetry.table import COMPONENTS, METRICS, RULES, SPANS, Metric, MetricKind
from tests.architecture import telemetry_source
from tests.architecture.python_source import python_files
from tests.architecture.tree import PACKAGE

SOURCES = {path: path.read_text(encoding="utf-8") for path in python_files(PACKAGE)}


def metric_faults(source: str) -> list[str]:
    """What a file tells that the table of metrics does not have."""
    faults = []
    for told in telemetry_source.metrics_of(source):
        metric = METRICS.get(told.name or "")
        if metric is None:
            faults.append(f"{told.line}: {told.name} is not in the table")
        elif unknown := told.keys - metric.labels.keys():
            faults.append(f"{told.line}: {told.name} has no label {', '.join(sorted(unknown))}")
    return faults


def test_every_metric_that_is_told_is_declared() -> None:
    assert {str(path): faults for path, source in SOURCES.items() if (faults := metric_faults(source))} == {}


def test_every_metric_that_is_declared_is_told() -> None:
    told = {one.name for source in SOURCES.values() for one in telemetry_source.metrics_of(source)}
    assert METRICS.keys() - told == set()


def test_spans_that_are_told_are_those_that_are_declared() -> None:
    told = {one.name for source in SOURCES.values() for one in telemetry_source.spans_of(source)} - {None}
    assert told == SPANS.keys()


def promql_names(text: str) -> set[str]:
    """The metrics of Sessile that queries name, without what a histogram adds to its name."""
    found = set(re.findall(r"sessile_[a-z0-9_]+", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) if name not in METRICS else name for name in found}


def test_rules_for_prometheus_are_those_of_the_code_and_name_metrics_of_the_table() -> None:
    assert alert_rules.FILE.read_text(encoding="utf-8") == alert_rules.rules_file(), "run: make reference"
    asked = promql_names(" ".join(rule.promql for rule in ALERT_RULES))
    assert len(asked) >= 8
    assert asked <= METRICS.keys()


def test_rules_and_components_are_those_of_the_table() -> None:
    assert tuple(rule.name for rule in ALERT_RULES) == RULES
    assert {"cache", *THRESHOLDS} == set(COMPONENTS)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('metrics.counter("sessile_logins_total").add()', "1: sessile_logins_total is not in the table"),
        (
            'metrics.counter("sessile_sessions_begun_total", user_id=user.id).add()',
            "1: sessile_sessions_begun_total has no label user_id",
        ),
        ('NAME = "sessile_hidden"\nmetrics.gauge(NAME).set(1)', "2: sessile_hidden is not in the table"),
    ],
)
def test_a_planted_metric_is_found(source: str, fault: str) -> None:
    assert metric_faults(source) == [fault]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"labels": {"user_id": ("ada",)}}, "user_id is no label"),
        ({"labels": {"session_id": ("a",)}}, "session_id is no label"),
        ({"labels": {"outcome": ()}}, "has its values in the table"),
        ({"labels": {"a": tuple(map(str, range(10))), "b": tuple(map(str, range(10)))}}, "100 series"),
        ({"name": "sessile_things"}, "end in _total"),
        ({"name": "things_total"}, "sessile_ and words"),
        ({"unit": "seconds"}, "belongs into the name"),
        ({"buckets": (1.0,)}, "histograms have rising buckets"),
    ],
)
def test_a_planted_entry_is_refused(given: dict[str, object], fault: str) -> None:
    entry = {"name": "sessile_things_total", "kind": MetricKind.COUNTER, "unit": "", "meaning": "Things."}
    with pytest.raises(ValueError, match=fault):
        Metric(**{**entry, **given})  # type: ignore[arg-type] # a table of faults
