"""Two clocks: idle and absolute, from one policy object. Deadlines, cookie age and cache lifetime are all derived from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sessile.model.errors import SessionEnded, SessionExpired
from sessile.model.session import EndReason, Lifetime, RetiredToken, Session

UNSEEN_TOKEN_MAX = timedelta(minutes=10)
"""A retired token's window opens at the latest this long after the rotation, seen or not."""


@dataclass(frozen=True, slots=True)
class ExpiryPolicy:
    """Seconds as timedeltas. Activity moves the idle deadline only; nothing moves the absolute one (ASVS 7.3.1, 7.3.2).

    A remembered session has one clock for both: `remember_timeout` (NIST SP 800-63B-4 section 2.1.3: at most 30 days at AAL1). Where that is nothing,
    no session is remembered, and one that was is under the common clocks from its next activity on.
    """

    idle_timeout: timedelta
    absolute_timeout: timedelta
    rotation_window: timedelta
    remember_timeout: timedelta = timedelta(days=30)
    _touch_step: timedelta = field(init=False, repr=False, compare=False)
    _quiet: timedelta = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_touch_step", self.idle_timeout / 20)
        object.__setattr__(self, "_quiet", self.idle_timeout - self._touch_step)

    @property
    def can_remember(self) -> bool:
        """Whether "keep me logged in" is a clock of its own."""
        return bool(self.remember_timeout)

    def absolute_deadline(self, now: datetime, *, remembered: bool = False) -> datetime:
        return now + ((remembered and self.remember_timeout) or self.absolute_timeout)

    def idle_deadline(self, now: datetime, absolute: datetime, *, remembered: bool = False) -> datetime:
        deadline = now + ((remembered and self.remember_timeout) or self.idle_timeout)
        return min(deadline, absolute)

    def idle_deadline_of(self, session: Session, now: datetime) -> datetime:
        """Where activity now moves the session's idle deadline."""
        return self.idle_deadline(now, session.absolute_expires_at, remembered=session.is_remembered)

    def touch_is_due(self, session: Session, now: datetime) -> bool:
        """True when the idle deadline would move by more than a twentieth of the idle timeout, or the token is seen for the first time. What a
        remembered session's deadline cannot tell, its last activity does."""
        if session.ended_at is not None:
            return False
        if session.token_seen_at is None:
            return True
        if now + self._quiet <= session.idle_expires_at and not session.is_remembered:
            return False
        moved = self.idle_deadline_of(session, now) - session.idle_expires_at
        if session.is_remembered:
            moved = max(moved, now - session.last_seen_at)
        return moved > self._touch_step

    def window_is_open(self, session: Session, retired: RetiredToken, now: datetime) -> bool:
        """Whether a retired token may still be used (its window counts from the first sight of a later one)."""
        seen = retired.successor_seen_at or session.token_seen_at
        latest = retired.retired_at + UNSEEN_TOKEN_MAX
        start = min(max(seen, retired.retired_at), latest) if seen is not None else latest
        return now < start + self.rotation_window


def check_alive(session: Session | Lifetime, now: datetime) -> None:
    """Raises SessionEnded, or SessionExpired with the clock whose deadline came first. Expiry is strict: at the instant itself the session is
    over. Swept or not, it is told alike."""
    if session.ended_at is not None and session.end_reason is not EndReason.EXPIRED:
        raise SessionEnded(str(session.end_reason))
    if session.ended_at is not None or now >= session.expires_at:
        raise SessionExpired("idle" if session.can_extend else "absolute")
