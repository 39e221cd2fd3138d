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


SELECTOR = re.compile(r"(sessile_[a-z0-9_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')
OF_PROMETHEUS = frozenset({"instance", "job"})


def query_faults(query: str, legend: str = "") -> list[str]:
    """What a query names that Prometheus would find nothing under: it is no error there, only an empty answer."""
    faults, grouped = list[str](), set(OF_PROMETHEUS)
    for name, body in SELECTOR.findall(query):
        metric, part = METRICS.get(name), ""
        if metric is None:
            stem, _, part = name.rpartition("_")
            metric = METRICS.get(stem)
        is_histogram = metric is not None and metric.kind is MetricKind.HISTOGRAM
        if metric is None or is_histogram != (part in ("bucket", "sum", "count")):
            faults.append(f"there is no series {name}")
            continue
        known = {**metric.labels, **({"le": ()} if part == "bucket" else {})}
        grouped |= known.keys()
        for label, _, value in MATCHER.findall(body.replace("$HERE", dashboard._HERE)):
            if label in OF_PROMETHEUS:
                continue
            if label not in known:
                faults.append(f"{name} has no label {label}")
            elif unknown := [one for one in value.split("|") if one not in known[label]]:
                faults.append(f"{name} has no {label} {', '.join(unknown)}")
    by = [name for names in re.findall(r"by \(([a-z_, ]+)\)", query) for name in names.split(", ")]
    faults += [f"nothing in it has the label {name}" for name in by if name not in grouped]
    shown = set(re.findall(r"{{([a-z_]+)}}", legend))
    faults += [f"the legend shows {name}, which is not kept" for name in sorted(shown - set(by))]
    return faults


def test_queries_name_series_labels_and_values_of_the_table() -> None:
    assert {rule.name: faults for rule in ALERT_RULES if (faults := query_faults(rule.promql))} == {}
    asked = [(panel.title, *pair) for panel in dashboard.PANELS for pair in panel.queries]
    assert {title: faults for title, query, legend in asked if (faults := query_faults(query, legend))} == {}


@pytest.mark.parametrize(
    ("query", "legend", "fault"),
    [
        ("sum(sessile_session_reads)", "", "there is no series sessile_session_reads"),
        ("sum(sessile_session_read_seconds)", "", "there is no series sessile_session_read_seconds"),
        ("sum(sessile_sockets_count)", "", "there is no series sessile_sockets_count"),
        ('sessile_sockets{outcome="live"}', "", "sessile_sockets has no label outcome"),
        (
            'sessile_session_read_seconds_count{outcome="alive"}',
            "",
            "sessile_session_read_seconds_count has no outcome alive",
        ),
        (
            'sessile_anomalies_total{kind=~"authn_token_reuse|nonsense"}',
            "",
            "sessile_anomalies_total has no kind nonsense",
        ),
        ("sum by (task) (sessile_sockets)", "", "nothing in it has the label task"),
        ("sum by (le) (rate(sessile_session_read_seconds_count[5m]))", "", "nothing in it has the label le"),
        ("sum by (instance) (sessile_sockets)", "{{task}}", "the legend shows task, which is not kept"),
    ],
)
def test_a_planted_query_that_would_find_nothing_is_found(query: str, legend: str, fault: str) -> None:
    assert query_faults(query, legend) == [fault]


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
