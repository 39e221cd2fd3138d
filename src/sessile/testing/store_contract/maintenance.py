"""Maintenance: who is let in while it lasts, until when it does, and whose sessions can be ended."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from sessile.engine import maintenance
from sessile.model.errors import InvalidValue, MaintenanceUnderway, SessionEnded
from sessile.model.events import EventKind
from sessile.model.maintenance import Maintenance
from sessile.testing.lab import Bench, Lab
from sessile.testing.store_contract.arrivals import agreed
from sessile.testing.store_contract.base import Contract


class MaintenanceContract(Contract):
    """Begin, tell, let in, end."""

    async def test_nobody_new_is_let_in_until_it_ends(self, lab: Lab) -> None:
        bench = await lab.open()
        anonymous = (await bench.sessions.create(None)).session.session_id
        ada = await bench.sessions.create("ada")
        assert await bench.maintenance.get() is None
        until = lab.clock.now() + timedelta(seconds=60)
        begun = await bench.maintenance.begin("Back at noon.", until, ())
        assert begun == Maintenance(message="Back at noon.", since=lab.clock.now(), until=until)
        assert await bench.maintenance.get() == begun
        for refused in (
            partial(bench.sessions.create, "eve"),
            partial(bench.sessions.login, None, "ada"),
            partial(bench.sessions.login, anonymous, "ada"),
        ):
            with pytest.raises(MaintenanceUnderway) as caught:
                await refused()
            assert (caught.value.message, caught.value.until) == ("Back at noon.", until)
        assert (await bench.sessions.get(anonymous)).user_id is None
        assert (await bench.sessions.authenticate(ada.token)).user_id == "ada", "who is in goes on"
        assert (await bench.sessions.login(ada.session.session_id, "ada")).session.user_id == "ada"
        assert (await bench.sessions.create(None)).session.user_id is None, "nobody in particular may begin"
        assert await bench.maintenance.end() is True
        assert await bench.maintenance.end() is False
        assert await bench.maintenance.get() is None
        assert (await bench.sessions.login(anonymous, "ada")).session.user_id == "ada"
        assert [event.type for event in await bench.audit("system")] == ["maintenance_begun", "maintenance_ended"]

    async def test_a_hand_off_waits_for_its_end(self, lab: Lab) -> None:
        bench = await lab.open()
        _, handoff, claim = await agreed(bench)
        await bench.maintenance.begin("", None, ())
        complete = partial(bench.handoffs.complete, handoff.handoff_id, claim, None)
        with pytest.raises(MaintenanceUnderway):
            await complete()
        await bench.maintenance.end()
        assert (await complete())[1] is not None

    async def test_it_is_over_at_the_time_that_was_told(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.maintenance.begin("", lab.clock.now() + timedelta(seconds=60), ())
        lab.clock.advance(59.999999)
        with pytest.raises(MaintenanceUnderway):
            await bench.sessions.create("ada")
        lab.clock.advance(0.000001)
        assert await bench.maintenance.get() is None
        assert (await bench.sessions.create("ada")).session.user_id == "ada"
        assert await bench.maintenance.end_sessions("") == (0, None)
        assert await bench.maintenance.end() is False
        assert len(await bench.sessions.of_user("ada")) == 1

    async def test_it_is_announced_before_it_begins(self, lab: Lab) -> None:
        bench = await lab.open()
        since = lab.clock.now() + timedelta(seconds=60)
        until = since + timedelta(seconds=60)
        bench.told.clear()
        announced = await bench.maintenance.begin("At noon.", until, ("admin",), since=since, drains=True)
        assert announced == Maintenance(
            message="At noon.", since=since, until=until, roles_spared=("admin",), drains=True
        )
        assert (await bench.maintenance.announced(), await bench.maintenance.get()) == (announced, None)
        assert (await bench.sessions.create("ada")).session.user_id == "ada", "until then everybody comes in"
        lab.clock.advance(60)
        with pytest.raises(MaintenanceUnderway) as caught:
            await bench.sessions.create("ada")
        assert caught.value.retry_after_s == 60
        assert await bench.maintenance.get() == announced
        lab.clock.advance(60)
        assert await bench.maintenance.announced() is None
        assert await bench.maintenance.end() is False, "it is over by itself"
        await bench.maintenance.begin("", None, (), since=lab.clock.now() + timedelta(days=1))
        assert await bench.maintenance.end() is True, "called off"
        assert await bench.maintenance.announced() is None
        assert [event.kind for event in bench.told if event.kind is EventKind.MAINTENANCE_CHANGED] == [
            EventKind.MAINTENANCE_CHANGED
        ] * 3
        kinds = [event.type for event in await bench.audit("system")]
        assert kinds == ["maintenance_announced", "maintenance_announced", "maintenance_ended"]

    async def test_to_begin_again_changes_what_is_told(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.maintenance.begin("soon", lab.clock.now() + timedelta(seconds=60), ("admin",))
        lab.clock.advance(30)
        later = await bench.maintenance.begin("late", None, ())
        assert await bench.maintenance.get() == later
        assert (later.until, later.roles_spared, later.since) == (None, (), lab.clock.now())
        lab.clock.advance(10_000)
        assert await bench.maintenance.get() == later

    async def test_who_has_a_spared_role_comes_in(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.principals.change("ada", None, ["editor", "operator"])
        await bench.principals.change("eve", None, ["editor"])
        await bench.maintenance.begin("", None, ("operator", "admin"))
        assert (await bench.sessions.create("ada")).session.user_id == "ada"
        for user_id in ("eve", "nobody"):
            with pytest.raises(MaintenanceUnderway):
                await bench.sessions.create(user_id)

    async def test_the_others_sessions_end_in_batches(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.principals.change("user2", None, ["admin"])
        sessions = {
            f"user{n}": [(await bench.sessions.create(f"user{n}")).session.session_id for _ in range(2)]
            for n in range(5)
        }
        anonymous = (await bench.sessions.create(None)).session.session_id
        assert await bench.maintenance.end_sessions("") == (0, None), "none is under way"
        await bench.maintenance.begin("", None, ("admin",))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(maintenance, "ENDED_AT_ONCE", 2)
            ended = await _ended(bench)
        assert ended == [(4, "user1"), (2, "user3"), (2, "user4"), (0, None)]
        for user_id, handles in sessions.items():
            live = {session.session_id for session in await bench.sessions.of_user(user_id)}
            assert live == (set(handles) if user_id == "user2" else set())
        assert (await bench.sessions.get(anonymous)).user_id is None
        with pytest.raises(SessionEnded) as caught:
            await bench.sessions.get(sessions["user0"][0])
        assert caught.value.reason == "maintenance"

    async def test_what_cannot_be_told_is_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        now = lab.clock.now()
        for message, until in (("x" * 201, None), ("a\nb", None), ("", now), ("", now.replace(tzinfo=None))):
            with pytest.raises(InvalidValue):
                await bench.maintenance.begin(message, until, ())
        for since, until in (
            (now + timedelta(seconds=9), now + timedelta(seconds=9)),
            (now.replace(tzinfo=None), None),
        ):
            with pytest.raises(InvalidValue):
                await bench.maintenance.begin("", until, (), since=since)
        assert await bench.maintenance.announced() is None


async def _ended(bench: Bench) -> list[tuple[int, str | None]]:
    batches, after = list[tuple[int, str | None]](), ""
    while True:
        batches.append(await bench.maintenance.end_sessions(after))
        if batches[-1][1] is None:
            return batches
        after = batches[-1][1]
