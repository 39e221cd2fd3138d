"""For tests, ours and yours: a clock to move, randomness to repeat, and the contract that every store keeps (`store_contract`)."""

from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.shows import shows

__all__ = ["FakeClock", "SeededRandom", "shows"]
