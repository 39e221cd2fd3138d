"""Sessions as few facts as tell what must happen: two deadlines, an end, a row of tokens. Knows nothing of rows, hashes or transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, IDLE_TIMEOUT_S, ROTATION_WINDOW_S

IDLE: Final = timedelta(seconds=IDLE_TIMEOUT_S)
ABSOLUTE: Final = timedelta(seconds=ABSOLUTE_TIMEOUT_S)
REMEMBERED_S: Final = 20_000
REMEMBERED: Final = timedelta(seconds=REMEMBERED_S)
WINDOW: Final = timedelta(seconds=ROTATION_WINDOW_S)
UNSEEN: Final = timedelta(minutes=10)
RETIRED_MAX: Final = 3
LIMIT: Final = 3
KEPT: Final = timedelta(days=10)


@dataclass(eq=False)
class Token:
    """`principal` counts the changes of principal: a token of an earlier one sees nothing."""

    text: str
    principal: int
    authenticated_at: datetime | None
    seen_at: datetime | None = None
    retired_at: datetime | None = None


@dataclass
class Known:
    """One session. `ended` is None, `swept`, or why it ended."""

    handle: str
    user: str | None
    created_at: datetime
    last_seen: datetime
    idle_until: datetime
    absolute_until: datetime
    remembered: bool
    token: Token
    tokens: list[Token] = field(default_factory=list)
    """All that it ever had, the oldest first."""
    retired: list[Token] = field(default_factory=list)
    """Those that are still known, the newest first."""
    ended: str | None = None
    ended_at: datetime | None = None
    data: dict[str, int] = field(default_factory=dict)

    def touch_is_due(self, now: datetime) -> bool:
        moved = self.idle_by(now) - self.idle_until
        if self.remembered:
            moved = max(moved, now - self.last_seen)
        return moved > IDLE / 20 or self.token.seen_at is None

    def idle_by(self, now: datetime) -> datetime:
        return min(now + (REMEMBERED if self.remembered else IDLE), self.absolute_until)

    def window_is_open(self, token: Token, now: datetime) -> bool:
        """The window of a retired token opens when a later one is first seen, at the latest ten minutes after its retirement."""
        retired_at = token.retired_at
        assert retired_at is not None
        later = self.tokens[self.tokens.index(token) + 1 :]
        seen = next((other.seen_at for other in later if other.seen_at is not None), None)
        opens = min(max(seen, retired_at), retired_at + UNSEEN) if seen is not None else retired_at + UNSEEN
        return now < opens + WINDOW


class Model:
    """What each verb must come to. A verb returns `ok` or the reason of its refusal, in the words of `Told.reason`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.sessions: dict[str, Known] = {}
        self.disabled: set[str] = set()
        self.limits: dict[str, int] = {}
        self.roles: dict[str, tuple[str, ...]] = {}
        self.maintenance: tuple[datetime | None, str | None] | None = None
        """(until, the role that is spared)."""

    @property
    def now(self) -> datetime:
        return self._clock()

    def status(self, handle: str) -> str:
        """`ok` for a live session."""
        session = self.sessions.get(handle)
        if session is None:
            return "session_not_found"
        if session.ended not in (None, "swept"):
            return f"ended:{session.ended}"
        if session.ended == "swept" or self.now >= min(session.idle_until, session.absolute_until):
            return "idle" if session.idle_until < session.absolute_until else "absolute"
        return "ok"

    def live(self, user: str | None) -> list[Known]:
        """The user's live sessions, the oldest first."""
        theirs = [s for s in self.sessions.values() if s.user == user and self.status(s.handle) == "ok"]
        return sorted(theirs, key=lambda session: (session.created_at, session.handle))

    def allowed(self, user: str) -> int:
        """0: any number."""
        return self.limits.get(user, LIMIT)

    def spares(self, user: str) -> bool:
        underway = self.maintenance
        if underway is None or (underway[0] is not None and self.now >= underway[0]):
            return True
        return underway[1] is not None and underway[1] in self.roles.get(user, ())

    def admission(self, user: str, known_as: str | None) -> str:
        """Whether the user comes in, and if so, the oldest sessions beyond the limit end."""
        if user in self.disabled:
            return "session_creation_failed"
        if known_as is None and not self.spares(user):
            return "maintenance"
        live, allowed = self.live(user), self.allowed(user)
        if known_as is None and allowed:
            self.end_all(live[: max(0, len(live) - allowed + 1)], "limit")
        return "ok"

    # -- what a session goes through ------------------------------------------------------------------------------------------------

    def begin(
        self, handle: str, token: str, user: str | None, *, remember: bool, fresh: bool, until: datetime | None
    ) -> None:
        now = self.now
        absolute = min(now + (REMEMBERED if remember else ABSOLUTE), until or datetime.max.replace(tzinfo=now.tzinfo))
        made = Token(token, 0, now if fresh and user is not None else None)
        session = Known(handle, user, now, now, absolute, absolute, remember, made, [made])
        session.idle_until = session.idle_by(now)
        self.sessions[handle] = session

    def renew(self, session: Known, token: str, *, changed: bool, authenticated_at: datetime | None) -> None:
        session.token.retired_at = self.now
        session.retired = [session.token, *session.retired][:RETIRED_MAX]
        session.token = Token(token, session.token.principal + changed, authenticated_at)
        session.tokens.append(session.token)
        session.last_seen, session.idle_until = self.now, session.idle_by(self.now)

    def usable(self, handle: str | None) -> Known | None:
        return self.sessions[handle] if handle is not None and self.status(handle) == "ok" else None

    def enter(
        self,
        handle: str | None,
        user: str,
        got: Callable[[], tuple[str, str]],
        *,
        remember: bool,
        fresh: bool,
        until: datetime | None,
    ) -> str:
        """A login: `got` gives the handle and the token that came of it, and is asked only when one must have come."""
        session = self.usable(handle)
        known_as = session.handle if session is not None and session.user == user else None
        refused = self.admission(user, known_as)
        if refused != "ok":
            return refused
        new_handle, token = got()
        if session is None or session.user not in (None, user):
            if session is not None:
                self.end_all([session], "superseded")
            assert new_handle not in self.sessions, "a session that was there was taken"
            self.begin(new_handle, token, user, remember=remember, fresh=fresh, until=until)
            return "ok"
        assert new_handle == session.handle
        was_anonymous = session.user is None
        remembered = remember or (session.remembered and not was_anonymous)
        if was_anonymous or remembered != session.remembered:
            absolute = self.now + (REMEMBERED if remembered else ABSOLUTE)
            session.remembered, session.absolute_until = remembered, min(absolute, until) if until else absolute
        at = self.now if fresh else None if was_anonymous else session.token.authenticated_at
        session.user = user
        self.renew(session, token, changed=was_anonymous, authenticated_at=at)
        return "ok"

    def seen(self, session: Known) -> None:
        """It is used, and that is written."""
        session.last_seen, session.idle_until = self.now, session.idle_by(self.now)
        session.token.seen_at = session.token.seen_at or self.now

    def end_all(self, sessions: Sequence[Known], reason: str) -> int:
        for session in sessions:
            assert session.ended is None, "nothing ends twice"
            session.ended, session.ended_at = reason, self.now
        return len(sessions)

    def sweep(self) -> int:
        over = [s for s in self.sessions.values() if s.ended is None and self.status(s.handle) != "ok"]
        return self.end_all(over, "swept")

    def forget(self, batch: int) -> int:
        over = [(s.ended_at, s.handle) for s in self.sessions.values() if s.ended_at and s.ended_at < self.now - KEPT]
        for _, handle in sorted(over)[:batch]:
            del self.sessions[handle]
        return len(over[:batch])

    # -- tokens ---------------------------------------------------------------------------------------------------------------------

    def presented(self, session_handle: str, text: str) -> tuple[str, str, Token | None]:
        """What a token shows: (reason, standing, the token). One that comes after its window is forgotten, with all that are as late."""
        session = self.sessions.get(session_handle)
        if session is None:
            return "session_not_found", "", None
        if text == session.token.text:
            return self.status(session_handle), "current", session.token
        token = next((token for token in session.retired if token.text == text), None)
        if token is None:
            return "session_not_found", "", None
        if not session.window_is_open(token, self.now):
            session.retired = [t for t in session.retired if session.window_is_open(t, self.now)]
            return "session_not_found", "", None
        standing = "rotated" if token.principal == session.token.principal else "superseded"
        return self.status(session_handle), standing, token
