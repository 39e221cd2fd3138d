"""Sessions bound to a device: registration, refresh, and what a copy of the cookies is worth."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace

from sessile.engine.binding import BindingOver, BindingSeen, BoundCookie, Challenged
from sessile.engine.logins import SessionRules
from sessile.model.binding import CHALLENGE_LIFETIME_S, Binding
from sessile.model.errors import BindingRefused, SessionEnded
from sessile.model.session import EndReason, Issued, Session
from sessile.testing.lab import BINDING, RULES, Bench, Lab, failed
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract

_HERE = "https://app.test/refresh"
TTL_S = BINDING.cookie_ttl.total_seconds()
GRACE_S = BINDING.grace.total_seconds()


class Device:
    """A browser that has logged in."""

    def __init__(self, bench: Bench, issued: Issued) -> None:
        pytest.importorskip("cryptography")
        from sessile.testing.device_key import DeviceKey

        self.key = DeviceKey()
        self.bench = bench
        self.token = issued.token
        self.session_id = issued.session.session_id
        self.bound: BoundCookie | None = None

    @property
    def cookie(self) -> str:
        assert self.bound is not None, "it has registered"
        return self.bound.cookie

    @property
    def identifier(self) -> str:
        assert self.bound is not None, "it has registered"
        return self.bound.identifier

    async def register(self) -> BoundCookie:
        offer = await self.bench.bindings.offer(await self.record())
        assert offer is not None, "it is logged in and not bound"
        proof = self.key.register(offer.challenge, offer.authorization)
        self.bound = await self.bench.bindings.register(proof, presented=self.session_id, audience=_HERE)
        return self.bound

    async def challenge(self) -> str:
        told = await self.bench.bindings.refresh(self.identifier, None, audience=_HERE)
        assert isinstance(told, Challenged)
        return told.challenge

    async def refresh(self, bench: Bench | None = None) -> BoundCookie:
        proof = self.key.refresh(await self.challenge())
        told = await (bench or self.bench).bindings.refresh(self.identifier, proof, audience=_HERE)
        assert isinstance(told, BoundCookie)
        self.bound = told
        return told

    async def seen(self, cookie: str | None) -> BindingSeen:
        return await self.bench.bindings.look(await self.record(), cookie)

    async def record(self) -> Session:
        return await self.bench.sessions.authenticate(self.token)

    async def events(self) -> list[str]:
        return [event.type for event in await self.bench.audit(f"session:{self.session_id}")]

    async def binding(self) -> Binding:
        binding = (await self.bench.sessions.get(self.session_id)).binding
        assert binding is not None
        return binding


async def _device(lab: Lab, rules: SessionRules = RULES) -> Device:
    bench = await lab.open(rules)
    return Device(bench, await bench.sessions.login(None, "ada"))


class BindingContract(Contract):
    """Device bound sessions."""

    @shows_security("D-11", "D-16")
    async def test_a_binding_counts_from_its_first_refresh(self, lab: Lab) -> None:
        device = await _device(lab)
        assert await device.seen(None) is BindingSeen.NONE
        first = await device.register()
        assert 0 < first.max_age_s < TTL_S
        assert await device.seen(None) is BindingSeen.NONE, "a browser that cannot go on is locked out of nothing"
        lab.clock.advance(1)
        second = await device.refresh()
        assert (second.max_age_s, second.identifier) == (TTL_S, first.identifier)
        assert second.cookie != first.cookie
        assert await device.seen(second.cookie) is BindingSeen.SHOWN
        for wrong in (None, "", "2.x", second.cookie[:-1] + "A" + second.cookie[-1], second.cookie.replace("2.", "3.")):
            assert await device.seen(wrong) is BindingSeen.MISSING, wrong
        assert await device.events() == [
            "session_created", "device_registered", "device_bound",
        ]  # fmt: skip

    @shows_security("D-1")
    async def test_only_a_log_in_is_offered_a_binding(self, lab: Lab) -> None:
        device = await _device(lab)
        anonymous = (await device.bench.sessions.create(None)).session
        assert await device.bench.bindings.offer(anonymous) is None
        await device.register()
        assert await device.bench.bindings.offer(await device.record()) is None

    @shows_security("D-3")
    async def test_a_registration_is_for_one_session_once_and_in_time(self, lab: Lab) -> None:
        device = await _device(lab)
        bench, key = device.bench, device.key
        eve = Device(bench, await bench.sessions.login(None, "eve"))
        offer = await bench.bindings.offer(await device.record())
        other = await bench.bindings.offer(await eve.record())
        assert offer is not None
        assert other is not None
        refused = [
            key.register(offer.challenge, None),
            key.register(offer.challenge, other.authorization),
            key.register(other.challenge, offer.authorization),
            key.register("x", offer.authorization),
        ]
        for proof in refused:
            with pytest.raises(BindingRefused):
                await bench.bindings.register(proof, presented=None, audience=_HERE)
        good = key.register(offer.challenge, offer.authorization)
        with pytest.raises(BindingRefused):
            await bench.bindings.register(good, presented=eve.session_id, audience=_HERE)
        lab.clock.advance(CHALLENGE_LIFETIME_S + 1)
        with pytest.raises(BindingRefused):
            await bench.bindings.register(good, presented=None, audience=_HERE)
        assert (await device.record()).binding is None, "nothing of it left a trace"
        await device.register()
        with pytest.raises(BindingRefused):
            await bench.bindings.register(good, presented=None, audience=_HERE)

    @shows_security("D-5")
    async def test_a_challenge_is_good_once(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        proof = device.key.refresh(await device.challenge())
        for kind in (BoundCookie, Challenged):
            told = await device.bench.bindings.refresh(device.identifier, proof, audience=_HERE)
            assert isinstance(told, kind)
        early = await device.challenge()
        for _ in range(12):
            lab.clock.advance(1)
            await device.refresh()
        told = await device.bench.bindings.refresh(device.identifier, device.key.refresh(early), audience=_HERE)
        assert isinstance(told, Challenged), "older than what is remembered of used ones"

    @shows_security("D-5")
    async def test_the_previous_challenge_is_good_too(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        earlier = await device.challenge()
        lab.clock.advance(2)
        await device.challenge()
        told = await device.bench.bindings.refresh(device.identifier, device.key.refresh(earlier), audience=_HERE)
        assert isinstance(told, BoundCookie)

    @shows_security("D-9")
    async def test_a_refresh_is_nobodys_activity(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        before = await device.record()
        lab.clock.advance(60)
        await device.refresh()
        after = await device.record()
        assert replace(after, binding=None) == replace(before, binding=None)

    @shows_security("D-4")
    async def test_what_is_unknown_or_over_is_told_to_be_forgotten(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        proof = device.key.refresh(await device.challenge())
        refresh = partial(device.bench.bindings.refresh, audience=_HERE)
        tail = device.identifier[37:]
        for unknown in ("", "sid", device.session_id, f"{device.session_id}.{tail[::-1]}", f"{'0' * 36}.{tail}"):
            assert await refresh(unknown, proof) == BindingOver(unknown)
        await device.bench.sessions.end(device.session_id, EndReason.LOGOUT)
        assert await refresh(device.identifier, proof) == BindingOver(device.identifier)
        assert await refresh(device.identifier, None) == BindingOver(device.identifier)

    @shows_security("D-7")
    async def test_a_cookie_that_was_replaced_is_good_for_a_moment(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        old = (await device.refresh()).cookie
        lab.clock.advance(TTL_S - 60)
        new = (await device.refresh()).cookie
        assert await device.seen(old) is BindingSeen.SHOWN, "the answer may have been lost"
        lab.clock.advance(GRACE_S)
        assert await device.seen(old) is BindingSeen.SHOWN
        assert await device.seen(new) is BindingSeen.SHOWN, "from now on the old one has the grace"
        lab.clock.advance(GRACE_S - 1)
        assert await device.seen(old) is BindingSeen.SHOWN
        lab.clock.advance(1)
        for _ in range(3):
            assert await device.seen(old) is BindingSeen.MISSING
        assert await device.seen(new) is BindingSeen.SHOWN
        kinds = await device.events()
        assert kinds.count("device_cookie_reuse") == 1

    @shows_security("D-8")
    async def test_a_cookie_is_worth_nothing_after_its_time(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        copied = (await device.refresh()).cookie
        lab.clock.advance(TTL_S + GRACE_S - 1)
        assert await device.seen(copied) is BindingSeen.SHOWN
        lab.clock.advance(1)
        assert await device.seen(copied) is BindingSeen.MISSING
        assert "device_cookie_reuse" in await device.events()
        assert await device.seen((await device.refresh()).cookie) is BindingSeen.SHOWN, "and its owner goes on"

    @shows_security("D-7")
    async def test_late_use_of_a_bound_cookie_can_end_the_session(self, lab: Lab) -> None:
        device = await _device(lab, SessionRules(RULES.expiry, end_on_late_use=True))
        await device.register()
        copied = (await device.refresh()).cookie
        lab.clock.advance(TTL_S + GRACE_S)
        with pytest.raises(SessionEnded) as caught:
            await device.seen(copied)
        assert caught.value.reason == EndReason.THEFT
        with pytest.raises(SessionEnded):
            await device.record()

    @shows_security("D-13")
    async def test_tabs_that_refresh_at_once_all_have_a_good_cookie(self, lab: Lab) -> None:
        device = await _device(lab)
        second = Device(
            await lab.open() if self.is_shared else device.bench, Issued(await device.record(), device.token)
        )
        await device.register()
        await device.refresh()
        lab.clock.advance(TTL_S - 60)
        proofs = [device.key.refresh(await device.challenge()) for _ in range(4)]
        calls = [
            partial(bench.bindings.refresh, device.identifier, proof, audience=_HERE)
            for proof, bench in zip(proofs, [device.bench, second.bench] * 2, strict=True)
        ]
        outcomes = await lab.together(*calls)
        assert failed(outcomes) == []
        cookies = {outcome.cookie for outcome in outcomes if isinstance(outcome, BoundCookie)}
        assert len(cookies) == 1, "one has rotated, and all were told the same"
        assert (await device.binding()).generation == 3
        assert await device.seen(cookies.pop()) is BindingSeen.SHOWN

    @shows_security("D-13")
    async def test_a_challenge_that_is_used_at_once_is_used_once(self, lab: Lab) -> None:
        device = await _device(lab)
        second = await lab.open() if self.is_shared else device.bench
        await device.register()
        proof = device.key.refresh(await device.challenge())
        calls = [
            partial(bench.bindings.refresh, device.identifier, proof, audience=_HERE)
            for bench in [device.bench, second] * 2
        ]
        kinds = [type(outcome) for outcome in await lab.together(*calls)]
        assert sorted(kind.__name__ for kind in kinds) == ["BoundCookie", "Challenged", "Challenged", "Challenged"]

    @shows_security("D-10", "D-13")
    async def test_a_refresh_and_an_end_at_once_leave_nothing_alive(self, lab: Lab) -> None:
        device = await _device(lab)
        second = await lab.open() if self.is_shared else device.bench
        await device.register()
        proof = device.key.refresh(await device.challenge())
        outcomes = await lab.together(
            partial(device.bench.bindings.refresh, device.identifier, proof, audience=_HERE),
            partial(second.sessions.end, device.session_id, EndReason.ADMIN),
        )
        assert failed(outcomes) == []
        with pytest.raises(SessionEnded):
            await device.record()
        told = await second.bindings.refresh(device.identifier, None, audience=_HERE)
        assert isinstance(told, BindingOver)

    async def test_a_binding_goes_along_with_new_tokens(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        cookie = (await device.refresh()).cookie
        device.token = (await device.bench.sessions.rotate(device.session_id)).token
        assert await device.seen(cookie) is BindingSeen.SHOWN
        device.token = (await device.bench.sessions.login(device.session_id, "ada")).token
        assert await device.seen(cookie) is BindingSeen.SHOWN

    @shows_security("D-11")
    async def test_a_binding_that_is_never_confirmed_lapses(self, lab: Lab) -> None:
        device = await _device(lab)
        await device.register()
        lab.clock.advance(TTL_S + 110)
        for _ in range(2):
            assert await device.seen(None) is BindingSeen.NONE
        assert (await device.events()).count("device_unbound") == 1
        told = await device.bench.bindings.refresh(device.identifier, None, audience=_HERE)
        assert isinstance(told, BindingOver)
        lab.clock.advance(1)
        await device.register()
        await device.refresh()
        assert await device.seen(device.cookie) is BindingSeen.SHOWN

    async def test_a_binding_can_be_given_up_for_another_one(self, lab: Lab) -> None:
        device = await _device(lab)
        offer = await device.bench.bindings.offer(await device.record())
        assert offer is not None
        await device.register()
        cookie = (await device.refresh()).cookie
        assert await device.bench.bindings.end(device.session_id)
        assert not await device.bench.bindings.end(device.session_id)
        assert await device.seen(cookie) is BindingSeen.NONE
        with pytest.raises(BindingRefused):
            await device.bench.bindings.register(
                device.key.register(offer.challenge, offer.authorization), presented=None, audience=_HERE
            )
        lab.clock.advance(1)
        await device.register()
        await device.refresh()
        assert await device.seen(cookie) is BindingSeen.MISSING, "a cookie of the binding before is none of this one"
