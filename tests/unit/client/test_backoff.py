from __future__ import annotations

import random

import pytest

from sessile.client.backoff import Backoff
from sessile.testing import shows


def almost_one() -> float:
    return 0.999_999


@shows("H04", "python")
@pytest.mark.parametrize(
    ("attempt", "ceiling_s"),
    [(0, 0.25), (1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 20), (8, 20), (5000, 20)],
)
def test_delays_grow_to_a_ceiling(attempt: int, ceiling_s: float) -> None:
    assert Backoff().delay_s(attempt, almost_one) == pytest.approx(ceiling_s, rel=1e-3)


@shows("H04", "python")
def test_jitter_is_full(rng: random.Random) -> None:
    """Clients that lost the same server must not come back together: the whole span is used, down to nothing."""
    delays = [Backoff().delay_s(7, rng.random) for _ in range(2000)]
    assert min(delays) < 0.2
    assert max(delays) > 19.8
    assert 9.0 < sum(delays) / len(delays) < 11.0
