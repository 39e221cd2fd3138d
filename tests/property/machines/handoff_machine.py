"""The same with hand-offs: codes right and wrong, in time and late, agreed to and not, completed once and again."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.property.machines.doing import doing
from tests.property.machines.handoff_model import Handoffs, Shown
from tests.property.machines.session_machine import NOBODY, SessionMachine, number

NONE = Shown(NOBODY, NOBODY, "nobody", "", "", None)  # type: ignore[arg-type]
"""Stands for a hand-off that never was."""
addresses = st.sampled_from(["192.0.2.1", "192.0.2.2"])
addresses_of_their_own = ("203.0.113.1", "203.0.113.2")
shown = st.sampled_from([0, 0, 0, 0, 1, 2])


class HandoffMachine(SessionMachine):
    """Sessions and hand-offs."""

    @property
    def handoffs(self) -> Handoffs:
        if not hasattr(self, "_handoffs"):
            self._handoffs = Handoffs(self.model)
        return self._handoffs

    def meant(self, n: int) -> Shown | None:
        return self.handoffs.all[-1 - n % len(self.handoffs.all)] if self.handoffs.all else None

    @doing(2, n=number)
    def offer(self, n: int) -> None:
        handle = self.handle(n)
        told = self.pair.step(lambda bench: bench.handoffs.offer(handle, "/form"))
        if self.check(told, self.handoffs.offer(handle)):
            made = told.result.handoff
            self.handoffs.offered(
                Shown(made.handoff_id, handle, made.user_id, told.result.code, told.result.secret, made.expires_at)
            )

    @doing(3, n=shown, way=st.sampled_from(["code", "code", "secret", "sloppy", "wrong"]), address=addresses)
    def redeem(self, n: int, way: str, address: str) -> None:
        meant = None if way == "wrong" else self.meant(n)
        ways = (
            {"code": meant.code, "secret": meant.secret, "sloppy": meant.code.lower().replace("-", " ")}
            if meant
            else {}
        )
        text = ways.get(way, "ZZZZ-ZZZZ")
        told = self.pair.step(lambda bench: bench.handoffs.redeem(text, {"label": "Phone"}, address))
        if self.check(told, self.handoffs.redeem(meant, address)):
            assert meant is not None
            meant.claim = told.result.claim

    @doing(3, n=shown, by=st.one_of(st.none(), st.none(), number), accept=st.sampled_from([True, True, True, False]))
    def confirm(self, n: int, by: int | None, accept: bool) -> None:
        meant = self.meant(n) or NONE
        handle = meant.origin if by is None else self.handle(by)
        told = self.pair.step(lambda bench: bench.handoffs.confirm(handle, meant.handoff_id, accept=accept))
        self.check(told, self.handoffs.confirm(handle, meant, accept=accept))

    @doing(4, n=shown, into=st.one_of(st.none(), number), is_claim=st.sampled_from([True, True, True, False]))
    def complete(self, n: int, into: int | None, is_claim: bool) -> None:
        meant = self.meant(n) or NONE
        claim = meant.claim if is_claim else "x" * 22
        handle = None if into is None else self.handle(into)
        told = self.pair.step(lambda bench: bench.handoffs.complete(meant.handoff_id, claim, handle))
        expected = self.handoffs.complete(meant, claim)
        issued = None if told.error is not None else told.result[1]
        if expected == "waiting":
            assert (told.reason, issued) == ("ok", None)
        elif expected == "again":
            assert issued is not None
            session = self.known(issued.session.session_id)
            assert session.handle == meant.new_handle
            self.tokens.append(issued.token)
            self.model.renew(session, issued.token, changed=True, authenticated_at=session.token.authenticated_at)
        elif expected == "ok":
            until = self.known(meant.origin).absolute_until

            def got() -> tuple[str, str]:
                assert issued is not None, f"a session was to come, and not {told.reason}"
                self.tokens.append(issued.token)
                if issued.session.session_id not in self.handles:
                    self.handles.append(issued.session.session_id)
                return issued.session.session_id, issued.token

            entered = self.model.enter(handle, meant.user, got, remember=False, fresh=False, until=until)
            if self.check(told, entered) and issued is not None:
                meant.status, meant.new_handle = "completed", issued.session.session_id
        else:
            self.check(told, expected)

    @doing(
        5,
        n=number,
        into=st.one_of(st.none(), number),
        accept=st.sampled_from([True, True, True, False]),
        waits=st.lists(st.sampled_from([0, 0, 0, 1, 119.999999, 120]), min_size=4, max_size=4),
    )
    def hand_over(self, n: int, into: int | None, accept: bool, waits: list[float]) -> None:
        """All four steps, some of them late, and the last one twice."""
        before = len(self.handoffs.all)
        self.offer(n)
        if len(self.handoffs.all) == before:
            return
        self.pair.wait(waits[0])
        self.redeem(0, "code", addresses_of_their_own[before % 2])
        self.pair.wait(waits[1])
        self.confirm(0, None, accept)
        self.pair.wait(waits[2])
        self.complete(0, into, True)
        self.pair.wait(waits[3])
        self.complete(0, into, True)
