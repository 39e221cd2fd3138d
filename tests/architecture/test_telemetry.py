"""The table of telemetry and the code say the same: nothing is told that is not declared, and nothing is declared that is not told."""

from __future__ import annotations

import json
import re

import pytest

from scripts import alert_rules, dashboard
from sessile.telemetry.alerts import RULES as ALERT_RULES
from sessile.telemetry.judging import THRESHOLDS
from sessile.telemetry.log_events import LOG_EVENTS
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


def test_the_dashboard_is_the_one_of_the_code_and_asks_for_every_metric_of_the_table() -> None:
    text = dashboard.FILE.read_text(encoding="utf-8")
    assert text == dashboard.dashboard(), "run: make reference"
    panels = json.loads(text)["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert promql_names(" ".join(queries)) == METRICS.keys()
    assert all(query.count("(") == query.count(")") and '{instance=~"$instance"}' in query for query in queries)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_a_planted_query_is_found() -> None:
    assert promql_names("rate(sessile_session_reads_total[5m]) / sessile_sockets") - METRICS.keys() == {
        "sessile_session_reads_total"
    }
    assert promql_names("sum(rate(sessile_session_read_seconds_bucket[5m]))") == {"sessile_session_read_seconds"}


def test_labels_that_queries_name_are_those_of_the_table() -> None:
    queries = [rule.promql for rule in ALERT_RULES]
    queries += [query for panel in dashboard.PANELS for query, _ in panel.queries]
    known = {label for metric in METRICS.values() for label in metric.labels} | {"instance", "le"}
    for query in queries:
        asked = {name for names in re.findall(r"by \(([a-z_, ]+)\)", query) for name in names.split(", ")}
        asked |= set(re.findall(r"[{,]\s*([a-z_]+)=", query))
        assert asked <= known, query


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


def line_faults(source: str) -> list[str]:
    """Lines of logs that the table does not have as they are."""
    faults = []
    for told in telemetry_source.lines_of(source):
        event = LOG_EVENTS.get(told.name or "")
        if told.name is None:
            faults.append(f"{told.line}: a line without a name: extra={{'event_name': ...}}")
        elif event is None:
            faults.append(f"{told.line}: {told.name} is not in the table")
        elif told.level and told.level not in event.levels:
            faults.append(f"{told.line}: {told.name} is not of the level {told.level}")
        elif told.logger not in event.loggers:
            faults.append(f"{told.line}: {told.name} is not of the logger {told.logger}")
        elif told.keys != set(event.fields):
            faults.append(
                f"{told.line}: {told.name} has the fields {sorted(event.fields)}, and not {sorted(told.keys)}"
            )
    return faults


def test_every_line_of_a_log_is_declared() -> None:
    assert {str(path): faults for path, source in SOURCES.items() if (faults := line_faults(source))} == {}


def test_every_line_that_is_declared_is_told() -> None:
    told = {one.name for source in SOURCES.values() for one in telemetry_source.lines_of(source)}
    assert LOG_EVENTS.keys() - told == set()
    assert all(event.meaning for event in LOG_EVENTS.values())


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('logger.warning("Something")', "2: a line without a name"),
        ('logger.warning("Something", extra={"event_name": "somethingg"})', "2: somethingg is not in the table"),
        ('logger.error("Gone", extra={"event_name": "cache_used"})', "2: cache_used is not of the level ERROR"),
        (
            'logger.info("x", extra={"event_name": "cache_used", "user_id": user})',
            "2: cache_used has the fields [], and not ['user_id']",
        ),
    ],
)
def test_a_planted_line_is_found(line: str, fault: str) -> None:
    (found,) = line_faults(f'logger = logging.getLogger("sessile.cache")\n{line}\n')
    assert found.startswith(fault)
