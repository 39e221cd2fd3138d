"""A notice that work is under way: who may still come in, what people are told, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sessile.model.session import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Nobody new is let in, except who has one of `roles_spared`. Times are UTC; without `until` it lasts until it is ended."""

    message: str
    since: datetime
    until: datetime | None = None
    roles_spared: tuple[str, ...] = ()

    def spares(self, principal: Principal) -> bool:
        return not set(self.roles_spared).isdisjoint(principal.roles)

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and now >= self.until
