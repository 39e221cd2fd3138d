"""Two clocks: idle and absolute, from one policy object. Deadlines, cookie age and cache lifetime are all derived from here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sessile.model.errors import SessionEnded, SessionExpired
from sessile.model.session import RetiredToken, Session

UNSEEN_TOKEN_MAX = timedelta(minutes=10)
"""A retired token's window opens at the latest this long after the rotation, seen or not."""


@dataclass(frozen=True, slots=True)
class ExpiryPolicy:
    """Seconds as timedeltas. Activity moves the idle deadline only; nothing moves the absolute one (ASVS 7.3.1, 7.3.2)."""

    idle_timeout: timedelta
    absolute_timeout: timedelta
    rotation_window: timedelta

    def idle_deadline(self, now: datetime, absolute: datetime) -> datetime:
        return min(now + self.idle_timeout, absolute)

    def touch_is_due(self, session: Session, now: datetime) -> bool:
        """True when the idle deadline would move by more than a twentieth of the idle timeout, or the token is seen for the first time."""
        if session.ended_at is not None:
            return False
        moved = self.idle_deadline(now, session.absolute_expires_at) - session.idle_expires_at
        return moved > self.idle_timeout / 20 or session.token_seen_at is None

    def window_is_open(self, session: Session, retired: RetiredToken, now: datetime) -> bool:
        """Whether a retired token may still be used (its window counts from the first sight of a later one)."""
        seen = retired.successor_seen_at or session.token_seen_at
        latest = retired.retired_at + UNSEEN_TOKEN_MAX
        start = min(max(seen, retired.retired_at), latest) if seen is not None else latest
        return now < start + self.rotation_window


def check_alive(session: Session, now: datetime) -> None:
    """Raises SessionEnded or SessionExpired. Expiry is strict: at the instant itself the session is over."""
    if session.ended_at is not None:
        raise SessionEnded(str(session.end_reason))
    if now >= session.absolute_expires_at:
        raise SessionExpired("absolute")
    if now >= session.idle_expires_at:
        raise SessionExpired("idle")
