"""What the device that asked gets at the end of a hand-off: whose session, until when, with what in it, and what if the answer is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from sessile.engine.principals import LimitAction, SessionLimit
from sessile.model.document import Actor
from sessile.model.errors import SessionCreationError, SessionEnded, SessionLimitReached, SessionNotFound
from sessile.model.handoff import Handoff, HandoffStatus
from sessile.model.platform import PlatformEntry
from sessile.model.session import EndReason, Issued, Principal, Standing
from sessile.model.values import decode, encode
from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, IDLE_TIMEOUT_S, RULES, Bench, Lab, failed, only, put, succeeded
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract
from sessile.testing.store_contract.handoffs import HOME, PHONE_FACTS, offer, redeem, refused

RACERS = 4
ROUNDS = 3


class ArrivalContract(Contract):
    """Complete, once and again, at once and after the first device has gone."""

    @shows_security("N-3")
    async def test_the_new_session_is_the_users_and_not_fresh(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("ada", [PlatformEntry(platform_id=name, name=name) for name in ("shop", "mail")])
        first, handoff, claim = await agreed(bench)
        await bench.platforms.switch(first.session.session_id, "shop")
        _, issued = await bench.handoffs.complete(handoff.handoff_id, claim, None)
        assert issued is not None
        session = await bench.sessions.authenticate(issued.token)
        assert session.session_id != first.session.session_id
        assert (session.user_id, session.public, session.device) == ("ada", {"name": "Ada"}, PHONE_FACTS)
        assert (session.authenticated_at, session.is_remembered, decode(session.data)) == (None, False, {})
        assert session.platform_id == "shop", "it goes on where the first device is"
        assert (await bench.sessions.authenticate(first.token)).session_id == first.session.session_id

    @shows_security("N-3", "V7.3.2")
    async def test_a_lent_login_ends_when_the_first_one_would_have(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada")
        lab.clock.advance(IDLE_TIMEOUT_S - 10)
        handoff, claim = await agreed_by(bench, first)
        _, issued = await bench.handoffs.complete(handoff.handoff_id, claim, None)
        assert issued is not None
        assert issued.session.absolute_expires_at == first.session.absolute_expires_at
        assert issued.session.idle_expires_at == lab.clock.now() + timedelta(seconds=IDLE_TIMEOUT_S)
        handoff, claim = await agreed_by(bench, await bench.sessions.login(None, "ada", remember=True))
        _, lent = await bench.handoffs.complete(handoff.handoff_id, claim, None)
        assert lent is not None
        assert lent.session.absolute_expires_at == lab.clock.now() + timedelta(seconds=ABSOLUTE_TIMEOUT_S)
        assert lent.session.is_remembered is False, "to be remembered is not lent"

    async def test_an_anonymous_session_of_the_asking_device_becomes_the_users(self, lab: Lab) -> None:
        bench = await lab.open()
        mine = await bench.sessions.create(None, data=encode({"basket": [1]}))
        visitor = Actor(session_id=mine.session.session_id, device_id="01900000-0000-7000-8000-0000000000cc")
        document_id = (await bench.documents.open(visitor, "form", {})).document.document_id
        await bench.take(visitor, document_id, 1, 0, put("/a", 1))
        first = await bench.sessions.create("ada")
        lab.clock.advance(IDLE_TIMEOUT_S / 2)
        handoff, claim = await agreed_by(bench, first)
        _, issued = await bench.handoffs.complete(handoff.handoff_id, claim, mine.session.session_id)
        assert issued is not None
        session = await bench.sessions.authenticate(issued.token)
        assert (session.session_id, session.user_id) == (mine.session.session_id, "ada")
        assert (session.authenticated_at, decode(session.data)) == (None, {"basket": [1]})
        assert session.absolute_expires_at == first.session.absolute_expires_at
        assert (await bench.documents.get(Actor(user_id="ada"), document_id)).state == {"a": 1}
        assert (await bench.sessions.authenticate(mine.token)).standing is Standing.SUPERSEDED

    async def test_a_touch_from_before_does_not_outlast_the_lent_login(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.sessions.create("ada")
        lab.clock.set(first.session.absolute_expires_at - timedelta(seconds=IDLE_TIMEOUT_S))
        active = replace(first.session, idle_expires_at=first.session.absolute_expires_at)
        await bench.sessions.touch([active])
        mine = await bench.sessions.create(None)
        lab.clock.advance(IDLE_TIMEOUT_S / 2)
        late = bench.sessions.touched(mine.session)
        assert late is not None
        handoff, claim = await agreed_by(bench, first)
        await bench.handoffs.complete(handoff.handoff_id, claim, mine.session.session_id)
        await bench.sessions.touch([late])
        session = await bench.sessions.get(mine.session.session_id)
        assert session.idle_expires_at == session.absolute_expires_at == first.session.absolute_expires_at
        lab.clock.set(first.session.absolute_expires_at)
        assert await bench.sessions.sweep(10) == 2, "the sweep looks at the idle deadline"

    async def test_another_users_session_on_the_asking_device_is_superseded(self, lab: Lab) -> None:
        bench = await lab.open()
        eve = await bench.sessions.create("eve", data=encode({"hers": 1}))
        _, handoff, claim = await agreed(bench)
        _, issued = await bench.handoffs.complete(handoff.handoff_id, claim, eve.session.session_id)
        assert issued is not None
        assert issued.session.session_id != eve.session.session_id
        assert decode(issued.session.data) == {}
        with pytest.raises(SessionEnded) as caught:
            await bench.sessions.get(eve.session.session_id)
        assert caught.value.reason == "superseded"

    async def test_a_session_of_the_same_user_stays_as_fresh_as_it_was(self, lab: Lab) -> None:
        bench = await lab.open()
        own = await bench.sessions.create("ada", data=encode({"a": 1}))
        lab.clock.advance(10)
        _, handoff, claim = await agreed(bench)
        _, issued = await bench.handoffs.complete(handoff.handoff_id, claim, own.session.session_id)
        assert issued is not None
        session = await bench.sessions.authenticate(issued.token)
        assert (session.session_id, decode(session.data)) == (own.session.session_id, {"a": 1})
        assert session.authenticated_at == own.session.authenticated_at
        assert session.absolute_expires_at == own.session.absolute_expires_at

    async def test_a_lost_answer_is_given_again_while_nobody_has_used_it(self, lab: Lab) -> None:
        bench = await lab.open()
        _, handoff, claim = await agreed(bench)
        complete = partial(bench.handoffs.complete, handoff.handoff_id, claim, None)
        _, lost = await complete()
        _, issued = await complete()
        assert lost is not None
        assert issued is not None
        assert issued.token != lost.token
        assert issued.session.session_id == lost.session.session_id
        assert len(await bench.sessions.of_user("ada")) == 2, "the first device's and the new one"
        assert (await bench.sessions.authenticate(lost.token)).standing is Standing.SUPERSEDED
        session = await bench.sessions.authenticate(issued.token)
        assert (session.standing, session.authenticated_at) == (Standing.CURRENT, None)
        seen = bench.sessions.touched(session)
        assert seen is not None
        await bench.sessions.touch([seen])
        await refused(complete)
        assert (await bench.sessions.authenticate(issued.token)).standing is Standing.CURRENT
        kinds = [event.type for event in await bench.audit(f"session:{issued.session.session_id}")]
        assert kinds == ["session_created", "session_renewed"]

    async def test_a_lost_answer_of_a_session_that_is_over_is_not_given_again(self, lab: Lab) -> None:
        bench = await lab.open()
        _, handoff, claim = await agreed(bench)
        _, lost = await bench.handoffs.complete(handoff.handoff_id, claim, None)
        assert lost is not None
        await bench.sessions.end(lost.session.session_id, EndReason.REVOKED)
        await refused(partial(bench.handoffs.complete, handoff.handoff_id, claim, None))

    async def test_nothing_is_lent_when_the_first_session_is_over(self, lab: Lab) -> None:
        bench = await lab.open()
        first, offered = await offer(bench)
        await bench.sessions.end(first.session.session_id, EndReason.LOGOUT)
        await refused(partial(bench.handoffs.redeem, offered.code, None, HOME))
        first, handoff, claim = await agreed(bench)
        await bench.sessions.end(first.session.session_id, EndReason.LOGOUT)
        await refused(partial(bench.handoffs.complete, handoff.handoff_id, claim, None), "ended")
        first, handoff, claim = await agreed(bench)
        await bench.sessions.login(first.session.session_id, "eve")
        await refused(partial(bench.handoffs.complete, handoff.handoff_id, claim, None), "ended")
        first, handoff, claim = await agreed(bench)
        await bench.principals.disable("ada")
        await refused(partial(bench.handoffs.complete, handoff.handoff_id, claim, None), "ended")

    async def test_a_disabled_user_lends_nothing(self, lab: Lab) -> None:
        bench = await lab.open()
        _, handoff, claim = await agreed(bench)
        known = await bench.principals.get("ada") or Principal("ada")
        disabled = replace(known, disabled_at=lab.clock.now())
        await bench.store.write(lambda tx: tx.sessions.put_principal(disabled))
        with pytest.raises(SessionCreationError):
            await bench.handoffs.complete(handoff.handoff_id, claim, None)

    async def test_a_lent_login_takes_a_place_like_any_other(self, lab: Lab) -> None:
        bench = await lab.open(replace(RULES, limit=SessionLimit(1, LimitAction.REJECT)))
        first, handoff, claim = await agreed(bench)
        with pytest.raises(SessionLimitReached):
            await bench.handoffs.complete(handoff.handoff_id, claim, None)
        assert (await bench.sessions.authenticate(first.token)).user_id == "ada"
        await bench.principals.limit("ada", 2)
        assert (await bench.handoffs.complete(handoff.handoff_id, claim, None))[1] is not None
        evicting = await lab.open(replace(RULES, limit=SessionLimit(1))) if self.is_shared else None
        if evicting is not None:
            first, handoff, claim = await agreed(evicting, user_id="bob")
            _, issued = await evicting.handoffs.complete(handoff.handoff_id, claim, None)
            assert issued is not None
            assert [s.session_id for s in await evicting.sessions.of_user("bob")] == [issued.session.session_id]

    # -- at the same moment ---------------------------------------------------------------------------------------------------------

    async def test_of_devices_that_show_a_code_at_once_one_asks(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for _ in range(ROUNDS):
            first, offered = await offer(benches[0])
            outcomes = await lab.together(
                *(
                    partial(benches[n % 2].handoffs.redeem, (offered.code, offered.secret)[n % 2], None, f"{n}")
                    for n in range(RACERS)
                )
            )
            assert len(succeeded(outcomes)) == 1
            assert {getattr(error, "reason", None) for error in failed(outcomes)} == {"unknown"}
            kinds = [event.type for event in await benches[0].audit(f"session:{first.session.session_id}")]
            assert kinds.count("handoff_redeemed") == 1

    async def test_completed_at_once_there_is_one_session(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for number in range(ROUNDS):
            user_id = f"user{number}"
            _, handoff, claim = await agreed(benches[0], user_id=user_id)
            outcomes = await lab.together(
                *(partial(benches[n % 2].handoffs.complete, handoff.handoff_id, claim, None) for n in range(RACERS))
            )
            assert failed(outcomes) == []
            issued = [one for _, one in succeeded(outcomes) if one is not None]
            assert len(issued) == RACERS
            assert len({one.session.session_id for one in issued}) == 1
            assert len(await benches[0].sessions.of_user(user_id)) == 2
            standing = []
            for one in issued:
                try:
                    standing.append((await benches[0].sessions.authenticate(one.token)).standing)
                except SessionNotFound:  # retired four times over
                    standing.append(Standing.SUPERSEDED)
            assert standing.count(Standing.CURRENT) == 1

    async def test_of_yes_and_no_at_once_one_is_the_answer(self, lab: Lab) -> None:
        benches = await self._benches(lab)
        for _ in range(ROUNDS):
            first, offered, redeemed = await redeem(benches[0])
            handle, handoff_id = first.session.session_id, offered.handoff.handoff_id
            outcomes = await lab.together(
                partial(benches[0].handoffs.confirm, handle, handoff_id, accept=True),
                partial(benches[1].handoffs.confirm, handle, handoff_id, accept=False),
            )
            answer = only(succeeded(outcomes))
            assert [getattr(error, "reason", None) for error in failed(outcomes)] == ["state"]
            assert (await benches[0].handoffs.status(handle, handoff_id)).status is answer.status
            complete = partial(benches[1].handoffs.complete, handoff_id, redeemed.claim, None)
            if answer.status is HandoffStatus.CONFIRMED:
                assert (await complete())[1] is not None
            else:
                await refused(complete, "refused")

    async def _benches(self, lab: Lab) -> tuple[Bench, Bench]:
        first = await lab.open()
        return first, await lab.open() if self.is_shared else first


async def agreed(bench: Bench, user_id: str = "ada") -> tuple[Issued, Handoff, str]:
    """A session that has agreed to lend its login, the hand-off, and the claim of the device that asked."""
    first = await bench.sessions.create(user_id, public={"name": user_id.capitalize()})
    return first, *await agreed_by(bench, first)


async def agreed_by(bench: Bench, first: Issued) -> tuple[Handoff, str]:
    """The same, of a session that is there."""
    handle = first.session.session_id
    offered = await bench.handoffs.offer(handle, "")
    redeemed = await bench.handoffs.redeem(offered.code, PHONE_FACTS, HOME)
    return await bench.handoffs.confirm(handle, offered.handoff.handoff_id, accept=True), redeemed.claim
