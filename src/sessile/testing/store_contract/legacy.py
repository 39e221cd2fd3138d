"""Sessions of another library: taken over once, their credentials replaced at first use, undone without harm to whoever came since."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest

from sessile.engine.legacy import Arrived, Import
from sessile.model import token as tokens
from sessile.model.errors import InvalidValue, SessionEnded, SessionExpired, SessionNotFound
from sessile.model.legacy import Arrival, ImportOutcome, LegacyKind, LegacyToken, hash_legacy, token_hash_of
from sessile.model.platform import PlatformEntry
from sessile.model.session import EndReason, Standing
from sessile.ports import Transaction
from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, IDLE_TIMEOUT_S, ROTATION_WINDOW_S, Bench, Lab, only, succeeded
from sessile.testing.store_contract.base import Contract

RUN: Final = "01900000-0000-7000-8000-0000000000a1"
OTHER_RUN: Final = "01900000-0000-7000-8000-0000000000a2"
WEEK: Final = timedelta(days=7)


def arrival(name: str, user_id: str | None = "ada", **facts: Any) -> Arrival:
    return Arrival(hash=hash_legacy(name), user_id=user_id, **facts)


def run_of(lab: Lab, run_id: str | None = RUN, **facts: Any) -> Import:
    return Import(run_id, LegacyKind.FLASK_SESSION, lab.clock.now() + WEEK, **facts)


class LegacyContract(Contract):
    """Import, arrival and undoing."""

    async def test_a_session_is_taken_over_once(self, lab: Lab) -> None:
        bench = await lab.open()
        run, mine = run_of(lab), arrival("mine", data=b'{"n":1}')
        assert await bench.legacy.take_over(run, [mine, mine, arrival("cart", None)]) == [
            ImportOutcome.IMPORTED,
            ImportOutcome.KNOWN,
            ImportOutcome.IMPORTED,
        ]
        assert await bench.legacy.take_over(replace(run, run_id=OTHER_RUN), [mine]) == [ImportOutcome.KNOWN]
        session = only(await bench.sessions.of_user("ada"))
        assert (session.data, session.authenticated_at, session.is_remembered) == (b'{"n":1}', None, False)
        assert [event.type for event in await bench.audit(f"session:{session.session_id}")] == ["session_imported"]
        told = only(await bench.audit("system"))
        assert (told.type, told.data["sessions"]) == ("sessions_imported", 2)
        only(await bench.legacy.runs())

    async def test_a_user_who_is_known_begins_on_their_platform(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("ada", [PlatformEntry(platform_id="shop", name="Shop", kind="shop")])
        await bench.legacy.take_over(run_of(lab), [arrival("a"), arrival("b"), arrival("e", "eve")])
        assert [session.platform_id for session in await bench.sessions.of_user("ada")] == ["shop", "shop"]
        assert only(await bench.sessions.of_user("eve")).platform_id is None

    async def test_imports_at_once_bring_nothing_twice(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        arrivals = [arrival(str(n), f"user-{n % 4}") for n in range(12)]
        calls = [
            partial(first.legacy.take_over, run_of(lab), arrivals),
            partial(second.legacy.take_over, run_of(lab, OTHER_RUN), arrivals[::-1]),
        ]
        outcomes = [one for outcome in succeeded(await lab.together(*calls)) for one in outcome]
        assert outcomes.count(ImportOutcome.IMPORTED) == outcomes.count(ImportOutcome.KNOWN) == 12
        for n in range(4):
            assert len(await first.sessions.of_user(f"user-{n}")) == 3

    async def test_it_ends_when_it_would_have_and_never_later_than_ours(self, lab: Lab) -> None:
        bench = await lab.open()
        now = lab.clock.now()
        lives = {"short": 500.0, "middle": IDLE_TIMEOUT_S + 500.0, "long": ABSOLUTE_TIMEOUT_S + 500.0, "over": 0.0}
        arrivals = [arrival(name, name, expires_at=now + timedelta(seconds=seconds)) for name, seconds in lives.items()]
        outcomes = await bench.legacy.take_over(run_of(lab), [*arrivals, arrival("endless", "endless")])
        assert outcomes == [ImportOutcome.IMPORTED] * 3 + [ImportOutcome.EXPIRED, ImportOutcome.IMPORTED]
        deadlines = {}
        for user_id in ("short", "middle", "long", "endless"):
            session = only(await bench.sessions.of_user(user_id))
            idle, absolute = session.idle_expires_at - now, session.absolute_expires_at - now
            deadlines[user_id] = (idle.total_seconds(), absolute.total_seconds())
        ours = (IDLE_TIMEOUT_S, ABSOLUTE_TIMEOUT_S)
        assert deadlines == {"short": (500, 500), "middle": (1000, 1500), "long": ours, "endless": ours}

    async def test_a_remembered_one_has_the_longer_clock(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab, remembered=True), [arrival("a", expires_at=lab.clock.now() + WEEK)])
        session = only(await bench.sessions.of_user("ada"))
        assert session.is_remembered
        assert session.idle_expires_at == session.absolute_expires_at == lab.clock.now() + WEEK

    async def test_a_disabled_user_is_not_taken_over(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.principals.disable("eve")
        outcomes = await bench.legacy.take_over(run_of(lab), [arrival("e", "eve"), arrival("a")])
        assert outcomes == [ImportOutcome.DISABLED, ImportOutcome.IMPORTED]
        with pytest.raises(SessionNotFound):
            await bench.legacy.arrive(hash_legacy("e"), can_replace=True)

    async def test_what_cannot_be_kept_is_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        for bad in (arrival("a", ""), arrival("a", "x" * 256), arrival("a", data=b" " * 65_537)):
            with pytest.raises(InvalidValue):
                await bench.legacy.take_over(run_of(lab), [bad])
        with pytest.raises(InvalidValue):
            await bench.legacy.take_over(run_of(lab), [arrival("a")] * 1001)
        assert await bench.legacy.runs() == []

    async def test_the_first_use_replaces_it_and_others_stay_in_meanwhile(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab), [arrival("a", data=b'{"n":1}')])
        first = await _arrive(bench, "a")
        assert first.token is not None
        assert (first.session.user_id, first.session.data) == ("ada", b'{"n":1}')
        other = await _arrive(bench, "a")
        assert (other.token, other.session.standing, other.session.user_id) == (None, Standing.ROTATED, "ada")
        seen = await bench.sessions.authenticate(first.token)
        await bench.sessions.touch([_touched(bench, seen)])
        lab.clock.advance(ROTATION_WINDOW_S - 0.001)
        assert (await _arrive(bench, "a")).token is None
        lab.clock.advance(0.001)
        with pytest.raises(SessionNotFound):
            await _arrive(bench, "a")
        with pytest.raises(SessionNotFound):
            await _arrive(bench, "a")
        types = [event.type for event in await bench.audit(f"session:{seen.session_id}")]
        assert types == ["session_imported", "session_renewed", "authn_token_reuse"], "late use is told once"
        await bench.sessions.authenticate(first.token)

    async def test_many_first_uses_at_once_give_one_token(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        await first.legacy.take_over(run_of(lab), [arrival("a")])
        arrived = succeeded(await lab.together(*(partial(_arrive, (first, second)[n % 2], "a") for n in range(6))))
        assert len(arrived) == 6
        token = only([one.token for one in arrived if one.token is not None])
        assert len({one.session.session_id for one in arrived}) == 1
        assert (await first.sessions.authenticate(token)).user_id == "ada"

    async def test_a_lost_answer_logs_nobody_out(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab), [arrival("a")])
        lost = [(await _arrive(bench, "a")).token]
        for _ in range(4):
            lab.clock.advance(ROTATION_WINDOW_S)
            again = await _arrive(bench, "a")
            assert again.token is not None
            assert (await _arrive(bench, "a")).token is None, "not within the window"
            lost.append(again.token)
        assert len(set(lost)) == 5
        lab.clock.advance(700)
        last = (await _arrive(bench, "a")).token
        assert last is not None
        assert (await bench.sessions.authenticate(last)).standing is Standing.CURRENT
        with pytest.raises(SessionNotFound):
            await bench.sessions.authenticate(str(lost[0]))

    async def test_a_login_takes_the_old_credential_away(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab), [arrival("cart", None, data=b'{"sku":1}')])
        session = (await _arrive(bench, "cart")).session
        issued = await bench.sessions.login(session.session_id, "ada")
        assert issued.session.data == b'{"sku":1}'
        late = await _arrive(bench, "cart")
        assert (late.token, late.session.is_read_only, late.session.data) == (None, True, b"{}")
        lab.clock.advance(ROTATION_WINDOW_S + 700)
        with pytest.raises(SessionNotFound):
            await _arrive(bench, "cart")

    async def test_what_ended_stays_ended(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab), [arrival("a"), arrival("b")])
        session = (await _arrive(bench, "a")).session
        await bench.sessions.end(session.session_id, EndReason.LOGOUT)
        with pytest.raises(SessionEnded):
            await _arrive(bench, "a")
        assert await bench.legacy.take_over(run_of(lab, OTHER_RUN), [arrival("a")]) == [ImportOutcome.KNOWN]
        lab.clock.advance(IDLE_TIMEOUT_S)
        with pytest.raises(SessionExpired):
            await _arrive(bench, "b")

    async def test_acceptance_ends(self, lab: Lab) -> None:
        bench = await lab.open()
        run = replace(run_of(lab), until=lab.clock.now() + timedelta(seconds=100))
        await bench.legacy.take_over(run, [arrival("a"), arrival("b")])
        lab.clock.advance(99.999999)
        assert (await _arrive(bench, "a")).token is not None
        lab.clock.advance(0.000001)
        assert (await _arrive(bench, "a")).token is None, "its window is open"
        with pytest.raises(SessionNotFound):
            await _arrive(bench, "b")

    async def test_a_socket_is_let_in_without_a_new_token(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab), [arrival("a")])
        by_socket = await bench.legacy.arrive(hash_legacy("a"), can_replace=False)
        assert (by_socket.token, by_socket.session.user_id) == (None, "ada")
        assert only(await bench.legacy.runs()).used == 1
        assert (await _arrive(bench, "a")).token is not None

    async def test_a_legacy_id_behind_a_handle_is_no_token(self, lab: Lab) -> None:
        bench = await lab.open()
        legacy_id = "A" * 43
        await bench.legacy.take_over(run_of(lab), [arrival(legacy_id)])
        handle = only(await bench.sessions.of_user("ada")).session_id
        with pytest.raises(SessionNotFound):
            await bench.sessions.authenticate(f"{handle}.{legacy_id}")
        assert token_hash_of(hash_legacy(legacy_id)) != tokens.hash_secret(legacy_id)

    async def test_a_signed_cookie_begins_one_session(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        run, mine = run_of(lab, None), arrival("signed", data=b'{"n":1}')
        calls = (partial((first, second)[n % 2].legacy.arrive_signed, run, mine, can_replace=n != 1) for n in range(5))
        arrived = succeeded(await lab.together(*calls))
        assert len(arrived) == 5
        token = only([one.token for one in arrived if one.token is not None])
        assert (await first.sessions.authenticate(token)).data == b'{"n":1}'
        session = only(await first.sessions.of_user("ada"))
        await first.sessions.end(session.session_id, EndReason.LOGOUT)
        with pytest.raises(SessionEnded):
            await first.legacy.arrive_signed(run, mine, can_replace=True)
        assert await first.sessions.of_user("ada") == []
        assert await first.legacy.runs() == []

    async def test_a_signed_cookie_that_is_too_late_begins_nothing(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.principals.disable("eve")
        now = lab.clock.now()
        for run, one in (
            (replace(run_of(lab, None), until=now), arrival("a")),
            (run_of(lab, None), arrival("a", expires_at=now)),
            (run_of(lab, None), arrival("a", "eve")),
        ):
            with pytest.raises(SessionNotFound):
                await bench.legacy.arrive_signed(run, one, can_replace=True)
        assert await bench.sessions.of_user("ada") == []

    async def test_a_signed_cookie_from_before_a_revocation_begins_nothing(self, lab: Lab) -> None:
        bench = await lab.open()
        signed_at = lab.clock.now()
        lab.clock.advance(10)
        session = (await bench.sessions.create("ada")).session
        await bench.sessions.end(session.session_id, EndReason.LOGOUT)
        mine = [arrival(str(n), signed_at=signed_at) for n in range(2)]
        arrived = await bench.legacy.arrive_signed(run_of(lab, None), mine[0], can_replace=True)
        assert arrived.token is not None, "a log-out elsewhere is not meant for it"
        await bench.sessions.end_of_user("ada", None, EndReason.PASSWORD_CHANGED)
        with pytest.raises(SessionNotFound):
            await bench.legacy.arrive_signed(run_of(lab, None), mine[1], can_replace=True)
        lab.clock.advance(1)
        later = arrival("later", signed_at=lab.clock.now())
        await bench.legacy.arrive_signed(run_of(lab, None), later, can_replace=True)

    async def test_undoing_spares_whoever_came_since(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab), [arrival(str(n), "ada") for n in range(5)])
        await bench.legacy.take_over(run_of(lab, OTHER_RUN), [arrival("other", "eve")])
        used = (await _arrive(bench, "2")).session.session_id
        assert await _undone(bench, RUN) == (4, 1)
        assert [session.session_id for session in await bench.sessions.of_user("ada")] == [used]
        assert len(await bench.sessions.of_user("eve")) == 1
        with pytest.raises(SessionNotFound):
            await _arrive(bench, "1")
        again = await bench.legacy.take_over(run_of(lab), [arrival("1"), arrival("2")])
        assert again == [ImportOutcome.IMPORTED, ImportOutcome.KNOWN]
        assert await _undone(bench, RUN, with_used=True) == (2, 0)
        assert await bench.sessions.of_user("ada") == []
        assert [run.run_id for run in await bench.legacy.runs()] == [OTHER_RUN]

    async def test_an_undoing_and_a_first_use_at_once_agree(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        names = [str(n) for n in range(6)]
        await first.legacy.take_over(run_of(lab), [arrival(name, name) for name in names])
        undo = partial(first.legacy.undo, RUN, after=b"", limit=100, with_used=False)
        came, undone = dict[str, bool](), list[Any]()
        for outcome, name in zip(
            await lab.together(*(partial(_arrive, second, name) for name in names), undo), [*names, ""], strict=True
        ):
            if name:
                came[name] = not isinstance(outcome, SessionNotFound | SessionEnded)
            else:
                undone.append(outcome)
        assert only(undone).kept == sum(came.values())
        assert only(undone).ended == len(names) - sum(came.values())
        for name, is_there in came.items():
            assert len(await first.sessions.of_user(name)) == int(is_there)

    async def test_undoing_brings_nothing_back_that_somebody_ended(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.legacy.take_over(run_of(lab), [arrival("a")])
        await bench.sessions.end(only(await bench.sessions.of_user("ada")).session_id, EndReason.ADMIN)
        assert await _undone(bench, RUN) == (0, 0)
        assert await bench.legacy.take_over(run_of(lab), [arrival("a")]) == [ImportOutcome.KNOWN]

    async def test_a_credential_is_remembered_as_long_as_it_could_come_back(self, lab: Lab) -> None:
        bench = await lab.open()
        month = lab.clock.now() + timedelta(days=30)
        await bench.legacy.take_over(run_of(lab), [arrival("a", expires_at=month), arrival("b")])
        await bench.legacy.take_over(run_of(lab, OTHER_RUN), [arrival("c", expires_at=lab.clock.now() + WEEK / 2)])
        kept = {"a": timedelta(days=30), "b": timedelta(days=400), "c": WEEK / 2}
        began = lab.clock.now()
        for name in sorted(kept, key=lambda one: kept[one]):
            lab.clock.advance((began + kept[name] - lab.clock.now()).total_seconds())
            await bench.retention.forget_passing()
            assert await bench.store.read(_row, name) is not None
            lab.clock.advance(0.000001)
            await bench.retention.forget_passing()
            assert await bench.store.read(_row, name) is None

    async def test_rows_come_back_as_they_were_put(self, lab: Lab) -> None:
        bench = await lab.open()
        now = lab.clock.now()
        token = LegacyToken(
            hash=hash_legacy("a"), session_id=RUN, source=LegacyKind.DJANGO, run_id=None, expires_at=now, kept_until=now + WEEK
        )  # fmt: skip
        assert await bench.store.write(_add, [token]) == {token.hash}
        other = replace(token, hash=hash_legacy("b"), used_at=now)
        assert await bench.store.write(_add, [replace(token, source=LegacyKind.LITESTAR), other]) == {other.hash}
        assert await bench.store.write(_add, []) == set()
        assert await bench.store.read(_row, "a") == token
        await bench.store.write(_use, "a", now)
        await bench.store.write(_use, "a", now + WEEK)
        await bench.store.write(_use, "nobody", now)
        used = {token.hash: replace(token, used_at=now), other.hash: other}
        assert await bench.store.read(_rows, ["a", "b", "c"]) == used
        assert await bench.store.read(_rows, []) == {}


async def _arrive(bench: Bench, name: str) -> Arrived:
    return await bench.legacy.arrive(hash_legacy(name), can_replace=True)


def _touched(bench: Bench, session: Any) -> Any:
    touched = bench.sessions.touched(session)
    assert touched is not None
    return touched


async def _undone(bench: Bench, run_id: str, *, with_used: bool = False) -> tuple[int, int]:
    ended = kept = 0
    after: bytes | None = b""
    while after is not None:
        batch = await bench.legacy.undo(run_id, after=after, limit=2, with_used=with_used)
        ended, kept, after = ended + batch.ended, kept + batch.kept, batch.after
    return ended, kept


def _row(tx: Transaction, name: str) -> LegacyToken | None:
    return tx.legacy.get(hash_legacy(name))


def _rows(tx: Transaction, names: list[str]) -> dict[bytes, LegacyToken]:
    return tx.legacy.get_many([hash_legacy(name) for name in names])


def _add(tx: Transaction, tokens: list[LegacyToken]) -> set[bytes]:
    return tx.legacy.add(tokens)


def _use(tx: Transaction, name: str, at: datetime) -> None:
    tx.legacy.use(hash_legacy(name), at)
