"""`make test` is only worth something if every step's failure fails it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts import verify

JUNIT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure>no</failure></testcase><testcase name="c"><skipped/></testcase>
<testcase name="d"><error/></testcase><testcase name="e"><system-out>x</system-out></testcase>
</testsuite></testsuites>"""


def python(code: str, **more: object) -> verify.Step:
    return verify.Step("step", (sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def test_a_step_that_succeeds() -> None:
    assert verify.run(python("pass"), 20).problem is None


def test_a_step_that_fails() -> None:
    assert verify.run(python("raise SystemExit(3)"), 20).problem == "exit status 3"


def test_a_command_that_is_missing(tmp_path: Path) -> None:
    outcome = verify.run(verify.Step("step", (str(tmp_path / "none"),)), 20)
    assert outcome.problem is not None
    assert outcome.problem.startswith("could not be started")


def test_a_step_that_takes_too_long() -> None:
    outcome = verify.run(python("import threading; threading.Event().wait()"), 0.2)
    assert outcome.problem == "stopped: the time was up after 0 s"


def test_no_time_left() -> None:
    assert verify.run(python("pass"), 0).problem == "not run: the time was up"


def test_counts_are_read() -> None:
    assert verify.junit_counts(JUNIT) == {"failed": 1, "passed": 2, "skipped": 1, "errors": 1}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('<testsuite><testcase name="a"/></testsuite>', None),
        (JUNIT, "failed tests, although the command succeeded"),
        ('<testsuite><testcase name="a"><skipped/></testcase></testsuite>', "no test ran"),
        (None, "no results were written"),
    ],
)
def test_results_are_looked_at(tmp_path: Path, written: str | None, problem: str | None) -> None:
    junit = tmp_path / "results.xml"
    code = "pass" if written is None else f"import pathlib; pathlib.Path({str(junit)!r}).write_text({written!r})"
    assert verify.run(python(code, junit=junit), 20).problem == problem


def test_results_of_an_earlier_run_do_not_count(tmp_path: Path) -> None:
    junit = tmp_path / "results.xml"
    junit.write_text('<testsuite><testcase name="a"/></testsuite>')
    assert verify.run(python("pass", junit=junit), 20).problem == "no results were written"


def test_a_bundle_that_drifted(tmp_path: Path) -> None:
    (tmp_path / "bundle.js").write_text("old")
    write = f"import pathlib; pathlib.Path({str(tmp_path / 'bundle.js')!r}).write_text('new')"
    first = verify.run(python(write, unchanged=tmp_path), 20)
    assert first.problem is not None
    assert first.problem.endswith("commit it")
    assert verify.run(python(write, unchanged=tmp_path), 20).problem is None


def test_the_summary_ends_like_pytests() -> None:
    outcomes = [
        verify.Outcome("ruff", None, {}, 1.0),
        verify.Outcome("mypy", "exit status 1", {}, 2.0),
        verify.Outcome("pytest", None, {"failed": 0, "passed": 7, "skipped": 2, "errors": 0}, 3.0),
    ]
    assert verify.summary(outcomes, 5).splitlines() == [
        "",
        "== steps ==",
        "ok   ruff (1.0 s)",
        "FAIL mypy (2.0 s): exit status 1",
        "ok   pytest (3.0 s): 7 passed, 2 skipped",
        "===== 1 failed, 7 passed, 2 skipped in 5.00s =====",
    ]


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("raise SystemExit(1)", 1)])
def test_the_exit_status(monkeypatch: pytest.MonkeyPatch, code: str, status: int) -> None:
    monkeypatch.setattr(verify, "steps", lambda group: [python(code), python("pass")])
    assert verify.main(["check", "test"]) == status


def test_what_is_aside_runs_beside_the_others_and_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # What would run before the others instead of beside them ends by itself, and says nothing.
    met = "import pathlib, time\nfor _ in range(2000):\n    if pathlib.Path('met').exists(): break\n    time.sleep(0.01)\nelse: raise SystemExit(2)"
    aside = python(f"{met}\nprint('seen')\nraise SystemExit(1)", cwd=tmp_path, is_aside=True)
    todo = [aside, python("import pathlib; pathlib.Path('met').touch(); print('left')", cwd=tmp_path)]
    monkeypatch.setattr(verify, "steps", lambda group: todo)
    assert verify.main(["test"]) == 1
    assert [line for line in capfd.readouterr().out.splitlines() if line in {"seen", "left"}] == ["left", "seen"]


@pytest.mark.parametrize("groups", [[], ["everything"]])
def test_a_wrong_name_is_refused(groups: list[str]) -> None:
    assert verify.main(groups) == 2


def test_every_group_has_steps() -> None:
    assert [len(verify.steps(group)) for group in ("check", "test", "soak")] == [5, 4, 3]


def failing_once(tmp_path: Path, tests: str) -> verify.Step:
    """Real pytest on a file whose tests see that they run for the second time."""
    (tmp_path / "test_it.py").write_text(f"import pathlib\nran = pathlib.Path({str(tmp_path / 'ran')!r})\n{tests}")
    base = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:schemathesis",
        "-c",
        "/dev/null",
        "test_it.py",
    )
    junit = tmp_path / "results.xml"
    again = (*base, "--last-failed")
    return verify.Step("step", (*base, f"--junitxml={junit}"), cwd=tmp_path, junit=junit, again=again)


UNSTEADY = """
def test_first():
    is_second = ran.exists()
    ran.write_text("")
    assert is_second

def test_other():
    pass
"""


def test_what_failed_runs_once_more_and_is_named_when_it_passes(tmp_path: Path) -> None:
    outcome = verify.run(failing_once(tmp_path, UNSTEADY), 60)
    assert (outcome.problem, outcome.counts["passed"], outcome.counts["failed"]) == (None, 2, 0)
    assert [name.rpartition("::")[2] for name in outcome.unsteady] == ["test_first"]
    assert "unsteady (failed among the others, passed alone)" in verify.summary([outcome], 1)


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    outcome = verify.run(failing_once(tmp_path, UNSTEADY + "\ndef test_never():\n    assert False\n"), 60)
    assert outcome.problem == "exit status 1"
    assert (outcome.counts["passed"], outcome.counts["failed"], outcome.unsteady) == (1, 2, ())


def test_many_failures_are_not_run_again(tmp_path: Path) -> None:
    many = "".join(
        f"\ndef test_{number}():\n    ran.write_text(ran.read_text() + 'x') if ran.exists() else ran.write_text('x')\n    assert False\n"
        for number in range(verify.AGAIN_MAX + 1)
    )
    outcome = verify.run(failing_once(tmp_path, many), 60)
    assert outcome.problem == "exit status 1"
    assert len((tmp_path / "ran").read_text()) == verify.AGAIN_MAX + 1
