"""`python -m tests.model [word ...]`: explores the rows whose name has one of the words (without words: all but the long ones), prints traces."""

from __future__ import annotations

import sys

from tests.model.check import explore
from tests.model.mutants import LONG_MUTANTS, MUTANTS
from tests.model.rows import LONG, RESIDUAL, SMALL


def main(words: list[str]) -> None:
    rows = [*SMALL, RESIDUAL, *(row for row, _ in MUTANTS)]
    if words:
        rows = [
            row for row in [*rows, *LONG, *(row for row, _ in LONG_MUTANTS)] if any(word in row.name for word in words)
        ]
    for row in rows:
        print(explore(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
