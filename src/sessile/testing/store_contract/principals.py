"""Users: what pages see of them, whether they may come in, and how often at once, exactly."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from sessile.engine.principals import LimitAction, SessionLimit
from sessile.model.errors import InvalidValue, SessionCreationError, SessionEnded, SessionLimitReached
from sessile.model.events import EventKind
from sessile.model.session import EndReason
from sessile.testing.lab import RULES, Bench, Lab, failed, succeeded
from sessile.testing.shows import shows_security
from sessile.testing.store_contract.base import Contract

LIMIT = 3
EVICTING = replace(RULES, limit=SessionLimit(LIMIT))
REJECTING = replace(RULES, limit=SessionLimit(LIMIT, LimitAction.REJECT))


class PrincipalContract(Contract):
    """Users."""

    async def test_nothing_is_known_of_a_stranger(self, lab: Lab) -> None:
        bench = await lab.open()
        assert await bench.principals.get("nobody") is None
        await bench.principals.enable("nobody")
        assert await bench.principals.get("nobody") is None
        assert await bench.principals.disable("nobody") == 0
        with pytest.raises(SessionCreationError):
            await bench.sessions.create("nobody")

    async def test_what_pages_see_of_a_user_changes_in_all_sessions(self, lab: Lab) -> None:
        bench = await lab.open()
        first = (await bench.sessions.create("ada", public={"name": "Ada"})).session
        second = (await bench.sessions.create("ada")).session
        assert second.public == {"name": "Ada"}
        bench.told.clear()
        changed = await bench.principals.change("ada", {"name": "Ada L."}, ["editor", "editor"])
        assert (changed.public, changed.roles) == ({"name": "Ada L."}, ("editor",))
        for session in (first, second):
            assert (await bench.sessions.get(session.session_id)).public == {"name": "Ada L."}
        assert sorted((event.kind, event.key) for event in bench.told) == sorted(
            (EventKind.SESSION_CHANGED, session.session_id) for session in (first, second)
        )
        assert (await bench.principals.change("ada", None, ["reader"])).public == {"name": "Ada L."}
        assert (await bench.principals.change("ada", {}, None)).roles == ("reader",)
        assert [event.data.get("roles") for event in await bench.audit("user:ada")] == [["editor"], ["reader"], None]

    async def test_a_login_that_names_new_facts_changes_the_other_sessions_too(self, lab: Lab) -> None:
        bench = await lab.open()
        first = (await bench.sessions.create("ada", public={"name": "Ada"})).session
        await bench.sessions.login(None, "ada", public={"name": "Ada L."})
        assert (await bench.sessions.get(first.session_id)).public == {"name": "Ada L."}

    @shows_security("V7.4.2")
    async def test_a_disabled_user_is_out_at_once_and_stays_out(self, lab: Lab) -> None:
        bench = await lab.open()
        sessions = [(await bench.sessions.create("ada")).session for _ in range(2)]
        eve = (await bench.sessions.create("eve")).session
        assert await bench.principals.disable("ada") == 2
        assert await bench.principals.disable("ada") == 0
        for session in sessions:
            with pytest.raises(SessionEnded) as caught:
                await bench.sessions.get(session.session_id)
            assert caught.value.reason == "admin"
        with pytest.raises(SessionCreationError):
            await bench.sessions.login(None, "ada")
        assert (await bench.sessions.get(eve.session_id)).user_id == "eve"
        await bench.principals.enable("ada")
        assert (await bench.sessions.login(None, "ada")).session.user_id == "ada"
        kinds = [event.type for event in await bench.audit("user:ada")]
        assert kinds == ["principal_disabled", "principal_enabled"]

    @shows_security("V7.1.2")
    async def test_the_oldest_session_gives_way(self, lab: Lab) -> None:
        bench = await lab.open(EVICTING)
        sessions = []
        for _ in range(LIMIT + 2):
            sessions.append((await bench.sessions.create("ada")).session.session_id)
            lab.clock.advance(1)
        assert [s.session_id for s in await bench.sessions.of_user("ada")] == sessions[2:]
        with pytest.raises(SessionEnded) as caught:
            await bench.sessions.get(sessions[0])
        assert caught.value.reason == "limit"

    @shows_security("V7.1.2")
    async def test_a_login_too_many_is_refused_where_the_setting_says_so(self, lab: Lab) -> None:
        bench = await lab.open(REJECTING)
        sessions = [(await bench.sessions.create("ada")).session.session_id for _ in range(LIMIT)]
        anonymous = (await bench.sessions.create(None)).session.session_id
        for refused in (partial(bench.sessions.create, "ada"), partial(bench.sessions.login, anonymous, "ada")):
            with pytest.raises(SessionLimitReached) as caught:
                await refused()
            assert caught.value.sessions_max == LIMIT
        assert (await bench.sessions.get(anonymous)).user_id is None
        assert await bench.sessions.end(sessions[0], EndReason.LOGOUT)
        assert (await bench.sessions.login(anonymous, "ada")).session.user_id == "ada"

    async def test_logging_in_again_takes_no_other_place(self, lab: Lab) -> None:
        bench = await lab.open()
        sessions = [(await bench.sessions.create("ada")).session.session_id for _ in range(LIMIT)]
        lower = replace(RULES, limit=SessionLimit(1, LimitAction.REJECT))  # since the last start, say
        restarted = Bench(bench.store, lab.clock, lab.random, lower)
        again = await restarted.sessions.login(sessions[0], "ada")
        assert again.session.session_id == sessions[0]
        assert len(await bench.sessions.of_user("ada")) == LIMIT

    async def test_expired_sessions_take_no_place(self, lab: Lab) -> None:
        bench = await lab.open(REJECTING)
        old = [(await bench.sessions.create("ada")).session for _ in range(LIMIT)]
        lab.clock.set(old[0].idle_expires_at)
        assert (await bench.sessions.create("ada")).session.user_id == "ada"

    async def test_a_users_own_limit_goes_first_and_holds_at_once(self, lab: Lab) -> None:
        bench = await lab.open(EVICTING)
        sessions = []
        for _ in range(LIMIT):
            sessions.append((await bench.sessions.create("ada")).session.session_id)
            lab.clock.advance(1)
        assert await bench.principals.limit("ada", 1) == LIMIT - 1
        assert [s.session_id for s in await bench.sessions.of_user("ada")] == sessions[-1:]
        assert await bench.principals.limit("ada", 0) == 0
        for _ in range(LIMIT):
            await bench.sessions.create("ada")
        assert len(await bench.sessions.of_user("ada")) == LIMIT + 1
        assert await bench.principals.limit("ada", None) == 1
        for wrong in (-1, True):
            with pytest.raises(InvalidValue):
                await bench.principals.limit("ada", wrong)

    async def test_a_limit_above_what_there_is_ends_nothing(self, lab: Lab) -> None:
        bench = await lab.open(EVICTING)
        handles = {(await bench.sessions.create("ada")).session.session_id for _ in range(LIMIT - 1)}
        for sessions_max in (LIMIT + 4, LIMIT - 1, None, 0):
            assert await bench.principals.limit("ada", sessions_max) == 0
        assert {session.session_id for session in await bench.sessions.of_user("ada")} == handles

    @shows_security("V7.1.2")
    async def test_no_more_logins_than_the_limit(self, lab: Lab) -> None:
        for rules in (EVICTING, REJECTING):
            user_id = str(rules.limit.action)
            first = await lab.open(rules)
            other = await lab.open(rules) if self.is_shared else first
            logins = [partial((first, other)[number % 2].sessions.login, None, user_id) for number in range(LIMIT + 1)]
            outcomes = await lab.together(*logins)
            assert len(await first.sessions.of_user(user_id)) == LIMIT
            if rules is EVICTING:
                assert failed(outcomes) == []
            else:
                assert [type(error) for error in failed(outcomes)] == [SessionLimitReached]
                assert len(succeeded(outcomes)) == LIMIT

    async def test_bad_names_and_roles_are_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        for refused in (
            partial(bench.principals.change, "", None, None),
            partial(bench.principals.change, "ada", None, "editor"),
            partial(bench.principals.change, "ada", None, ["editor", ""]),
            partial(bench.principals.change, "ada", None, [7]),  # type: ignore[list-item]
            partial(bench.principals.disable, ""),
        ):
            with pytest.raises(InvalidValue):
                await refused()
        assert await bench.principals.get("ada") is None
