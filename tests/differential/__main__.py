"""`python -m tests.differential SEED [COUNT]`: the sequences of some seeds through both reducers, with what became of them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.differential.comparing import Tally, compared
from tests.differential.node import bundled


def main(seed: int, count: int = 1) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tally = Tally()
        compared(bundled("test/differential/reducer.ts", Path(folder)), range(seed, seed + count), tally)
        print(tally)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
