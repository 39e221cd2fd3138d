"""Hand-offs as few facts as tell what must happen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tests.property.machines.session_model import Model

LIFETIME: Final = timedelta(minutes=2)
TRIES_MAX: Final = 5
REFUSED: Final = "handoff_refused:"


@dataclass
class Shown:
    """One hand-off. `status` is one of offered, redeemed, confirmed, refused, completed."""

    handoff_id: str
    origin: str
    user: str
    code: str
    secret: str
    until: datetime
    status: str = "offered"
    claim: str = ""
    new_handle: str | None = None


class Handoffs:
    """What each step must come to, in the words of `Told.reason`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.all: list[Shown] = []
        self.tries: dict[str, tuple[int, datetime]] = {}

    def offer(self, handle: str) -> str:
        status = self._model.status(handle)
        if status != "ok":
            return status
        return "authentication_required:anonymous" if self._model.sessions[handle].user is None else "ok"

    def offered(self, shown: Shown) -> None:
        """It closes the earlier ones of its session."""
        for earlier in self.all:
            if earlier.origin == shown.origin and earlier.status in ("offered", "redeemed"):
                earlier.status = "refused"
        self.all.append(shown)

    def redeem(self, shown: Shown | None, address: str) -> str:
        """With the code of that hand-off; None: a wrong one."""
        now = self._model.now
        count, until = self.tries.get(address, (0, now))
        count = 0 if until <= now else count
        if count >= TRIES_MAX:
            return "too_many"
        is_good = shown is not None and shown.status == "offered" and now < shown.until and self._origin_lives(shown)
        if shown is None or not is_good:
            self.tries[address] = (count + 1, until if count else now + LIFETIME)
            return f"{REFUSED}unknown"
        shown.status, shown.until = "redeemed", now + LIFETIME
        return "ok"

    def confirm(self, handle: str, shown: Shown, *, accept: bool) -> str:
        status = self._model.status(handle)
        if status != "ok":
            return status
        answer = "confirmed" if accept else "refused"
        if shown.origin != handle:
            return f"{REFUSED}unknown"
        if shown.status != answer:
            if shown.status != "redeemed" or self._model.now >= shown.until:
                return f"{REFUSED}state"
            shown.status, shown.until = answer, self._model.now + LIFETIME
        return "ok"

    def complete(self, shown: Shown, claim: str) -> str:
        """`ok`: there is a session to come; `waiting`: not yet; `again`: the one that came once is to come again."""
        if not shown.claim or claim != shown.claim or self._model.now >= shown.until:
            return f"{REFUSED}unknown"
        if shown.status == "redeemed":
            return "waiting"
        if shown.status == "refused":
            return f"{REFUSED}refused"
        if shown.status == "completed":
            session = self._model.usable(shown.new_handle)
            return f"{REFUSED}unknown" if session is None or session.token.seen_at is not None else "again"
        return "ok" if self._origin_lives(shown) else f"{REFUSED}ended"

    def _origin_lives(self, shown: Shown) -> bool:
        session = self._model.usable(shown.origin)
        return session is not None and session.user == shown.user
