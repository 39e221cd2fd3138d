"""What a probe says: one of three outcomes, and one sentence of what was observed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`observed` is what happened, not what should have happened; it names statuses and counts, never a cookie's value."""

    outcome: Outcome
    observed: str


def ok(observed: str) -> Verdict:
    return Verdict(Outcome.OK, observed)


def fail(observed: str) -> Verdict:
    return Verdict(Outcome.FAIL, observed)


def not_applicable(reason: str) -> Verdict:
    return Verdict(Outcome.NOT_APPLICABLE, reason)


class Stopped(Exception):
    """A probe cannot go on; this is its verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.observed)
        self.verdict = verdict


def stop(verdict: Verdict) -> NoReturn:
    """Ends the probe with this verdict."""
    raise Stopped(verdict)
