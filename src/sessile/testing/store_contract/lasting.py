"""How long: "keep me logged in", extending by hand, and what is told of a session that is over by one clock or the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from sessile.engine.sessions import expiry_policy
from sessile.model.errors import SessionEnded, SessionExpired, SessionNotFound
from sessile.model.events import EventKind
from sessile.model.session import EndReason, Session
from sessile.model.values import decode, encode
from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, IDLE_TIMEOUT_S, ROTATION_WINDOW_S, RULES, Bench, Lab
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract

REMEMBER_TIMEOUT_S = 20_000
REMEMBERING = replace(
    RULES, expiry=expiry_policy(IDLE_TIMEOUT_S, ABSOLUTE_TIMEOUT_S, ROTATION_WINDOW_S, REMEMBER_TIMEOUT_S)
)
INSTANT_S = 0.000001


class LastingContract(Contract):
    """The longer clock, and moving the shorter one."""

    @shows_security("N-2")
    async def test_a_remembered_session_has_one_longer_clock(self, lab: Lab) -> None:
        bench = await lab.open(REMEMBERING)
        issued = await bench.sessions.login(None, "ada", remember=True)
        session = await bench.sessions.authenticate(issued.token)
        assert (session.is_remembered, session.authenticated_at) == (True, lab.clock.now())
        assert session.idle_expires_at == session.absolute_expires_at == _in(lab, REMEMBER_TIMEOUT_S)
        assert not session.can_extend
        lab.clock.advance(REMEMBER_TIMEOUT_S - INSTANT_S)
        assert (await bench.sessions.authenticate(issued.token)).authenticated_at == session.created_at, (
            "it lasts, but it is not fresh for longer than any other"
        )
        lab.clock.advance(INSTANT_S)
        with pytest.raises(SessionExpired) as caught:
            await bench.sessions.authenticate(issued.token)
        assert caught.value.clock == "absolute"

    async def test_activity_of_a_remembered_session_is_noted_and_moves_nothing(self, lab: Lab) -> None:
        bench = await lab.open(REMEMBERING)
        session = (await bench.sessions.login(None, "ada", remember=True)).session
        first = bench.sessions.touched(session)
        assert first is not None, "the first sight of its token"
        await bench.sessions.touch([first])
        session = await bench.sessions.get(session.session_id)
        lab.clock.advance(IDLE_TIMEOUT_S / 20)
        assert bench.sessions.touched(session) is None
        lab.clock.advance(1)
        seen = bench.sessions.touched(session)
        assert seen is not None
        await bench.sessions.touch([seen])
        now = await bench.sessions.get(session.session_id)
        assert (now.last_seen_at, now.idle_expires_at) == (lab.clock.now(), session.idle_expires_at)

    async def test_a_rotation_keeps_the_longer_clock(self, lab: Lab) -> None:
        bench = await lab.open(REMEMBERING)
        first = (await bench.sessions.login(None, "ada", remember=True)).session
        lab.clock.advance(ABSOLUTE_TIMEOUT_S)
        second = (await bench.sessions.rotate(first.session_id)).session
        assert second.is_remembered is True
        assert second.idle_expires_at == second.absolute_expires_at == first.absolute_expires_at

    async def test_to_log_in_again_without_the_wish_keeps_it(self, lab: Lab) -> None:
        bench = await lab.open(REMEMBERING)
        first = (await bench.sessions.login(None, "ada", remember=True)).session
        lab.clock.advance(100)
        second = (await bench.sessions.login(first.session_id, "ada")).session
        assert (second.is_remembered, second.authenticated_at) == (True, lab.clock.now())
        assert second.absolute_expires_at == first.absolute_expires_at, "nor does it begin anew"
        third = (await bench.sessions.login(first.session_id, "ada", remember=True)).session
        assert third.absolute_expires_at == first.absolute_expires_at

    async def test_the_wish_can_come_later(self, lab: Lab) -> None:
        bench = await lab.open(REMEMBERING)
        first = (await bench.sessions.create("ada", data=encode({"a": 1}))).session
        lab.clock.advance(100)
        second = (await bench.sessions.login(first.session_id, "ada", remember=True)).session
        assert second.is_remembered is True
        assert second.idle_expires_at == second.absolute_expires_at == _in(lab, REMEMBER_TIMEOUT_S)
        assert decode((await bench.sessions.get(first.session_id)).data) == {"a": 1}

    async def test_a_wish_is_one_persons(self, lab: Lab) -> None:
        bench = await lab.open(REMEMBERING)
        first = (await bench.sessions.login(None, "ada", remember=True)).session
        second = (await bench.sessions.login(first.session_id, "eve")).session
        assert second.is_remembered is False
        assert second.absolute_expires_at == _in(lab, ABSOLUTE_TIMEOUT_S)
        anonymous = (await bench.sessions.create(None)).session
        third = (await bench.sessions.login(anonymous.session_id, "ada", remember=True)).session
        assert (third.session_id, third.is_remembered) == (anonymous.session_id, True)
        assert third.absolute_expires_at == _in(lab, REMEMBER_TIMEOUT_S)

    @shows_security("V7.3.2")
    async def test_to_extend_moves_the_idle_deadline_and_never_the_absolute_one(self, lab: Lab) -> None:
        bench = await lab.open()
        first = (await bench.sessions.create("ada")).session
        lab.clock.advance(10)
        bench.told.clear()
        extended = await bench.sessions.extend(first.session_id)
        assert extended == await bench.sessions.get(first.session_id)
        assert (extended.last_seen_at, extended.idle_expires_at) == (lab.clock.now(), _in(lab, IDLE_TIMEOUT_S))
        assert (extended.absolute_expires_at, extended.version) == (first.absolute_expires_at, first.version + 1)
        assert [(e.kind, e.key, e.version) for e in bench.told] == [
            (EventKind.SESSION_CHANGED, first.session_id, extended.version)
        ]
        assert (await bench.audit(f"session:{first.session_id}"))[-1].type == "session_extended"
        while extended.can_extend:
            lab.clock.advance(IDLE_TIMEOUT_S - 1)
            extended = await bench.sessions.extend(first.session_id)
        assert extended.expires_at == extended.idle_expires_at == first.absolute_expires_at
        lab.clock.set(first.absolute_expires_at)
        with pytest.raises(SessionExpired) as caught:
            await bench.sessions.extend(first.session_id)
        assert caught.value.clock == "absolute"

    async def test_to_extend_is_strict_at_the_deadline(self, lab: Lab) -> None:
        bench = await lab.open()
        first = (await bench.sessions.create("ada")).session
        lab.clock.advance(IDLE_TIMEOUT_S - INSTANT_S)
        assert (await bench.sessions.extend(first.session_id)).idle_expires_at == _in(lab, IDLE_TIMEOUT_S)
        lab.clock.advance(IDLE_TIMEOUT_S)
        with pytest.raises(SessionExpired) as caught:
            await bench.sessions.extend(first.session_id)
        assert caught.value.clock == "idle"
        with pytest.raises(SessionNotFound):
            await bench.sessions.extend("01900000-0000-7000-8000-000000000000")
        ended = (await bench.sessions.create("ada")).session.session_id
        await bench.sessions.end(ended, EndReason.REVOKED)
        with pytest.raises(SessionEnded) as over:
            await bench.sessions.extend(ended)
        assert over.value.reason == "revoked"

    async def test_the_idle_deadline_can_be_set_within_the_absolute_one(self, lab: Lab) -> None:
        bench = await lab.open()
        first = (await bench.sessions.create("ada")).session
        soon = timedelta(seconds=5)
        lab.clock.advance(10)
        bench.told.clear()
        sooner = await bench.sessions.set_idle_deadline(first.session_id, lab.clock.now() + soon)
        assert sooner == await bench.sessions.get(first.session_id)
        assert (sooner.last_seen_at, sooner.idle_expires_at) == (lab.clock.now(), lab.clock.now() + soon)
        assert sooner.version == first.version + 1
        assert [(e.kind, e.key, e.version) for e in bench.told] == [
            (EventKind.SESSION_CHANGED, first.session_id, sooner.version)
        ]
        later = await bench.sessions.set_idle_deadline(first.session_id, first.absolute_expires_at + timedelta(days=1))
        assert later.idle_expires_at == first.absolute_expires_at
        await bench.sessions.set_idle_deadline(first.session_id, lab.clock.now() + soon)
        lab.clock.advance(5)
        with pytest.raises(SessionExpired) as caught:
            await bench.sessions.set_idle_deadline(first.session_id, lab.clock.now() + soon)
        assert caught.value.clock == "idle"

    @shows_security("N-1")
    async def test_under_a_preset_the_idle_deadline_is_put_no_further_off(self, lab: Lab) -> None:
        bench = await lab.open(replace(RULES, idle_max=timedelta(seconds=60)))
        session = (await bench.sessions.create("ada")).session
        for asked, got in ((30, 30), (600, 60)):
            deadline = lab.clock.now() + timedelta(seconds=asked)
            moved = await bench.sessions.set_idle_deadline(session.session_id, deadline)
            assert moved.idle_expires_at == lab.clock.now() + timedelta(seconds=got)

    async def test_swept_or_not_the_clock_that_ran_out_is_told(self, lab: Lab) -> None:
        bench = await lab.open()
        idle = (await bench.sessions.create("ada")).session
        absolute = await _active_to_the_end(bench, lab)
        for swept in (False, True):
            if swept:
                assert await bench.sessions.sweep(10) == 2
            for session, clock in ((idle, "idle"), (absolute, "absolute")):
                for told in (
                    partial(bench.sessions.get, session.session_id),
                    partial(bench.sessions.rotate, session.session_id),
                    partial(bench.sessions.extend, session.session_id),
                ):
                    with pytest.raises(SessionExpired) as caught:
                        await told()
                    assert caught.value.clock == clock

    @shows_security("N-1", "N-2")
    async def test_where_nobody_is_remembered_the_wish_is_like_none(self, lab: Lab) -> None:
        remembering = await lab.open(REMEMBERING)
        before = await remembering.sessions.login(None, "eve", remember=True)
        bench = Bench(
            remembering.store,
            lab.clock,
            lab.random,
            replace(RULES, expiry=replace(RULES.expiry, remember_timeout=timedelta(0))),
        )
        now = lab.clock.now()
        for handle in (None, (await bench.sessions.create(None)).session.session_id):
            session = (await bench.sessions.login(handle, "ada", remember=True)).session
            assert not session.is_remembered
            assert session.idle_expires_at == now + RULES.expiry.idle_timeout
            assert session.absolute_expires_at == now + RULES.expiry.absolute_timeout
        again = (await bench.sessions.login(before.session.session_id, "eve", remember=True)).session
        assert again.idle_expires_at == now + RULES.expiry.idle_timeout, (
            "one that was remembered before is not any more"
        )


async def _active_to_the_end(bench: Bench, lab: Lab) -> Session:
    session = (await bench.sessions.create("eve")).session
    while session.can_extend:
        lab.clock.advance(IDLE_TIMEOUT_S / 2)
        session = await bench.sessions.extend(session.session_id)
    lab.clock.set(session.absolute_expires_at)
    return session


def _in(lab: Lab, seconds: float) -> object:
    return lab.clock.now() + timedelta(seconds=seconds)
