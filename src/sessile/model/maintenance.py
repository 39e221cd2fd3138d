"""A notice that work is under way: who may still come in, what people are told, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sessile.model.session import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Nobody new is let in from `since` on, except who has one of `roles_spared`; before that it is only announced. Times are UTC; without `until` it
    lasts until it is ended. `drains`: sockets of whoever is not spared are closed, and come back when it is over."""

    message: str
    since: datetime
    until: datetime | None = None
    roles_spared: tuple[str, ...] = ()
    drains: bool = False

    def spares(self, principal: Principal) -> bool:
        return not set(self.roles_spared).isdisjoint(principal.roles)

    def is_in_force(self, now: datetime) -> bool:
        return now >= self.since and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and now >= self.until
