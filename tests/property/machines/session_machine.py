"""Sessions of three people under everything that can be done to them, each step on both stores and against the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant
from msgspec import UNSET

from sessile.engine.principals import SessionLimit
from sessile.engine.sessions import expiry_policy
from sessile.model import token as tokens
from sessile.model.platform import PlatformEntry
from sessile.model.session import EndReason, Session
from sessile.model.values import encode
from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, IDLE_TIMEOUT_S, RETENTION, ROTATION_WINDOW_S, RULES, Bench
from tests.property.machines.doing import Doing, doing
from tests.property.machines.pair import Pair, Rows, Told
from tests.property.machines.session_model import LIMIT, REMEMBERED_S, Known, Model

ROTATION = expiry_policy(IDLE_TIMEOUT_S, ABSOLUTE_TIMEOUT_S, ROTATION_WINDOW_S, REMEMBERED_S)
USERS = ["ada", "eve", "bob"]
PLATFORMS = ["shop", "mail", "blog"]
NOBODY = "01900000-0000-7000-8000-000000000000"
DAY_S = 86_400
number = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8])
user = st.sampled_from(["ada", "ada", "eve", "bob"])
anybody = st.sampled_from([None, "ada", "ada", "eve", "bob"])
platform = st.sampled_from(PLATFORMS)
role = st.sampled_from(["admin", "editor"])
seconds = st.sampled_from(
    [0.000001, 1, 10, 10, 29.999999, 30, 30, 51, 119.999999, 120, 500, 600, 999.999999, 1000, 4000]
)


class SessionMachine(Doing):
    """Handles and tokens are picked by number, the newest first, so that what is over is tried as well."""

    rows: ClassVar[Rows]
    steps_done: ClassVar[int] = 0

    @initialize()
    def start(self) -> None:
        self.pair = Pair(self.rows, replace(RULES, expiry=ROTATION, limit=SessionLimit(LIMIT)))
        self.model = Model(lambda: self.pair.now)
        self.handles: list[str] = []
        self.tokens: list[str] = []
        self.late_touches: list[Session] = []

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            type(self).steps_done += self.pair.steps
            self.pair.agree()

    def handle(self, n: int) -> str:
        return self.handles[-1 - n % len(self.handles)] if self.handles else NOBODY

    def known(self, handle: str) -> Known:
        return self.model.sessions[handle]

    def issued(self, told: Told) -> tuple[str, str]:
        """Takes note of what a verb gave, and returns it."""
        assert told.error is None, f"a session was to come, and not {told.reason}"
        issued = told.result[0] if isinstance(told.result, tuple) else told.result
        self.tokens.append(issued.token)
        if issued.session.session_id not in self.handles:
            self.handles.append(issued.session.session_id)
        return issued.session.session_id, issued.token

    def check(self, told: Told, expected: str) -> bool:
        assert told.reason == expected
        return expected == "ok"

    @doing(2)
    def all_may_come_in(self) -> None:
        if self.model.maintenance is not None:
            self.check(self.pair.step(lambda bench: bench.maintenance.end()), "ok")
            self.model.maintenance = None
        for who in sorted(self.model.disabled):
            self.check(self.pair.step(lambda bench, user_id=who: bench.principals.enable(user_id)), "ok")  # type: ignore[misc]
        self.model.disabled.clear()

    # -- one session ----------------------------------------------------------------------------------------------------------------

    @doing(3, who=anybody)
    def create(self, who: str | None) -> None:
        told = self.pair.step(lambda bench: bench.sessions.create(who, public={"id": who}))
        expected = "ok" if who is None else self.model.admission(who, None)
        if self.check(told, expected):
            handle, token = self.issued(told)
            self.model.begin(handle, token, who, remember=False, fresh=True, until=None)

    @doing(4, n=st.one_of(st.none(), number), who=user, remember=st.booleans())
    def login(self, n: int | None, who: str, remember: bool) -> None:
        handle = None if n is None else self.handle(n)
        told = self.pair.step(lambda bench: bench.sessions.login(handle, who, remember=remember))
        got = lambda: self.issued(told)  # noqa: E731
        self.check(told, self.model.enter(handle, who, got, remember=remember, fresh=True, until=None))

    @doing(5, who=user)
    def come(self, who: str) -> None:
        self.login(None, who, False)

    @doing(3, remember=st.booleans(), who=user)
    def log_in_here(self, who: str, remember: bool) -> None:
        """Whoever was anonymous, and whose old token comes late."""
        self.create(None)
        self.login(0, who, remember)
        self.present(1, "")

    @doing(4, n=number)
    def rotate(self, n: int) -> None:
        handle = self.handle(n)
        told = self.pair.step(lambda bench: bench.sessions.rotate(handle))
        if self.check(told, self.model.status(handle)):
            session = self.known(handle)
            at = session.token.authenticated_at
            self.model.renew(session, self.issued(told)[1], changed=False, authenticated_at=at)

    @doing(8, n=number, touches=st.sampled_from(["", "", "now", "now", "later"]))
    def present(self, n: int, touches: str) -> None:
        """A token, current or old, comes with a request."""
        token = self.tokens[-1 - n % len(self.tokens)] if self.tokens else tokens.make(NOBODY, bytes(32))
        handle = tokens.parse(token)[0]
        told = self.pair.step(lambda bench: bench.sessions.authenticate(token))
        reason, standing, meant = self.model.presented(handle, token)
        if not self.check(told, reason):
            return
        assert meant is not None
        session, shown = self.known(handle), told.result
        is_superseded = standing == "superseded"
        assert (shown.standing, shown.user_id) == (standing, None if is_superseded else session.user)
        assert shown.authenticated_at == (None if is_superseded else meant.authenticated_at)
        assert shown.data == b"{}" if is_superseded else json.loads(shown.data) == session.data
        touched = self.pair.memory.bench.sessions.touched(shown)
        assert (touched is not None) is (standing == "current" and session.touch_is_due(self.model.now))
        if touched is not None and touches == "now":
            self.check(self.pair.step(lambda bench: bench.sessions.touch([touched])), "ok")
            self.model.seen(session)
        elif touched is not None and touches == "later":
            self.late_touches.append(touched)

    @doing(2)
    def write_late_touches(self) -> None:
        """What a batch held back: it may come after an end, a rotation, another deadline."""
        late, self.late_touches = self.late_touches, []
        self.check(self.pair.step(lambda bench: bench.sessions.touch(late)), "ok")
        for touched in late:
            session = self.model.sessions.get(touched.session_id)
            if session is None or session.ended is not None:
                continue
            session.last_seen = max(session.last_seen, touched.last_seen_at)
            session.idle_until = min(max(session.idle_until, touched.idle_expires_at), session.absolute_until)
            if touched.token_hash == tokens.hash_secret(tokens.parse(session.token.text)[1]):
                session.token.seen_at = session.token.seen_at or touched.token_seen_at

    @doing(2, n=number)
    def extend(self, n: int) -> None:
        handle = self.handle(n)
        if self.check(self.pair.step(lambda bench: bench.sessions.extend(handle)), self.model.status(handle)):
            session = self.known(handle)
            session.last_seen = self.model.now
            session.idle_until = max(session.idle_until, session.idle_by(self.model.now))

    @doing(2, n=number, thought=anybody, key=st.sampled_from(["a", "b"]), value=st.integers(0, 9))
    def change_data(self, n: int, thought: str | None, key: str, value: int) -> None:
        """By a request that thinks the session is that user's."""
        handle = self.handle(n)
        operations: list[Any] = [("set", (key,), value)]
        told = self.pair.step(lambda bench: bench.sessions.change_data(handle, operations, thought))
        expected = self.model.status(handle)
        if expected == "ok" and self.known(handle).user != thought:
            expected = "session_update_failed"
        if self.check(told, expected):
            self.known(handle).data[key] = value
            assert told.result.data == encode(self.known(handle).data)

    # -- ends -----------------------------------------------------------------------------------------------------------------------

    @doing(2, n=number, reason=st.sampled_from([EndReason.LOGOUT, EndReason.REVOKED]))
    def end(self, n: int, reason: EndReason) -> None:
        handle = self.handle(n)
        session = self.model.sessions.get(handle)
        told = self.pair.step(lambda bench: bench.sessions.end(handle, reason))
        assert told.result is (session is not None and session.ended is None)
        if told.result and session is not None:
            self.model.end_all([session], str(reason))

    @doing(1, who=user, keep=number)
    def end_others(self, who: str, keep: int) -> None:
        kept = self.handle(keep)
        told = self.pair.step(lambda bench: bench.sessions.end_of_user(who, kept, EndReason.ADMIN))
        assert told.result == self.model.end_all(self._others(who, kept), "admin")

    def _others(self, who: str | None, kept: str | None) -> list[Known]:
        return [session for session in self.model.live(who) if session.handle != kept]

    @doing(1, n=number)
    def credentials_change(self, n: int) -> None:
        handle = self.handle(n)
        told = self.pair.step(lambda bench: bench.sessions.credentials_changed(handle))
        expected = self.model.status(handle)
        if expected == "ok" and self.known(handle).user is None:
            expected = "authentication_required:anonymous"
        if self.check(told, expected):
            session = self.known(handle)
            assert told.result[1] == self.model.end_all(self._others(session.user, handle), "password_changed")
            at = session.token.authenticated_at
            self.model.renew(session, self.issued(told)[1], changed=False, authenticated_at=at)

    @doing(1)
    def sweep(self) -> None:
        async def all_of_it(bench: Bench) -> int:
            swept = 0
            while count := await bench.sessions.sweep(100):
                swept += count
            return swept

        assert self.pair.step(all_of_it).result == self.model.sweep()

    @doing(
        1,
        days=st.sampled_from([0, 0, 10, 11]),
        what=st.sampled_from(["forget_sessions", "forget_audit", "forget_passing"]),
    )
    def forget(self, days: int, what: str) -> None:
        self.pair.wait(days * DAY_S)
        told = self.pair.step(lambda bench: getattr(bench.retention, what)())
        if what == "forget_sessions":
            assert told.result == self.model.forget(RETENTION.batch)

    # -- users ----------------------------------------------------------------------------------------------------------------------

    @doing(1, who=user, role=role, ends=st.booleans(), keep=number)
    def change_roles(self, who: str, role: str, ends: bool, keep: int) -> None:
        kept = self.handle(keep)
        told = self.pair.step(lambda bench: bench.principals.change(who, None, [role], end_others=ends, keep=kept))
        self.check(told, "ok")
        if self.model.roles.get(who) != (role,) and ends:
            self.model.end_all(self._others(who, kept), "revoked")
        self.model.roles[who] = (role,)

    @doing(1, who=user)
    def disable_or_enable(self, who: str) -> None:
        if who in self.model.disabled:
            self.check(self.pair.step(lambda bench: bench.principals.enable(who)), "ok")
            self.model.disabled.discard(who)
            return
        told = self.pair.step(lambda bench: bench.principals.disable(who))
        assert told.result == self.model.end_all(self.model.live(who), "admin")
        self.model.disabled.add(who)

    @doing(2, who=user, sessions_max=st.sampled_from([None, 0, 1, 2, 5]))
    def limit(self, who: str, sessions_max: int | None) -> None:
        told = self.pair.step(lambda bench: bench.principals.limit(who, sessions_max))
        if sessions_max is None:
            self.model.limits.pop(who, None)
        else:
            self.model.limits[who] = sessions_max
        live, allowed = self.model.live(who), self.model.allowed(who)
        assert told.result == self.model.end_all(live[: max(0, len(live) - allowed)] if allowed else [], "limit")

    # -- platforms: whoever may be where is an invariant, below -----------------------------------------------------------------------

    @doing(2, who=user, names=st.lists(platform, max_size=3, unique=True), marked=platform)
    def sync(self, who: str, names: list[str], marked: str) -> None:
        entries = [PlatformEntry(platform_id=name, name=name, is_default=name == marked) for name in names]
        self.pair.step(lambda bench: bench.platforms.sync(who, entries))

    @doing(1, who=user, name=platform)
    def set_default(self, who: str, name: str) -> None:
        self.pair.step(lambda bench: bench.platforms.set_default(who, name))

    @doing(3, n=number, name=platform, expected=st.sampled_from([UNSET, None, *PLATFORMS]))
    def switch(self, n: int, name: str, expected: Any) -> None:
        handle = self.handle(n)
        told = self.pair.step(lambda bench: bench.platforms.switch(handle, name, expected))
        status = self.model.status(handle)
        if not told.reason.startswith("platform_refused"):
            assert told.reason == status or (status == "ok" and told.reason == "version_conflict")

    @doing(1, until_s=st.sampled_from([None, 60, 600]), spared=st.sampled_from([None, "admin"]))
    def begin_maintenance(self, until_s: float | None, spared: str | None) -> None:
        until = None if until_s is None else self.pair.now + timedelta(seconds=until_s)
        roles = [] if spared is None else [spared]
        self.check(self.pair.step(lambda bench: bench.maintenance.begin("", until, roles)), "ok")
        self.model.maintenance = (until, spared)

    @doing(1)
    def in_maintenance(self) -> None:
        """The sessions of who is not spared end."""
        told = self.pair.step(lambda bench: bench.maintenance.end_sessions(""))
        over = [session for who in USERS if not self.model.spares(who) for session in self.model.live(who)]
        assert told.result[0] == self.model.end_all(over, "maintenance")

    @doing(5, seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        self.pair.wait(seconds)

    # -- after each step ------------------------------------------------------------------------------------------------------------

    @invariant()
    def every_session_is_as_the_model_says(self) -> None:
        if not hasattr(self, "pair"):
            return
        look: Callable[[Any], Any] = lambda tx: tx.sessions.get_many(self.handles)  # noqa: E731
        rows = self.pair.read(look)
        assert set(rows) == set(self.model.sessions)
        for handle, known in self.model.sessions.items():
            row = rows[handle]
            over = None if row.end_reason is None else str(row.end_reason).replace("expired", "swept")
            assert (row.user_id, over, row.ended_at) == (known.user, known.ended, known.ended_at)
            assert (row.idle_expires_at, row.absolute_expires_at) == (known.idle_until, known.absolute_until)
            assert row.idle_expires_at <= row.absolute_expires_at
            assert (row.last_seen_at, row.is_remembered) == (known.last_seen, known.remembered)
            assert (row.token_seen_at, row.authenticated_at) == (known.token.seen_at, known.token.authenticated_at)

    @invariant()
    def who_is_live_is_where_they_may_be(self) -> None:
        if not hasattr(self, "pair"):
            return
        for who in USERS:
            live = self.pair.read(lambda tx, user_id=who: tx.sessions.of_user(user_id, self.pair.now))
            assert [session.session_id for session in live] == [known.handle for known in self.model.live(who)]
            platforms = self.pair.read(lambda tx, user_id=who: tx.platforms.of_user(user_id))
            active = {p.platform_id for p in platforms if p.is_active}
            assert sum(p.is_default for p in platforms) == bool(active)
            assert all(p.is_active for p in platforms if p.is_default)
            assert {session.platform_id for session in live} - {None} <= active
