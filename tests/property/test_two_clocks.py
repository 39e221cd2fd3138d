"""Two clocks against a model that knows only four numbers: whatever happens in whatever order, both say the same of every session."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sessile.model.errors import SessileError, SessionExpired
from sessile.model.session import EndReason, Standing
from sessile.runtime.lane import drive
from sessile.stores.memory import MemoryStore
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, IDLE_TIMEOUT_S, Bench


class TwoClocks(RuleBasedStateMachine):
    """Times of the model are whole milliseconds since the start."""

    @initialize()
    def start(self) -> None:
        self.clock = FakeClock()
        self.bench = Bench(MemoryStore(), self.clock, SeededRandom(1))
        self.now = 0
        self.swept = False
        self.issued = drive(self.bench.sessions.create("ada"))
        self.idle_until = IDLE_TIMEOUT_S * 1000
        self.absolute_until = ABSOLUTE_TIMEOUT_S * 1000
        self.token_was_seen = False
        self.ended: str | None = None

    def expected(self) -> str:
        if self.ended is not None:
            return self.ended
        if self.now < min(self.idle_until, self.absolute_until):
            return "live"
        return "idle" if self.idle_until < self.absolute_until else "absolute"

    def attempt(self, coroutine: Any) -> str:
        try:
            drive(coroutine)
        except SessionExpired as error:
            return error.clock
        except SessileError as error:
            return str(getattr(error, "reason", error.code))
        return "live"

    @rule(seconds=st.one_of(st.floats(0.001, 1200), st.sampled_from([50, 51, 999.999, 1000, 5000])))
    def time_passes(self, seconds: float) -> None:
        milliseconds = round(seconds * 1000)
        self.clock.advance(milliseconds / 1000)
        self.now += milliseconds

    @rule()
    def the_user_is_active(self) -> None:
        if self.attempt(self.bench.sessions.authenticate(self.issued.token)) != "live":
            return
        touched = self.bench.sessions.touched(drive(self.bench.sessions.authenticate(self.issued.token)))
        deadline = min(self.now + IDLE_TIMEOUT_S * 1000, self.absolute_until)
        due = not self.token_was_seen or deadline - self.idle_until > IDLE_TIMEOUT_S * 1000 / 20
        assert (touched is not None) is due
        if touched is not None:
            drive(self.bench.sessions.touch([touched]))
            self.idle_until, self.token_was_seen = deadline, True

    @rule()
    def data_changes(self) -> None:
        changed = self.bench.sessions.change_data(self.issued.session.session_id, [("set", ("n",), self.now)], "ada")
        assert self.attempt(changed) == self.expected()

    @rule(log_in=st.booleans())
    def the_token_is_renewed(self, log_in: bool) -> None:
        handle = self.issued.session.session_id
        if self.expected() != "live":
            assert self.attempt(self.bench.sessions.rotate(handle)) == self.expected()
            return
        renew = self.bench.sessions.login(handle, "ada") if log_in else self.bench.sessions.rotate(handle)
        self.issued = drive(renew)
        self.idle_until = min(self.now + IDLE_TIMEOUT_S * 1000, self.absolute_until)
        self.token_was_seen = False

    @rule()
    def a_sweep(self) -> None:
        expected = not self.swept and self.expected() in ("idle", "absolute")
        assert drive(self.bench.sessions.sweep(10)) == int(expected)
        self.swept = self.swept or expected

    @rule(reason=st.sampled_from([EndReason.LOGOUT, EndReason.ADMIN]))
    def an_end(self, reason: EndReason) -> None:
        ended_now = drive(self.bench.sessions.end(self.issued.session.session_id, reason))
        assert ended_now is (self.ended is None and not self.swept)
        if ended_now:
            self.ended = str(reason)

    @invariant()
    def both_say_the_same(self) -> None:
        assert self.attempt(self.bench.sessions.authenticate(self.issued.token)) == self.expected()
        assert self.attempt(self.bench.sessions.get(self.issued.session.session_id)) == self.expected()
        listed = drive(self.bench.sessions.of_user("ada"))
        assert bool(listed) is (self.expected() == "live")
        if listed:
            assert listed[0].standing is Standing.CURRENT
            assert listed[0].idle_expires_at <= listed[0].absolute_expires_at


TestTwoClocks = TwoClocks.TestCase
