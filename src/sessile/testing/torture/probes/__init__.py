"""All probes, in the order in which they are run: those that take a store away or damage it come last."""

from __future__ import annotations

from typing import Final

from sessile.testing.torture.probe import Probe
from sessile.testing.torture.probes import changes, clocks, cookies, logins, outages, storing, users, writes

PROBES: Final[tuple[Probe, ...]] = (
    *writes.PROBES,
    *cookies.PROBES,
    *logins.PROBES,
    *changes.PROBES,
    *users.PROBES,
    *clocks.PROBES,
    *outages.PROBES,
    *storing.PROBES,
)
