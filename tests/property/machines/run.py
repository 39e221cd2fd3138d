"""Runs a machine: a seeded slice in the ordinary run, and in the soak as many examples as it takes to the steps that are wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property.machines.document_machine import DocumentMachine
from tests.property.machines.handoff_machine import HandoffMachine
from tests.property.machines.pair import Rows

Machine = type[HandoffMachine] | type[DocumentMachine]
MACHINES: Final[tuple[Machine, ...]] = (HandoffMachine, DocumentMachine)
_EITHER: Final = settings(deadline=None, print_blob=True, database=None, suppress_health_check=list(HealthCheck))
SLICE: Final = settings(_EITHER, derandomize=True, max_examples=16, stateful_step_count=50)
LONG: Final = settings(
    _EITHER, derandomize=False, max_examples=100, stateful_step_count=100, phases=[Phase.generate, Phase.shrink]
)
FIRST_FAULT: Final = settings(
    SLICE, max_examples=400, stateful_step_count=40, phases=[Phase.generate], report_multiple_bugs=False
)
"""For a planted bug: it is enough that it is found, by whatever way."""


@dataclass(frozen=True)
class Figures:
    """`steps` were done on both stores, and each was compared with the model."""

    machine: str
    steps: int
    duration_s: float

    def __str__(self) -> str:
        return f"{self.machine}: {self.steps} steps on both stores in {self.duration_s:.0f} s"


def run(machine: Machine, chosen: settings, steps_min: int = 0) -> Figures:
    """Examples until so many steps are done. Raises what the machine found, with the shortest way there."""
    began_s = time.monotonic()
    machine.steps_done = 0
    machine.rows = Rows()
    try:
        while True:
            run_state_machine_as_test(machine, settings=chosen)
            if machine.steps_done >= steps_min:
                return Figures(machine.__name__, machine.steps_done, time.monotonic() - began_s)
    finally:
        machine.rows.close()
