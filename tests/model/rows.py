"""The rows in which nothing may be found: the small ones in every run of the tests, the long ones in the soak."""

from __future__ import annotations

from tests.model.rules import Row

READER = ("W", "R")
TWO = ("WR", "WR")

SMALL = [
    Row("a writer and a reader, F of 2", READER, life=2, checks_return=True),
    Row("late calls", READER, epochs=1, late=True),
]

LONG = [
    Row("a writer and a reader, a write and the revoke", READER, versions=2, checks_return=True),
    Row("two that do everything", TWO, checks_return=True),
    Row("two servers", READER, fork=True, checks_return=True),
    Row("looks in the middle of operations", READER, busy_looks=True),
    Row("a reader who also touches", ("W", "RT")),
    Row("two that do everything, a write and the revoke", TWO, versions=2, checks_return=True),
    Row("two that do everything, F of 2", TWO, life=2, checks_return=True),
    Row("two that do everything, 3 epochs", TWO, epochs=3, checks_return=True),
    Row("two that do everything, looks in the middle", TWO, versions=2, busy_looks=True),
    Row("two that do everything, late calls", TWO, late=True),
    Row("a writer and a reader, two writes, F of 2", READER, versions=3, life=2, checks_return=True),
    Row("a writer and a reader, 3 epochs, F of 2", READER, life=2, epochs=3, busy_looks=True, checks_return=True),
    Row("a writer and a reader, late calls", READER, late=True),
    Row("a writer and two readers", ("W", "R", "R")),
    Row("two writers and a reader", ("W", "W", "R")),
    Row("two writers and a reader, a write and the revoke", ("W", "W", "R"), versions=2),
    Row("two writers, one of them reads, two writes", ("WR", "W"), versions=3),
    Row("two servers, 3 epochs", READER, fork=True, epochs=3, checks_return=True),
    Row("two servers, two that do everything", TWO, fork=True),
    Row("two servers, late calls", READER, fork=True, late=True),
]

RESIDUAL = Row("P2b without its exemption", READER, no_residual=True)
"""A mark is lost, then its writer dies between the commit and the publish: what this protocol does not mend."""
