"""`python -m tests.soak --kills 200 [--seed N] [--json PATH] [--plant NAME] [--keep FOLDER]`: exit status 1 when anything was wrong."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.soak.plants import PLANTS
from tests.soak.run import Failed, Soak

MEDIAN_MAX_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="run with a planted error, which must be found")
    parser.add_argument("--keep", type=Path, help="an empty folder for the database, the outboxes and the server's log")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        soak = Soak(folder, seed=arguments.seed, plant=arguments.plant, told=lambda line: print(line, flush=True))
        try:
            figures = asyncio.run(soak.run(arguments.kills))
        except Failed as failed:
            print("\n".join(["FAILED", *failed.faults]), file=sys.stderr)
            return 1
    print(figures.as_json())
    if arguments.json is not None:
        arguments.json.write_text(figures.as_json() + "\n", encoding="utf-8")
    if figures.recovery_median_s >= MEDIAN_MAX_S:
        print(f"FAILED: the median recovery took {figures.recovery_median_s} s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
