"""The verbs of a session: two clocks at their exact edges, the delta of its data, ends that stay, lists and sweeps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from sessile.model.delta import Tracked
from sessile.model.document import Actor
from sessile.model.errors import (
    InvalidValue,
    SessionCreationError,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    SessionUpdateError,
)
from sessile.model.events import EventKind
from sessile.model.session import EndReason, Principal, Session
from sessile.model.values import decode, encode
from sessile.ports import Transaction
from sessile.testing.lab import ABSOLUTE_TIMEOUT_S, IDLE_TIMEOUT_S, Bench, Lab
from sessile.testing.shows import shows, shows_security
from sessile.testing.store_contract.base import Contract

_UNREADABLE = b"\xff\xfe{not a record"
UNKNOWN = "01900000-0000-7000-8000-000000000000"


class SessionContract(Contract):
    """Create, read, touch, change, end, list, sweep."""

    @shows("A01", "A02")
    async def test_a_created_session_is_found_by_its_token_and_by_its_handle(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = await bench.sessions.create("ada", data=encode({"basket": [1]}), public={"name": "Ada"})
        by_token = await bench.sessions.authenticate(issued.token)
        assert by_token == issued.session == await bench.sessions.get(issued.session.session_id)
        assert (by_token.user_id, by_token.public, decode(by_token.data)) == ("ada", {"name": "Ada"}, {"basket": [1]})
        assert by_token.authenticated_at == by_token.created_at == lab.clock.now()

    @shows_security("V-11")
    @pytest.mark.parametrize("owner", [None, "ada", "bob"])
    async def test_a_login_over_data_that_cannot_be_read_begins_another_session_and_keeps_that_one(
        self, lab: Lab, owner: str | None
    ) -> None:
        bench = await lab.open()
        issued = await bench.sessions.create(owner)
        handle = issued.session.session_id
        actor = Actor(user_id=owner, session_id=handle)
        document = (await bench.documents.open(actor, "form", {})).document
        await bench.store.write(_put_data, handle, _UNREADABLE)
        entered = await bench.sessions.login(handle, "ada")
        assert entered.session.session_id != handle
        assert (entered.session.user_id, decode(entered.session.data)) == ("ada", {})
        kept = await bench.store.read(lambda tx: tx.sessions.get(handle))
        assert kept is not None
        assert (kept.end_reason, kept.data) == (EndReason.SUPERSEDED, _UNREADABLE)
        assert "session_damaged" in await _audited(bench, handle)
        with pytest.raises(SessionEnded):
            await bench.sessions.authenticate(issued.token)
        if owner != "bob":  # what an anonymous visitor began comes along all the same
            found = await bench.documents.get(Actor(user_id="ada"), document.document_id)
            assert found.document_id == document.document_id

    @shows("A12")
    @shows_security("C-4", "V-2", "V-9")
    async def test_a_token_that_is_not_ours_reads_as_missing(self, lab: Lab) -> None:
        bench = await lab.open()
        token = (await bench.sessions.create("ada")).token
        flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
        for wrong in ("", "x", token[:-1], token + "A", flipped, UNKNOWN + token[36:], token.upper(), token + "\n"):
            with pytest.raises(SessionNotFound):
                await bench.sessions.authenticate(wrong)
        with pytest.raises(SessionNotFound):
            await bench.sessions.get("'; drop table sessions; --")

    @shows("A08")
    @shows_security("V7.3.1", "V-4")
    async def test_the_idle_clock_is_strict_at_the_instant(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = await bench.sessions.create("ada")
        lab.clock.advance(IDLE_TIMEOUT_S - 0.000001)
        await bench.sessions.authenticate(issued.token)
        lab.clock.advance(0.000001)
        with pytest.raises(SessionExpired) as caught:
            await bench.sessions.authenticate(issued.token)
        assert caught.value.clock == "idle"
        with pytest.raises(SessionExpired):
            await bench.sessions.change_data(issued.session.session_id, [("set", ("a",), 1)], "ada")
        with pytest.raises(SessionExpired):
            await bench.sessions.rotate(issued.session.session_id)

    @shows("A07", "A08")
    @shows_security("V7.3.2", "N-2")
    async def test_activity_moves_the_idle_clock_and_never_the_absolute_one(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = await bench.sessions.create("ada")
        absolute = issued.session.absolute_expires_at
        while lab.clock.now() < absolute:
            session = await bench.sessions.authenticate(issued.token)
            assert session.absolute_expires_at == absolute
            await _touch(bench, session)
            lab.clock.advance(IDLE_TIMEOUT_S / 2)
        with pytest.raises(SessionExpired) as caught:
            await bench.sessions.authenticate(issued.token)
        assert caught.value.clock == "absolute"
        assert lab.clock.now() == issued.session.created_at.fromtimestamp(
            issued.session.created_at.timestamp() + ABSOLUTE_TIMEOUT_S, issued.session.created_at.tzinfo
        )

    @shows("A07")
    async def test_a_touch_only_moves_forward_and_changes_no_version(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create("ada")).session
        lab.clock.advance(100)
        early = bench.sessions.touched(session)
        lab.clock.advance(100)
        late = bench.sessions.touched(session)
        assert early is not None
        assert late is not None
        await bench.sessions.touch([late])
        await bench.sessions.touch([early])
        now = await bench.sessions.get(session.session_id)
        assert (now.last_seen_at, now.idle_expires_at) == (late.last_seen_at, late.idle_expires_at)
        assert (now.version, now.token_seen_at) == (session.version, late.token_seen_at)

    async def test_a_touch_is_written_only_when_it_is_due(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create("ada")).session
        session = await _touch(bench, session)
        lab.clock.advance(IDLE_TIMEOUT_S / 20)
        assert bench.sessions.touched(session) is None
        lab.clock.advance(1)
        assert bench.sessions.touched(session) is not None

    @shows_security("V7.4.1")
    async def test_a_touch_brings_back_neither_an_ended_nor_an_expired_session(self, lab: Lab) -> None:
        bench = await lab.open()
        ended, expired = (await bench.sessions.create("ada")).session, (await bench.sessions.create("ada")).session
        lab.clock.advance(100)
        late = bench.sessions.touched(ended)
        assert late is not None
        await bench.sessions.end(ended.session_id, EndReason.LOGOUT)
        row = await bench.store.read(lambda tx: tx.sessions.get(ended.session_id))
        await bench.sessions.touch([late])
        assert await bench.store.read(lambda tx: tx.sessions.get(ended.session_id)) == row
        with pytest.raises(SessionEnded):
            await bench.sessions.get(ended.session_id)
        lab.clock.advance(IDLE_TIMEOUT_S)
        assert bench.sessions.touched(expired) is None, "a slow request does not revive what expired under it"

    async def test_data_changes_are_deltas_on_what_stands_there(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create("ada", data=encode({"old": 1, "nested": {"x": 1}}))).session
        first, second = Tracked(session.data), Tracked(session.data)
        first.value["nested"]["y"] = 2
        second.value["other"] = {"z": 3}
        del second.value["old"]
        await bench.sessions.change_data(session.session_id, first.operations, "ada")
        changed = await bench.sessions.change_data(session.session_id, second.operations, "ada")
        assert decode(changed.data) == {"nested": {"x": 1, "y": 2}, "other": {"z": 3}}
        assert changed.version == session.version + 2
        assert await bench.sessions.get(session.session_id) == changed

    async def test_a_delta_made_under_another_user_is_dropped_and_audited(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create(None)).session
        await bench.sessions.login(session.session_id, "ada")
        with pytest.raises(SessionUpdateError):
            await bench.sessions.change_data(session.session_id, [("set", ("a",), 1)], None)
        assert decode((await bench.sessions.get(session.session_id)).data) == {}
        assert "session_delta_dropped" in await _audited(bench, session.session_id)

    async def test_bad_data_leaves_the_session_as_it_was(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create("ada", data=encode({"a": 1}))).session
        with pytest.raises(InvalidValue):
            await bench.sessions.change_data(
                session.session_id, [("set", ("a",), 2), ("set", ("b",), float("nan"))], "ada"
            )
        assert await bench.sessions.get(session.session_id) == session

    @shows("A03", "A12")
    @shows_security("V7.4.1", "V-5")
    async def test_an_ended_session_stays_ended(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = await bench.sessions.create("ada")
        handle = issued.session.session_id
        bench.told.clear()
        assert await bench.sessions.end(handle, EndReason.LOGOUT) is True
        assert await bench.sessions.end(handle, EndReason.ADMIN) is False, "ending again does nothing"
        for refused in (
            partial(bench.sessions.authenticate, issued.token),
            partial(bench.sessions.get, handle),
            partial(bench.sessions.rotate, handle),
            partial(bench.sessions.change_data, handle, [("set", ("a",), 1)], "ada"),
        ):
            with pytest.raises(SessionEnded) as caught:
                await refused()
            assert caught.value.reason == "logout"
        found = await bench.store.read(lambda tx: tx.sessions.get_many([handle, UNKNOWN]))
        assert {key: session.end_reason for key, session in found.items()} == {handle: "logout"}
        assert [(e.kind, e.key, e.detail) for e in bench.told] == [(EventKind.SESSION_ENDED, handle, "logout")]

    async def test_ending_what_is_unknown_does_nothing(self, lab: Lab) -> None:
        bench = await lab.open()
        assert await bench.sessions.end(UNKNOWN, EndReason.ADMIN) is False
        with pytest.raises(SessionNotFound):
            await bench.sessions.rotate(UNKNOWN)
        with pytest.raises(SessionNotFound):
            await bench.sessions.change_data(UNKNOWN, [], None)

    @shows("A06")
    async def test_the_sessions_of_a_user_are_the_live_ones_oldest_first(self, lab: Lab) -> None:
        bench = await lab.open()
        old = (await bench.sessions.create("ada")).session
        lab.clock.advance(IDLE_TIMEOUT_S / 2)
        handles = []
        for _ in range(3):
            handles.append((await bench.sessions.create("ada")).session.session_id)
            lab.clock.advance(1)
        await bench.sessions.create("eve")
        await bench.sessions.end(handles[1], EndReason.REVOKED)
        assert [s.session_id for s in await bench.sessions.of_user("ada")] == [old.session_id, handles[0], handles[2]]
        lab.clock.set(old.idle_expires_at)
        assert [s.session_id for s in await bench.sessions.of_user("ada")] == [handles[0], handles[2]]

    @shows("A05")
    @shows_security("V7.4.5", "V-7")
    async def test_all_sessions_of_a_user_end_but_the_one_to_keep(self, lab: Lab) -> None:
        bench = await lab.open()
        kept = (await bench.sessions.create("ada")).session.session_id
        others = [(await bench.sessions.create("ada")).session.session_id for _ in range(3)]
        eve = (await bench.sessions.create("eve")).session.session_id
        assert await bench.sessions.end_of_user("ada", kept, EndReason.PASSWORD_CHANGED) == 3
        assert [s.session_id for s in await bench.sessions.of_user("ada")] == [kept]
        found = await bench.store.read(lambda tx: tx.sessions.get_many([kept, eve, *others]))
        reasons = {key: session.end_reason for key, session in found.items()}
        assert reasons == {kept: None, eve: None, **dict.fromkeys(others, "password_changed")}
        assert await bench.sessions.end_of_user("ada", None, EndReason.ADMIN) == 1
        assert await bench.sessions.end_of_user("nobody", None, EndReason.ADMIN) == 0

    @shows("A04", "A09")
    @shows_security("C-10")
    async def test_a_sweep_ends_what_expired_in_bounded_batches(self, lab: Lab) -> None:
        bench = await lab.open()
        over = [(await bench.sessions.create("ada")).session.session_id for _ in range(5)]
        lab.clock.advance(IDLE_TIMEOUT_S / 2)
        live = (await bench.sessions.create("ada")).session.session_id
        lab.clock.advance(IDLE_TIMEOUT_S / 2 - 1)
        assert await bench.sessions.sweep(10) == 0
        lab.clock.advance(1)
        assert [await bench.sessions.sweep(2) for _ in range(4)] == [2, 2, 1, 0]
        found = await bench.store.read(lambda tx: tx.sessions.get_many([*over, live]))
        assert {key: session.end_reason for key, session in found.items()} == {
            live: None,
            **dict.fromkeys(over, "expired"),
        }

    async def test_a_disabled_user_gets_no_session(self, lab: Lab) -> None:
        bench = await lab.open()
        anonymous = (await bench.sessions.create(None)).session
        await bench.store.write(lambda tx: tx.sessions.put_principal(Principal("ada", disabled_at=lab.clock.now())))
        with pytest.raises(SessionCreationError):
            await bench.sessions.create("ada")
        with pytest.raises(SessionCreationError):
            await bench.sessions.login(anonymous.session_id, "ada")
        assert await bench.sessions.get(anonymous.session_id) == anonymous

    async def test_a_users_sessions_come_in_pages(self, lab: Lab) -> None:
        bench = await lab.open()
        made = []
        for _ in range(5):
            made.append((await bench.sessions.create("ada")).session.session_id)
            lab.clock.advance(1)
        await bench.sessions.create("eve")
        await bench.sessions.end(made[1], EndReason.LOGOUT)
        pages: list[list[str]] = []
        after: str | None = None
        while page := await bench.sessions.of_user("ada", after, 2):
            pages.append([session.session_id for session in page])
            after = pages[-1][-1]
        assert pages == [[made[0], made[2]], [made[3], made[4]]]
        with pytest.raises(InvalidValue):
            await bench.sessions.of_user("ada", None, 0)

    async def test_a_principal_comes_back_as_it_was_written(self, lab: Lab) -> None:
        bench = await lab.open()
        written = Principal("ada", {"name": "Ada"}, ("admin", "editor"), lab.clock.now(), 3)
        await bench.store.write(lambda tx: tx.sessions.put_principal(written))
        assert await bench.store.read(lambda tx: tx.sessions.principal("ada")) == written
        cleared = replace(written, disabled_at=None, sessions_max=None, roles=())
        await bench.store.write(lambda tx: tx.sessions.put_principal(cleared))
        assert await bench.store.read(lambda tx: tx.sessions.principal("ada")) == cleared

    @pytest.mark.parametrize("user_id", ["", "x" * 256])
    async def test_a_user_id_that_cannot_be_kept_is_refused(self, lab: Lab, user_id: str) -> None:
        bench = await lab.open()
        with pytest.raises(InvalidValue):
            await bench.sessions.create(user_id)
        with pytest.raises(InvalidValue):
            await bench.sessions.login(None, user_id)


async def _touch(bench: Bench, session: Session) -> Session:
    touched = bench.sessions.touched(session)
    if touched is None:
        return session
    await bench.sessions.touch([touched])
    return await bench.sessions.get(session.session_id)


def _put_data(tx: Transaction, session_id: str, data: bytes) -> None:
    session = tx.sessions.get(session_id, lock=True)
    assert session is not None
    tx.sessions.update(replace(session, data=data))


async def _audited(bench: Bench, session_id: str) -> list[str]:
    return [event.type for event in await bench.audit(f"session:{session_id}")]
