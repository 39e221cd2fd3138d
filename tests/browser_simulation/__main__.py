"""`python -m tests.browser_simulation SEED [COUNT]`: one seed again, with every frame and every change; or some seeds, with their figures."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.browser_simulation.test_simulation import PROGRAM
from tests.differential.node import bundled


def main(seed: int, count: int = 1) -> int:
    if count == 1:
        os.environ["SIMULATION_TELLS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        return bundled(PROGRAM, Path(folder)).show([str(seed), str(count)])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
