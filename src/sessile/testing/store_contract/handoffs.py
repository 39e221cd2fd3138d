"""Hand-off: the code and its ways in, what each side is told, how long it is good, and how guessing is slowed down."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sessile.engine.handoff import HandoffEngine
from sessile.engine.keys import KeyRing
from sessile.engine.logins import Logins
from sessile.model.errors import (
    AuthenticationRequired,
    HandoffRefused,
    InvalidValue,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    TooManyTries,
    VersionConflict,
)
from sessile.model.events import EventKind
from sessile.model.handoff import Handoff, HandoffStatus, Offered, Redeemed, normalized
from sessile.model.limits import HANDOFF_LIFETIME_S, HANDOFF_TRIES_MAX
from sessile.model.session import EndReason, Issued
from sessile.ports import Transaction
from sessile.testing.lab import RULES, Bench, Lab
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract

PHONE_FACTS = {"label": "Phone"}
"""What the device that asks says of itself."""
WRONG = "ZZZZ-ZZZZ"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
INSTANT_S = 0.000001
"""The smallest time there is."""


class HandoffContract(Contract):
    """Offer, redeem, confirm. What completing gives is in `arrivals`."""

    async def test_a_code_leads_to_the_question_and_the_answer(self, lab: Lab) -> None:
        bench = await lab.open()
        first, offered = await offer(bench, path="/form?step=2#here")
        assert (offered.handoff.status, offered.handoff.path) == (HandoffStatus.OFFERED, "/form?step=2#here")
        assert (offered.handoff.expires_at - lab.clock.now()).total_seconds() == HANDOFF_LIFETIME_S
        handle, handoff_id = first.session.session_id, offered.handoff.handoff_id
        assert await bench.handoffs.status(handle, handoff_id) == offered.handoff
        bench.told.clear()
        redeemed = await bench.handoffs.redeem(offered.code, PHONE_FACTS, HOME)
        assert (redeemed.public, redeemed.handoff.device) == ({"name": "Ada"}, PHONE_FACTS)
        assert await bench.handoffs.status(handle, handoff_id) == redeemed.handoff
        assert redeemed.handoff.status is HandoffStatus.REDEEMED
        assert await bench.handoffs.complete(handoff_id, redeemed.claim, None) == (redeemed.handoff, None)
        confirmed = await bench.handoffs.confirm(handle, handoff_id, accept=True)
        assert confirmed.status is HandoffStatus.CONFIRMED
        completed, issued = await bench.handoffs.complete(handoff_id, redeemed.claim, None)
        assert issued is not None
        assert (completed.status, completed.new_session_id) == (HandoffStatus.COMPLETED, issued.session.session_id)
        assert [(e.kind, e.key, e.detail) for e in bench.told] == 3 * [
            (EventKind.HANDOFF_CHANGED, handle, handoff_id)
        ], "the first device hears of each step"
        kinds = [event.type for event in await bench.audit(f"session:{handle}")]
        assert kinds[1:] == ["handoff_offered", "handoff_redeemed", "handoff_confirmed", "handoff_completed"]

    async def test_a_code_is_taken_in_any_spelling_and_its_secret_as_it_is(self, lab: Lab) -> None:
        bench = await lab.open()
        spellings: list[Callable[[Offered], str]] = [
            lambda offered: offered.code,
            lambda offered: offered.code.lower().replace("-", ""),
            lambda offered: f" {offered.code.replace('-', ' - ')}\n",
            lambda offered: offered.code.replace("0", "o").replace("1", "l"),
            lambda offered: offered.code.replace("0", "O").replace("1", "i"),
            lambda offered: offered.secret,
        ]
        for spelling in spellings * 3:  # so that codes with noughts and ones are among them
            _, offered = await offer(bench)
            assert (await bench.handoffs.redeem(spelling(offered), None, HOME)).handoff.session_id
        _, offered = await offer(bench)
        flipped = offered.secret[:-1] + ("A" if offered.secret[-1] != "A" else "Q")
        near = (offered.code[:-1], offered.code + "0", flipped, offered.secret.swapcase(), "", "x" * 5000, WRONG)
        for number, wrong in enumerate(near):
            with pytest.raises(HandoffRefused):
                await bench.handoffs.redeem(wrong, None, f"address {number}")

    async def test_a_code_is_good_once(self, lab: Lab) -> None:
        bench = await lab.open()
        _, offered = await offer(bench)
        redeemed = await bench.handoffs.redeem(offered.code, None, HOME)
        for again in (offered.code, offered.secret):
            await refused(partial(bench.handoffs.redeem, again, None, ELSEWHERE))
        assert await bench.handoffs.complete(redeemed.handoff.handoff_id, redeemed.claim, None) == (
            redeemed.handoff,
            None,
        )

    @shows_security("V16.5.3")
    async def test_wrong_codes_are_counted_by_address_and_stay_counted(self, lab: Lab) -> None:
        bench = await lab.open()
        _, offered = await offer(bench)
        for _ in range(HANDOFF_TRIES_MAX):
            await refused(partial(bench.handoffs.redeem, WRONG, None, HOME))
        for code in (WRONG, offered.code, offered.secret):
            with pytest.raises(TooManyTries):
                await bench.handoffs.redeem(code, None, HOME)
        lab.clock.advance(HANDOFF_LIFETIME_S - INSTANT_S)
        with pytest.raises(TooManyTries):
            await bench.handoffs.redeem(offered.code, None, HOME)
        assert (await bench.handoffs.redeem(offered.code, None, ELSEWHERE)).handoff.handoff_id
        lab.clock.advance(INSTANT_S)
        _, later = await offer(bench)
        assert (await bench.handoffs.redeem(later.code, None, HOME)).handoff.handoff_id

    async def test_right_codes_are_not_counted(self, lab: Lab) -> None:
        bench = await lab.open()
        for _ in range(HANDOFF_TRIES_MAX + 1):
            _, offered = await offer(bench)
            await bench.handoffs.redeem(offered.code, None, HOME)

    async def test_each_step_has_two_minutes_and_its_end_is_strict(self, lab: Lab) -> None:
        bench = await lab.open()
        first, offered = await offer(bench)
        handle, handoff_id = first.session.session_id, offered.handoff.handoff_id
        lab.clock.advance(HANDOFF_LIFETIME_S)
        await refused(partial(bench.handoffs.status, handle, handoff_id))
        await refused(partial(bench.handoffs.redeem, offered.code, None, HOME))
        first, offered = await offer(bench)
        lab.clock.advance(HANDOFF_LIFETIME_S - INSTANT_S)
        redeemed = await bench.handoffs.redeem(offered.code, None, HOME)
        handle, handoff_id = first.session.session_id, offered.handoff.handoff_id
        lab.clock.advance(HANDOFF_LIFETIME_S)
        await refused(partial(bench.handoffs.confirm, handle, handoff_id, accept=True), "state")
        await refused(partial(bench.handoffs.complete, handoff_id, redeemed.claim, None))
        first, offered, redeemed = await redeem(bench)
        handle, handoff_id = first.session.session_id, offered.handoff.handoff_id
        lab.clock.advance(HANDOFF_LIFETIME_S - INSTANT_S)
        await bench.handoffs.confirm(handle, handoff_id, accept=True)
        lab.clock.advance(HANDOFF_LIFETIME_S - INSTANT_S)
        assert (await bench.handoffs.complete(handoff_id, redeemed.claim, None))[1] is not None
        lab.clock.advance(INSTANT_S)
        await refused(partial(bench.handoffs.complete, handoff_id, redeemed.claim, None))

    async def test_the_first_device_may_refuse_and_an_answer_stays(self, lab: Lab) -> None:
        bench = await lab.open()
        for accept, status in ((True, HandoffStatus.CONFIRMED), (False, HandoffStatus.REFUSED)):
            first, offered, redeemed = await redeem(bench)
            handle, handoff_id = first.session.session_id, offered.handoff.handoff_id
            answered = await bench.handoffs.confirm(handle, handoff_id, accept=accept)
            assert answered.status is status
            lab.clock.advance(1)
            bench.told.clear()
            assert await bench.handoffs.confirm(handle, handoff_id, accept=accept) == answered
            assert bench.told == []
            await refused(partial(bench.handoffs.confirm, handle, handoff_id, accept=not accept), "state")
            if accept:
                assert (await bench.handoffs.complete(handoff_id, redeemed.claim, None))[1] is not None
            else:
                await refused(partial(bench.handoffs.complete, handoff_id, redeemed.claim, None), "refused")

    async def test_only_who_offered_is_asked_and_only_what_was_asked_is_answered(self, lab: Lab) -> None:
        bench = await lab.open()
        first, offered = await offer(bench)
        handoff_id = offered.handoff.handoff_id
        await refused(partial(bench.handoffs.confirm, first.session.session_id, handoff_id, accept=True), "state")
        redeemed = await bench.handoffs.redeem(offered.code, None, HOME)
        other = (await bench.sessions.create("ada")).session.session_id
        await refused(partial(bench.handoffs.status, other, handoff_id))
        await refused(partial(bench.handoffs.confirm, other, handoff_id, accept=True))
        await refused(partial(bench.handoffs.confirm, first.session.session_id, other, accept=True))
        for claim in ("", offered.secret, offered.code, redeemed.claim[:-1]):
            await refused(partial(bench.handoffs.complete, handoff_id, claim, None))
        await bench.sessions.end(first.session.session_id, EndReason.LOGOUT)
        with pytest.raises(SessionEnded):
            await bench.handoffs.confirm(first.session.session_id, handoff_id, accept=True)

    async def test_only_a_live_session_of_a_user_offers(self, lab: Lab) -> None:
        bench = await lab.open()
        anonymous = (await bench.sessions.create(None)).session.session_id
        with pytest.raises(AuthenticationRequired):
            await bench.handoffs.offer(anonymous, "")
        with pytest.raises(SessionNotFound):
            await bench.handoffs.offer("01900000-0000-7000-8000-000000000000", "")
        first, _ = await offer(bench)
        for elsewhere in ("//evil.example", "/\\evil.example", "https://evil.example", "x", "/a\nb", "/" + "x" * 2000):
            with pytest.raises(InvalidValue):
                await bench.handoffs.offer(first.session.session_id, elsewhere)
        lab.clock.set(first.session.idle_expires_at)
        with pytest.raises(SessionExpired):
            await bench.handoffs.offer(first.session.session_id, "")

    async def test_a_newer_code_closes_the_older_ones_of_its_session(self, lab: Lab) -> None:
        bench = await lab.open()
        first, older = await offer(bench)
        other, theirs = await offer(bench, user_id="eve")
        handle = first.session.session_id
        lab.clock.advance(1)
        newer = await bench.handoffs.offer(handle, "")
        await refused(partial(bench.handoffs.redeem, older.code, None, HOME))
        redeemed = await bench.handoffs.redeem(newer.code, None, HOME)
        lab.clock.advance(1)
        newest = await bench.handoffs.offer(handle, "")
        await refused(partial(bench.handoffs.complete, newer.handoff.handoff_id, redeemed.claim, None), "refused")
        await refused(partial(bench.handoffs.confirm, handle, newer.handoff.handoff_id, accept=True), "state")
        assert (await bench.handoffs.redeem(newest.code, None, HOME)).handoff.session_id == handle
        assert (await bench.handoffs.redeem(theirs.code, None, HOME)).handoff.session_id == other.session.session_id
        rows = await bench.store.read(lambda tx: tx.handoffs.of_session(handle))
        assert [row.handoff_id for row in rows] == [o.handoff.handoff_id for o in (older, newer, newest)]

    async def test_a_code_and_a_secret_belong_to_one_hand_off(self, lab: Lab) -> None:
        bench = await lab.open()
        _, offered = await offer(bench)
        row = offered.handoff
        other = "01900000-0000-7000-8000-0000000000ff"
        for clash in (replace(row, secret_hash=b"other"), replace(row, code_hash=b"other")):
            with pytest.raises(VersionConflict):
                await bench.store.write(_put, replace(clash, handoff_id=other))
        free = replace(row, handoff_id=other, code_hash=b"other", secret_hash=b"another", status=HandoffStatus.REFUSED)
        await bench.store.write(_put, free)
        for code_hash, found in ((row.code_hash, row), (row.secret_hash, row), (b"other", free), (b"another", free)):
            assert await bench.store.read(_by_code, code_hash) == found
        changed = replace(row, claim_hash=b"claim", device={"a": 1}, new_session_id=other, path="/x")
        await bench.store.write(_put, changed)
        assert await bench.store.read(lambda tx: tx.handoffs.get(row.handoff_id)) == changed

    async def test_a_code_made_with_an_earlier_key_is_found(self, lab: Lab) -> None:
        bench = await lab.open()
        older = with_keys(bench, lab, b"old")
        rotated = with_keys(bench, lab, b"new", b"old")
        first = await bench.sessions.create("ada")
        handle = first.session.session_id
        offered = await older.offer(handle, "")
        await refused(partial(bench.handoffs.redeem, offered.code, None, HOME))
        redeemed = await rotated.redeem(offered.code, None, HOME)
        await older.confirm(handle, offered.handoff.handoff_id, accept=True)
        assert (await rotated.complete(offered.handoff.handoff_id, redeemed.claim, None))[1] is not None
        by_new = await rotated.offer(handle, "")
        await refused(partial(older.redeem, by_new.code, None, ELSEWHERE))

    async def test_without_keys_in_the_settings_one_is_made_and_kept(self, lab: Lab) -> None:
        bench = await lab.open()
        here, there = with_keys(bench, lab), with_keys(bench, lab)
        handle = (await bench.sessions.create("ada")).session.session_id
        offered = await here.offer(handle, "")
        assert (await there.redeem(offered.secret, None, HOME)).handoff.session_id == handle

    @shows_security("V-1")
    async def test_nothing_secret_is_kept_or_shown(self, lab: Lab) -> None:
        bench = await lab.open()
        first, offered, redeemed = await redeem(bench)
        handle, handoff_id = first.session.session_id, offered.handoff.handoff_id
        await bench.handoffs.confirm(handle, handoff_id, accept=True)
        completed, issued = await bench.handoffs.complete(handoff_id, redeemed.claim, None)
        assert issued is not None
        audited = [*await bench.audit(f"session:{handle}"), *await bench.audit(f"session:{issued.session.session_id}")]
        shown = repr([offered, redeemed, completed, issued, bench.told, [event.data for event in audited]])
        kept = await bench.store.read(lambda tx: tx.handoffs.get(handoff_id))
        assert kept is not None
        stored = repr((kept.code_hash, kept.secret_hash, kept.claim_hash, kept))
        token_secret = issued.token.rpartition(".")[2]
        for secret in (offered.code, normalized(offered.code) or "", offered.secret, redeemed.claim, token_secret):
            assert secret not in shown
            assert secret not in stored
        for secret_hash in (kept.code_hash, kept.secret_hash, kept.claim_hash):
            assert repr(secret_hash)[2:-1] not in shown


async def offer(bench: Bench, user_id: str = "ada", path: str = "") -> tuple[Issued, Offered]:
    """A new session of the user, and the code that it offers."""
    first = await bench.sessions.create(user_id, public={"name": user_id.capitalize()})
    return first, await bench.handoffs.offer(first.session.session_id, path)


async def redeem(bench: Bench) -> tuple[Issued, Offered, Redeemed]:
    """The same, and another device that has shown the code."""
    first, offered = await offer(bench)
    return first, offered, await bench.handoffs.redeem(offered.code, PHONE_FACTS, HOME)


async def refused(call: Callable[[], Coroutine[Any, Any, Any]], reason: str = "unknown") -> None:
    """Raises AssertionError unless the call is refused for that reason."""
    with pytest.raises(HandoffRefused) as caught:
        await call()
    assert caught.value.reason == reason


def with_keys(bench: Bench, lab: Lab, *keys: bytes) -> HandoffEngine:
    """Another process on the same rows, with these keys."""
    ring = KeyRing(keys, bench.store, lab.random)
    return HandoffEngine(bench.store, lab.clock, lab.random, ring, Logins(lab.clock, lab.random, RULES))


def _put(tx: Transaction, handoff: Handoff) -> None:
    tx.handoffs.put(handoff)


def _by_code(tx: Transaction, code_hash: bytes) -> Handoff | None:
    return tx.handoffs.by_code(code_hash)
