"""`sessile bench torture`: what session libraries do when it matters, asked of all of them alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sessile.cli.output import AsJson, print_json
from sessile.testing.torture import ENGINES, PROBES, Engine, EngineReport, Outcome, Probe, Report, Verdict, run
from sessile.testing.torture.suite import joined

T = TypeVar("T")
app = typer.Typer(help="Compare with others.", no_args_is_help=True)

_MARKS: Final = {
    Outcome.OK: ("ok", "green"),
    Outcome.FAIL: ("FAIL", "bold red"),
    Outcome.NOT_APPLICABLE: ("-", "dim"),
}


@app.callback()
def bench() -> None:
    """Compare with others."""


@app.command()
def torture(
    engine: Annotated[
        list[str] | None, typer.Option(help="One library; may be repeated. All of them without it.")
    ] = None,
    probe: Annotated[list[str] | None, typer.Option(help="One probe, as P4; may be repeated.")] = None,
    names: Annotated[bool, typer.Option("--list", help="Only list the engines and the probes.")] = False,
    fresh: Annotated[bool, typer.Option(help="Install the peers anew, in the releases of today.")] = False,
    write: Annotated[
        Path | None, typer.Option(help="Write the report to this file; engines that are in it and not run now stay.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask Sessile and other session libraries the same questions: overlapping requests, planted ids, stores that fail or are read by others.

    Peers are installed into environments of their own in the user's cache folder. Ends with status 1 when one of ours fails.
    """
    probes = _named(probe, {one.key: one for one in PROBES}, "probe")
    engines = _named(engine, {one.name: one for one in ENGINES}, "engine")
    if write is not None and probe:
        raise typer.BadParameter("A report that is kept has all probes: leave --probe or --write out.")
    if names:
        _print_names(engines, probes, as_json=as_json)
        return
    teller = _Teller(silent=as_json)
    report = run(engines, probes, teller.started, teller.told, is_fresh=fresh)
    if write is not None:
        _write(write, report)
    if as_json:
        print_json(report.as_dict())
    else:
        _print_report(report)
    if report.our_failures:
        raise typer.Exit(1)


def _named(given: Sequence[str] | None, known: Mapping[str, T], what: str) -> list[T]:
    unknown = [name for name in given or () if name not in known]
    if unknown:
        raise typer.BadParameter(f"There is no {what} {unknown[0]}. There are: {', '.join(known)}.")
    return [known[name] for name in given] if given else list(known.values())


def _write(file: Path, report: Report) -> None:
    now = report.as_dict()
    if file.exists():
        now = joined(json.loads(file.read_text(encoding="utf-8")), now)
    file.write_text(json.dumps(now, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


class _Teller:
    """Progress, a line for each verdict as it comes."""

    def __init__(self, *, silent: bool) -> None:
        self._console = Console(highlight=False, quiet=silent)

    def started(self, title: str) -> None:
        self._console.print(Text(f"\n{title}", "bold"))

    def told(self, probe: Probe, verdict: Verdict) -> None:
        self._console.print(_line(probe.key, verdict), soft_wrap=True)


def _line(key: str, verdict: Verdict) -> Text:
    mark, style = _MARKS[verdict.outcome]
    shown = Text(f"  {key:<4} ")
    shown.append(f"{mark:<5}", style)
    shown.append(verdict.observed, "dim" if verdict.outcome is Outcome.NOT_APPLICABLE else "")
    return shown


def _print_names(engines: Sequence[Engine], probes: Sequence[Probe], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "engines": [{"name": one.name, "title": one.title} for one in engines],
                "probes": [{"key": one.key, "title": one.title, "source": one.source} for one in probes],
            }
        )
        return
    console = Console(highlight=False)
    for title, rows in (
        ("Engines", [(one.name, one.title) for one in engines]),
        ("Probes", [(one.key, one.title) for one in probes]),
    ):
        console.print(Text(title, "bold"))
        width = max(len(name) for name, _ in rows)
        for name, told in rows:
            console.print(Text(f"  {name:<{width}}  {told}"), soft_wrap=True)


def _print_report(report: Report) -> None:
    console = Console(highlight=False)
    ran = [one for one in report.engines if not one.not_run]
    if len(ran) > 1:
        console.print()
        console.print(_table(report.probes, ran))
        for number, one in enumerate(ran, 1):
            console.print(Text(f"  {number:>2}  {one.engine.title}"), soft_wrap=True)
    console.print()
    for one in report.engines:
        told = f"not run: {one.not_run}" if one.not_run else _counts(one)
        console.print(Text(f"{one.engine.title}: {told}"), soft_wrap=True)


def _table(probes: Sequence[Probe], ran: Sequence[EngineReport]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("probe")
    for number, _ in enumerate(ran, 1):
        table.add_column(str(number), justify="center")
    for probe in probes:
        table.add_row(probe.key, *(Text(*_MARKS[one.verdicts[probe.key].outcome]) for one in ran))
    return table


def _counts(report: EngineReport) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return (
        f"{report.count(Outcome.OK)} ok, {report.count(Outcome.FAIL)} failed, {report.count(Outcome.NOT_APPLICABLE)} not applicable "
        f"({versions}; {', '.join(report.servers)})"
    )
