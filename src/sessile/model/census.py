"""How many are here, at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Live sessions. `users`: different ones who have any; `anonymous`: sessions of nobody; `active`: seen since the moment that was asked about;
    `busiest`: users with the most sessions, and how many."""

    sessions: int
    users: int
    anonymous: int
    active: int
    overdue: int
    """Past a deadline and not ended yet: the sweep ends them. Nobody gets in with one."""
    busiest: Sequence[tuple[str, int]] = ()
