"""The long run: `python -m tests.fuzz [--inputs N] [--seed S]` shares N inputs among the targets and prints a table for docs/security/fuzzing.md."""

from __future__ import annotations

import argparse
import random
import sys

from tests.fuzz.mutating import fuzz, memory_mb
from tests.fuzz.targets import Canary, targets


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=10_500_000)
    parser.add_argument("--seed", type=int, default=20261126)
    arguments = parser.parse_args()
    chosen = targets()
    each, total, faults = -(-arguments.inputs // len(chosen)), 0, 0
    before = memory_mb()
    print("| reader | inputs | accepted | refused | faults | slowest input | seconds |\n|---|---|---|---|---|---|---|")
    for name, target in chosen.items():
        run = fuzz(target, each, random.Random(f"{arguments.seed}{name}"))
        total, faults = total + run.inputs, faults + len(run.faults)
        counts = f"{run.inputs:,} | {run.accepted:,} | {run.refused:,} | {len(run.faults)}"
        print(f"| {name} | {counts} | {run.slowest_s * 1000:.0f} ms | {run.seconds:.0f} |", flush=True)
        for data, error in run.faults[:5]:
            print(f"  {error[:200]}: {data[:200]!r}", file=sys.stderr, flush=True)
    print(
        f"\n{total:,} inputs, {faults} faults; memory at most {memory_mb():.0f} MB, {before:.0f} MB before; unpickled: {not Canary.alive}"
    )
    return 1 if faults or not Canary.alive else 0


if __name__ == "__main__":
    sys.exit(main())
