"""What a benchmark tells: its progress while it runs, and ratios with their spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

Tell = Callable[[str], None]
"""Called with a line about what is measured next."""


def ratios(mine: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Least, median and greatest quotient of what was measured in the same round."""
    found = sorted(one / two for one, two in zip(mine, other, strict=True))
    return {
        "ratio_min": round(found[0], 2),
        "ratio_median": round(median(found), 2),
        "ratio_max": round(found[-1], 2),
    }
