"""The torture suite: what a session library does when requests overlap, Redis goes away, ids are planted and stores are read by others. It asks any library the
same, from outside, over HTTP. `sessile bench torture` runs it on Sessile and on what else there is for Python."""

from sessile.testing.torture.engines import ENGINES, Engine
from sessile.testing.torture.probe import Probe
from sessile.testing.torture.probes import PROBES
from sessile.testing.torture.suite import EngineReport, Report, probe_engine, run
from sessile.testing.torture.verdicts import Outcome, Verdict

__all__ = [
    "ENGINES",
    "PROBES",
    "Engine",
    "EngineReport",
    "Outcome",
    "Probe",
    "Report",
    "Verdict",
    "probe_engine",
    "run",
]
