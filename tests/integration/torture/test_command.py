"""`sessile bench torture`: what it prints, keeps and ends with; and what becomes of an engine that cannot be run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sessile.cli import bench
from sessile.cli.main import app
from sessile.testing.torture import ENGINES, PROBES, Engine, EngineReport, Outcome, Report, Verdict, run
from sessile.testing.torture.suite import joined
from tests.architecture.tree import ROOT

OURS, PEER = ENGINES[0], next(engine for engine in ENGINES if not engine.is_ours)
PAGE = ROOT / "docs" / "reference" / "torture.md"


def report(*reports: EngineReport) -> Report:
    return Report(reports, PROBES)


def all_of(engine: Engine, outcome: Outcome) -> EngineReport:
    return EngineReport(engine, {probe.key: Verdict(outcome, "seen") for probe in PROBES}, {"x": "1"}, ["Redis 7"])


def invoke(monkeypatch: pytest.MonkeyPatch, found: Report, *arguments: str) -> Result:
    """The command, with this in the place of a run."""
    monkeypatch.setattr(bench, "run", lambda *_arguments, **_named: found)
    return CliRunner().invoke(app, ["bench", "torture", *arguments])


def test_a_failure_of_ours_ends_with_1_and_one_of_a_peer_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = all_of(PEER, Outcome.FAIL)
    assert invoke(monkeypatch, report(all_of(OURS, Outcome.OK), peer)).exit_code == 0
    assert invoke(monkeypatch, report(all_of(OURS, Outcome.FAIL), peer)).exit_code == 1


def test_one_of_ours_that_does_not_start_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EngineReport(OURS, not_run="its application did not start: x", is_broken=True)
    result = invoke(monkeypatch, report(broken))
    assert result.exit_code == 1
    assert "not run: its application did not start: x" in result.output
    assert invoke(monkeypatch, report(replace(broken, is_broken=False))).exit_code == 0


def test_the_table_and_the_json_have_every_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    found = report(all_of(OURS, Outcome.OK), all_of(PEER, Outcome.FAIL))
    shown = invoke(monkeypatch, found).output
    for probe in PROBES:
        assert re.search(rf"^{probe.key} +ok +FAIL *$", shown, re.MULTILINE), probe.key
    told = json.loads(invoke(monkeypatch, found, "--json").output)
    assert [set(engine["verdicts"]) for engine in told["engines"]] == [{probe.key for probe in PROBES}] * 2
    assert told["engines"][1]["verdicts"]["P1"] == {"outcome": "fail", "observed": "seen"}


def test_a_report_that_is_kept_keeps_the_engines_that_were_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    invoke(monkeypatch, report(all_of(OURS, Outcome.FAIL), all_of(PEER, Outcome.FAIL)), "--write", str(file))
    invoke(monkeypatch, report(all_of(OURS, Outcome.OK)), "--write", str(file))
    kept = json.loads(file.read_text(encoding="utf-8"))["engines"]
    assert [engine["name"] for engine in kept] == [OURS.name, PEER.name]
    assert [engine["verdicts"]["P1"]["outcome"] for engine in kept] == ["ok", "fail"]


def test_engines_that_are_not_known_come_last() -> None:
    own = {"name": "own"}
    assert [one["name"] for one in joined({"engines": [own]}, {"engines": [{"name": PEER.name}]})["engines"]] == [
        PEER.name,
        "own",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--engine", "nobody"], "There is no engine nobody."),
        (["--probe", "P99"], "There is no probe P99."),
        (["--probe", "P1", "--write", "x.json"], "A report that is kept has all probes"),
    ],
)
def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], told: str) -> None:
    result = invoke(monkeypatch, report(), *arguments)
    assert result.exit_code == 2
    assert told in " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.output).split())


def test_everything_can_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads(invoke(monkeypatch, report(), "--list", "--json").output)
    assert [engine["name"] for engine in told["engines"]] == [engine.name for engine in ENGINES]
    assert [probe["key"] for probe in told["probes"]] == [probe.key for probe in PROBES]
    assert len({probe.key for probe in PROBES}) == len(PROBES)


def test_an_engine_whose_module_is_missing_is_not_run() -> None:
    missing = replace(OURS, modules=("sessile.integrations.of_nobody",))
    (found,) = run([missing], PROBES[:1]).engines
    assert (found.not_run, found.is_broken) == ("sessile.integrations.of_nobody cannot be imported here", False)


def test_an_application_that_does_not_start_is_broken(tmp_path: Path) -> None:
    program = tmp_path / "broken.py"
    program.write_text("raise SystemExit('no luck')\n", encoding="utf-8")
    (found,) = run([replace(OURS, program=program)], PROBES[:1]).engines
    assert (found.not_run, found.is_broken) == ("its application did not start: no luck", True)


def test_a_probe_that_gets_no_answer_says_so(tmp_path: Path) -> None:
    program = tmp_path / "deaf.py"
    program.write_text(DEAF, encoding="utf-8")
    told: list[tuple[str, str]] = []
    run(
        [Engine("deaf", "Deaf", program)],
        PROBES,
        tell=lambda probe, verdict: told.append((probe.key, verdict.observed)),
    )
    assert {key for key, _ in told} == {probe.key for probe in PROBES}
    assert ("P4", "a login was answered with 500") in told


DEAF = """
KIND, ABILITIES, PACKAGES = "wsgi", ["rotate", "list", "end_others"], []

def build(desk):
    def application(environ, start_response):
        start_response("500 Broken", [("Content-Type", "text/plain")])
        return [b"no"]
    return application
"""


def test_the_program_of_the_page_is_what_its_test_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, asks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my_application.py").write_text(program, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(compile(asks, "torture.md", "exec"), found)  # it asserts what it shows
    assert found["report"].engines[0].not_run == ""


def test_the_page_tells_of_every_engine_and_probe() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [
        one for one in (*(probe.title for probe in PROBES), *(engine.title for engine in ENGINES)) if one not in page
    ]
    assert missing == []
