"""After another password or other roles: whose sessions end, and which token goes on (ASVS 7.4.3)."""

from __future__ import annotations

from functools import partial

import pytest

from sessile.model.errors import AuthenticationRequired, SessionEnded, SessionExpired, SessionNotFound
from sessile.model.events import EventKind
from sessile.model.session import EndReason, Issued, Standing
from sessile.testing.lab import IDLE_TIMEOUT_S, Lab, failed, succeeded
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.arrivals import agreed
from sessile.testing.store_contract.base import Contract
from sessile.testing.store_contract.handoffs import HOME, offer, refused


class CredentialContract(Contract):
    """Credentials and roles."""

    @shows_security("V7.4.3", "C-5")
    async def test_other_credentials_end_the_users_other_sessions(self, lab: Lab) -> None:
        bench = await lab.open()
        mine = await bench.sessions.create("ada")
        others = [(await bench.sessions.create("ada")).session.session_id for _ in range(2)]
        eve = (await bench.sessions.create("eve")).session
        lab.clock.advance(10)
        bench.told.clear()
        issued, ended = await bench.sessions.credentials_changed(mine.session.session_id)
        assert ended == 2
        assert issued.token != mine.token
        now = await bench.sessions.authenticate(issued.token)
        assert (now.session_id, now.standing) == (mine.session.session_id, Standing.CURRENT)
        assert now.authenticated_at == mine.session.authenticated_at
        assert (await bench.sessions.authenticate(mine.token)).standing is Standing.ROTATED
        for handle in others:
            with pytest.raises(SessionEnded) as caught:
                await bench.sessions.get(handle)
            assert caught.value.reason == "password_changed"
        assert (await bench.sessions.get(eve.session_id)).user_id == "eve"
        assert sorted(e.key for e in bench.told if e.kind is EventKind.SESSION_ENDED) == sorted(others)
        assert await bench.sessions.credentials_changed(mine.session.session_id)
        kinds = [event.type for event in await bench.audit(f"session:{mine.session.session_id}")]
        assert kinds == ["session_created", "session_renewed", "session_renewed"]

    @shows_security("V7.4.3")
    async def test_other_credentials_make_open_codes_useless(self, lab: Lab) -> None:
        bench = await lab.open()
        mine, offered = await offer(bench)
        _, handoff, claim = await agreed(bench)
        _, eves = await offer(bench, "eve")
        recovery = await bench.handoffs.offer_to_user("ada")
        bench.told.clear()
        await bench.sessions.credentials_changed(mine.session.session_id)
        for code in (offered.code, recovery.code):
            await refused(partial(bench.handoffs.redeem, code, {}, HOME))
        await refused(partial(bench.handoffs.complete, handoff.handoff_id, claim, None), "refused")
        told = {event.detail for event in bench.told if event.kind is EventKind.HANDOFF_CHANGED}
        assert told == {offered.handoff.handoff_id, handoff.handoff_id}, "the pages that show a code take it away"
        assert {s.session_id for s in await bench.sessions.of_user("ada")} == {mine.session.session_id}
        assert (await bench.handoffs.redeem(eves.code, {}, HOME)).claim, "another user's stay"
        await bench.handoffs.offer(mine.session.session_id, "")

    async def test_only_a_live_session_of_a_user_has_credentials(self, lab: Lab) -> None:
        bench = await lab.open()
        other = (await bench.sessions.create("ada")).session
        anonymous = (await bench.sessions.create(None)).session.session_id
        with pytest.raises(AuthenticationRequired):
            await bench.sessions.credentials_changed(anonymous)
        with pytest.raises(SessionNotFound):
            await bench.sessions.credentials_changed("01900000-0000-7000-8000-000000000000")
        ended = (await bench.sessions.create("ada")).session.session_id
        await bench.sessions.end(ended, EndReason.LOGOUT)
        with pytest.raises(SessionEnded):
            await bench.sessions.credentials_changed(ended)
        lab.clock.advance(IDLE_TIMEOUT_S / 2)
        later = (await bench.sessions.create("ada")).session.session_id
        lab.clock.advance(IDLE_TIMEOUT_S / 2)
        with pytest.raises(SessionExpired):
            await bench.sessions.credentials_changed(other.session_id)
        assert [s.session_id for s in await bench.sessions.of_user("ada")] == [later], "and nothing has ended"

    @shows_security("V7.4.3", "V15.4.2")
    async def test_logins_and_other_credentials_at_once_leave_only_what_came_after(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        for number in range(3):
            user_id = f"user{number}"
            mine = (await first.sessions.create(user_id)).session.session_id
            outcomes = await lab.together(
                partial(second.sessions.login, None, user_id),
                partial(first.sessions.credentials_changed, mine),
                partial(second.sessions.login, None, user_id),
            )
            assert failed(outcomes) == []
            changed = next(one for one in succeeded(outcomes) if isinstance(one, tuple))
            made = {one.session.session_id for one in outcomes if isinstance(one, Issued)}
            live = {session.session_id for session in await first.sessions.of_user(user_id)}
            assert mine in live
            assert live <= {mine, *made}
            assert changed[1] == len(made - live), "it counted exactly those it ended"

    @shows_security("V8.3.2", "C-5")
    async def test_other_roles_can_end_all_sessions_but_one(self, lab: Lab) -> None:
        bench = await lab.open()
        kept, *others = [(await bench.sessions.create("ada")).session.session_id for _ in range(3)]
        eve = (await bench.sessions.create("eve")).session.session_id
        bench.told.clear()
        await bench.principals.change("ada", {"name": "Ada"}, ["admin"], end_others=True, keep=kept)
        assert [s.session_id for s in await bench.sessions.of_user("ada")] == [kept]
        for handle in others:
            with pytest.raises(SessionEnded) as caught:
                await bench.sessions.get(handle)
            assert caught.value.reason == "revoked"
        told = [(event.kind, event.key) for event in bench.told]
        assert sorted(told) == sorted(
            [(EventKind.SESSION_CHANGED, kept), *((EventKind.SESSION_ENDED, handle) for handle in others)]
        )
        assert (await bench.sessions.get(kept)).public == {"name": "Ada"}
        await bench.principals.change("ada", None, ["editor"], end_others=True)
        assert await bench.sessions.of_user("ada") == []
        assert (await bench.sessions.get(eve)).user_id == "eve"

    async def test_without_other_roles_nothing_ends(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.principals.change("ada", None, ["admin"])
        handles = [(await bench.sessions.create("ada")).session.session_id for _ in range(2)]
        bench.told.clear()
        await bench.principals.change("ada", {"name": "Ada"}, ["admin"], end_others=True)
        await bench.principals.change("ada", {"name": "Ada"}, ["admin"], end_others=True)
        assert {s.session_id for s in await bench.sessions.of_user("ada")} == set(handles)
        assert sorted(e.key for e in bench.told) == sorted(handles)
        await bench.principals.change("ada", None, ["admin", "editor"])
        assert {s.session_id for s in await bench.sessions.of_user("ada")} == set(handles)
        assert sorted(e.key for e in bench.told) == sorted([*handles, *handles]), "told to take a new token"
