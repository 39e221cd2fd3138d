"""Run the project's checks and tests as one list of steps, and end with one summary.

`make check`, `make test` and `make soak` call this. Every step runs, also after one has failed, so that one run shows all there is
to mend; the exit status is 1 when any step failed or the time was up. Counts come from the JUnit files that pytest and vitest write.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "clients" / "browser"
BUNDLE = ROOT / "src" / "sessile" / "server" / "static"
CONSOLE = ROOT / "src" / "sessile" / "server" / "console" / "static"
RESULTS = ROOT / "test-results"
PYTHON = sys.executable
TOOLS = Path(PYTHON).parent

TIME_LIMIT_S = {"check": 300.0, "test": 1500.0, "soak": 6 * 3600.0}
"""A guard against what hangs, with room for a machine slower than the one on which `test` took eleven minutes. For all steps of a run together; the longest group that was asked for counts."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
MEMORY_MIN_BYTES = 6 * 1024**3
PACED = tuple(f"tests/{name}" for name in ("deployment", "e2e", "faults", "nodes", "soak"))
"""Folders whose tests look at the clock; tests/conftest.py names the same."""
COUNTED = ("failed", "passed", "skipped", "errors")
AGAIN_MAX = 10
"""So many failed tests are run once more, alone. More than that is no accident of a busy machine."""


@dataclass(frozen=True)
class Step:
    """One command. `junit` is where it leaves its counts; `unchanged` is a folder that it must leave as it was; `again` runs what failed, and only that.
    What is `aside` has a processor to itself for what the others leave of it: they wait for servers now and then."""

    name: str
    command: Sequence[str]
    cwd: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    junit: Path | None = None
    unchanged: Path | None = None
    again: Sequence[str] = ()
    is_aside: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a step. `problem` is None when it succeeded; `counts` has the keys of `COUNTED`; `unsteady` names tests that failed among the others and passed alone."""

    name: str
    problem: str | None
    counts: Mapping[str, int]
    duration_s: float
    unsteady: Sequence[str] = ()


def steps(group: str) -> list[Step]:
    """The steps of `check`, `test` or `soak`, in order. Raises KeyError for another name."""
    typed = ["src", "scripts", "tests", *(["benchmarks"] if (ROOT / "benchmarks").is_dir() else [])]
    # A file's tests stay together: they share servers and browsers. Many wait for a server, so five workers keep two cores busy. The order is that of tests/conftest.py.
    pytest = (PYTHON, "-m", "pytest", "-n", "5", "--dist", "loadfile", "--no-loadscope-reorder")
    long = {"SESSILE_SOAK": "1", "HYPOTHESIS_PROFILE": "soak"}
    full = ("-m", "", "-o", "faulthandler_timeout=0")
    return {
        "check": [
            Step("ruff check", (str(TOOLS / "ruff"), "check", ".")),
            Step("ruff format", (str(TOOLS / "ruff"), "format", "--check", ".")),
            Step("mypy", (PYTHON, "-m", "mypy", *typed), is_aside=True),
            Step("lint-imports", (str(TOOLS / "lint-imports"),)),
            Step("tsc", ("npm", "run", "--silent", "check"), cwd=CLIENT),
        ],
        "test": [
            Step(
                "pytest",
                (*pytest, f"--junitxml={RESULTS / 'pytest.xml'}"),
                junit=RESULTS / "pytest.xml",
                # Without workers: one after the other, with the machine to itself.
                again=(PYTHON, "-m", "pytest", "--last-failed", "--last-failed-no-failures", "none"),
            ),
            Step(
                "vitest",
                (
                    "npm",
                    "test",
                    "--",
                    "--reporter=default",
                    "--reporter=junit",
                    f"--outputFile.junit={RESULTS / 'vitest.xml'}",
                ),
                cwd=CLIENT,
                junit=RESULTS / "vitest.xml",
                is_aside=True,
            ),
            Step("bundle is built from its source", ("npm", "run", "--silent", "build"), cwd=CLIENT, unchanged=BUNDLE),
            Step(
                "console is built from its source",
                ("npm", "run", "--silent", "build:console"),
                cwd=CLIENT,
                unchanged=CONSOLE,
            ),
        ],
        "soak": [
            Step("kills", (PYTHON, "-m", "tests.soak", "--kills", "200")),
            Step(
                "pytest, full counts",
                (*pytest, *full, *(f"--ignore={folder}" for folder in PACED), f"--junitxml={RESULTS / 'soak.xml'}"),
                environment=long,
                junit=RESULTS / "soak.xml",
            ),
            # With full counts their times are figures of a machine that does nothing else.
            Step(
                "pytest, full counts, what looks at the clock",
                (PYTHON, "-m", "pytest", *full, *PACED, f"--junitxml={RESULTS / 'soak-paced.xml'}"),
                environment=long,
                junit=RESULTS / "soak-paced.xml",
            ),
        ],
    }[group]


def run(step: Step, time_left_s: float, output: IO[bytes] | None = None) -> Outcome:
    """Run one step in a process group of its own, stopped after `time_left_s` seconds. Its output goes to `output`, or where ours goes."""
    if output is None:
        print(f"\n-- {step.name}", flush=True)
    else:
        output.write(f"\n-- {step.name}\n".encode())
        output.flush()
    if step.junit is not None:
        step.junit.parent.mkdir(parents=True, exist_ok=True)
        step.junit.unlink(missing_ok=True)
    before = digest(step.unchanged)
    started = time.monotonic()
    problem = _execute(step, time_left_s, output)
    counts: Mapping[str, int] = {}
    if step.junit is not None and step.junit.exists():
        counts = junit_counts(step.junit.read_text(encoding="utf-8"))
        if problem is None and counts["failed"] + counts["errors"]:
            problem = "failed tests, although the command succeeded"
        elif problem is None and not counts["passed"]:
            problem = "no test ran"
        elif problem is not None and step.again:
            return _once_more(step, Outcome(step.name, problem, counts, time.monotonic() - started), time_left_s)
    elif step.junit is not None and problem is None:
        problem = "no results were written"
    if problem is None and digest(step.unchanged) != before:
        problem = f"{step.unchanged} was not what its source gives; it is now: commit it"
    return Outcome(step.name, problem, counts, time.monotonic() - started)


def _once_more(step: Step, first: Outcome, time_left_s: float) -> Outcome:
    """What failed is run once more with nothing beside it, as CPython's own test runner does it. What passes then is not a failure but is named in the
    summary as unsteady: tests with real servers look at real clocks, and a test that needs a quiet machine is to be mended."""
    assert step.junit is not None
    names = junit_failed(step.junit.read_text(encoding="utf-8"))
    if not 0 < len(names) <= AGAIN_MAX:
        return first
    print(f"\n-- {step.name}: {len(names)} failed, and only these run once more", flush=True)
    before = step.junit.read_bytes()
    problem = _execute(replace(step, command=step.again), time_left_s - first.duration_s)
    step.junit.write_bytes(before)
    if problem is not None:
        return first
    counts = dict(first.counts) | {"failed": 0, "errors": 0, "passed": first.counts["passed"] + len(names)}
    return replace(first, problem=None, counts=counts, unsteady=names)


def _execute(step: Step, time_left_s: float, output: IO[bytes] | None = None) -> str | None:
    if time_left_s <= 0:
        return "not run: the time was up"
    with _scratch() as scratch:
        environment = {**os.environ, **scratch, **step.environment}
        # The tests start a few hundred processes: each would compile all of it anew.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return _execute_in(step, time_left_s, environment, output)


@contextmanager
def _scratch() -> Iterator[dict[str, str]]:
    """The environment for temporary files in memory, where there is room: the tests make thousands of databases, and what they show is what is left after a
    kill, not after a loss of power."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_MIN_BYTES:
        yield {}
        return
    folder = Path(tempfile.mkdtemp(prefix="sessile-tests-", dir=MEMORY))
    folder.chmod(0o1777)  # PostgreSQL refuses to be root and runs as another account
    try:
        yield {"TMPDIR": str(folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _execute_in(step: Step, time_left_s: float, environment: Mapping[str, str], output: IO[bytes] | None) -> str | None:
    try:
        process = subprocess.Popen(
            step.command,
            cwd=step.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return f"could not be started: {error}"
    try:
        status = process.wait(time_left_s)
    except subprocess.TimeoutExpired:
        return f"stopped: the time was up after {time_left_s:.0f} s"
    finally:
        # Also on Ctrl-C, and for servers or browsers that a test left behind.
        _end_group(process)
    return None if status == 0 else f"exit status {status}"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # the usual case: nobody is left in the group
    finally:
        process.wait()


def digest(folder: Path | None) -> str:
    """SHA-256 over the names and contents of all files below `folder`; of nothing when there is none."""
    total = hashlib.sha256()
    if folder is None:
        return total.hexdigest()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def junit_counts(document: str) -> dict[str, int]:
    """Counts of a JUnit document, by `COUNTED`."""
    counts = dict.fromkeys(COUNTED, 0)
    for case in ET.fromstring(document).iter("testcase"):  # noqa: S314 - written by our own test run a moment ago
        kinds = {child.tag for child in case}
        if "error" in kinds:
            counts["errors"] += 1
        elif "failure" in kinds:
            counts["failed"] += 1
        elif "skipped" in kinds:
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return counts


def junit_failed(document: str) -> list[str]:
    """Names of the tests that failed or had an error, in the document's order."""
    cases = ET.fromstring(document).iter("testcase")  # noqa: S314 - see above
    failed = [case for case in cases if {"error", "failure"} & {child.tag for child in case}]
    return [f"{case.get('classname', '')}::{case.get('name', '')}" for case in failed]


def summary(outcomes: Sequence[Outcome], duration_s: float) -> str:
    """One line a step and a last line in pytest's form. A step that failed without a failed test counts as one failure."""
    lines = ["", "== steps =="]
    totals = dict.fromkeys(COUNTED, 0)
    for outcome in outcomes:
        for kind in COUNTED:
            totals[kind] += outcome.counts.get(kind, 0)
        if outcome.problem is not None and not outcome.counts.get("failed") and not outcome.counts.get("errors"):
            totals["failed"] += 1
        told = ", ".join(f"{count} {kind}" for kind, count in outcome.counts.items() if count)
        verdict = "ok  " if outcome.problem is None else "FAIL"
        lines.append(
            f"{verdict} {outcome.name} ({outcome.duration_s:.1f} s)"
            + (f": {told}" if told else "")
            + (f": {outcome.problem}" if outcome.problem else "")
        )
        lines += [f"     unsteady (failed among the others, passed alone): {name}" for name in outcome.unsteady]
    if not any(outcome.counts for outcome in outcomes):
        totals["passed"] = sum(outcome.problem is None for outcome in outcomes)
    counted = ", ".join(f"{totals[kind]} {kind}" for kind in COUNTED if totals[kind])
    return "\n".join([*lines, f"===== {counted} in {duration_s:.2f}s ====="])


def run_all(todo: Sequence[Step], ends_at: float) -> list[Outcome]:
    """All of them, one after the other; those that are aside beside the others, and what they said at the end. Outcomes in the given order."""
    with ThreadPoolExecutor(1) as thread, tempfile.TemporaryFile() as told:
        aside = {
            number: thread.submit(lambda step: run(step, ends_at - time.monotonic(), told), step)
            for number, step in enumerate(todo)
            if step.is_aside
        }
        done = {number: run(step, ends_at - time.monotonic()) for number, step in enumerate(todo) if not step.is_aside}
        done |= {number: outcome.result() for number, outcome in aside.items()}
        told.seek(0)
        print(told.read().decode(errors="replace"), flush=True)
    return [done[number] for number in range(len(todo))]


def main(groups: Sequence[str]) -> int:
    """Run the named groups; 0 when every step of them succeeded, else 1; 2 for a name that is none."""
    if not groups or not set(groups) <= set(TIME_LIMIT_S):
        print(f"usage: verify.py {'|'.join(TIME_LIMIT_S)} ...", file=sys.stderr)
        return 2
    began = time.monotonic()
    ends_at = began + max(TIME_LIMIT_S[group] for group in groups)
    outcomes = run_all([step for group in groups for step in steps(group)], ends_at)
    print(summary(outcomes, time.monotonic() - began), flush=True)
    return 1 if any(outcome.problem for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
