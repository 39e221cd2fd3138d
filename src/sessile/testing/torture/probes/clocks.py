"""When a session ends by itself."""

from __future__ import annotations

import time
from typing import Final

from sessile.testing.torture.probe import Probe
from sessile.testing.torture.stage import Stage
from sessile.testing.torture.verdicts import Verdict, fail, ok

_IDLE_S: Final = 2
"""Not less: where activity is written down in batches, the idle time is not exact to the second, and need not be."""
_ABSOLUTE_S: Final = 4
_SLACK_S: Final = 1.0
_PAUSE_S: Final = 0.2


def two_clocks(stage: Stage) -> Verdict:
    """C1. An application with short clocks, as far as the library has them: one session is left alone, another is written to all the time."""
    with stage.with_options(idle_s=str(_IDLE_S), absolute_s=str(_ABSOLUTE_S)) as impatient:
        unused, busy = impatient.user(), impatient.user()
        still = busy.copy()
        began = time.monotonic()
        while time.monotonic() - began < _ABSOLUTE_S + _SLACK_S:
            busy.ask("/write", key="k", value="v")
            time.sleep(_PAUSE_S)
        if impatient.is_live(unused):
            return fail(f"unused for twice its idle time of {_IDLE_S} s it is still logged in")
        if impatient.is_live(still):
            return fail(
                f"in constant use it is still logged in after {_ABSOLUTE_S + _SLACK_S:.0f} s: there is no absolute limit to set"
            )
        return ok(f"out after {_IDLE_S} s without use, and after {_ABSOLUTE_S} s in any case")


PROBES: Final = (
    Probe(
        "C1",
        "A session ends when it is not used, and after some time even when it is",
        "ASVS 5.0 7.3.1, 7.3.2",
        two_clocks,
    ),
)
