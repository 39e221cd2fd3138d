"""Platforms: the mirror of the application's accounts, the one default, who may be on which, and the switch."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sessile.model.errors import (
    InvalidValue,
    PlatformRefused,
    SessionEnded,
    SessionLimitReached,
    SessionNotFound,
    VersionConflict,
)
from sessile.model.events import EventKind
from sessile.model.limits import PLATFORMS_PER_USER_MAX
from sessile.model.platform import Platform, PlatformEntry
from sessile.model.session import EndReason
from sessile.ports import Transaction
from sessile.testing.lab import Bench, Lab, failed, only, succeeded
from sessile.testing.shows import shows
from sessile.testing.store_contract.base import Contract
from sessile.testing.store_contract.principals import REJECTING

SHOP = PlatformEntry(platform_id="shop", name="Ada's shop", kind="shop")
MAIL = PlatformEntry(platform_id="mail", name="Ada's mail", kind="mail")
BLOG = PlatformEntry(platform_id="blog", name="Ada's blog")


class PlatformContract(Contract):
    """Platforms."""

    # -- rows -------------------------------------------------------------------------------------------------------------------------

    async def test_a_platform_comes_back_as_it_was_written(self, lab: Lab) -> None:
        bench = await lab.open()
        written = _row(lab, "Lädchen / 日本 %2F", name="Föhn", kind="k", is_default=True)
        await bench.store.write(_put, written)
        assert await bench.store.read(_get, written.platform_id) == written
        changed = replace(written, name="n", is_active=False, is_default=False)
        await bench.store.write(_put, changed)
        assert await bench.platforms.list("ada", with_inactive=True) == [changed]
        assert await bench.store.read(_get, "other") is None

    async def test_the_store_itself_allows_one_default_of_a_user(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.write(_put, _row(lab, "a", is_default=True))
        with pytest.raises(VersionConflict):
            await bench.store.write(_put, _row(lab, "b", is_default=True))
        await bench.store.write(_put, _row(lab, "b"))
        await bench.store.write(_put, replace(_row(lab, "e", is_default=True), user_id="eve"))
        assert [p.platform_id for p in await bench.platforms.list("ada") if p.is_default] == ["a"]

    # -- the mirror -------------------------------------------------------------------------------------------------------------------

    async def test_the_mirror_says_what_the_application_says(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.platforms.sync("ada", [SHOP, MAIL])
        assert [_told(platform) for platform in first] == [("mail", True), ("shop", False)]
        assert {platform.created_at for platform in first} == {lab.clock.now()}
        made_at = lab.clock.now()
        lab.clock.advance(5)
        renamed = replace(MAIL, name="Post", kind="letters")
        second = await bench.platforms.sync("ada", [renamed, BLOG])
        assert [(p.platform_id, p.name, p.kind) for p in second] == [
            ("mail", "Post", "letters"),
            ("blog", BLOG.name, ""),
        ]
        assert (second[0].created_at, second[0].updated_at) == (made_at, lab.clock.now())
        (gone,) = [p for p in await bench.platforms.list("ada", with_inactive=True) if not p.is_active]
        assert (gone.platform_id, gone.name, gone.is_default) == ("shop", SHOP.name, False)
        lab.clock.advance(5)
        assert await bench.platforms.sync("ada", [BLOG, renamed]) == second
        events = [(event.type, dict(event.data)) for event in await bench.audit("user:ada")]
        assert events == [
            ("platforms_synced", {"added": ["mail", "shop"], "changed": []}),
            ("platforms_synced", {"added": ["blog"], "changed": ["mail", "shop"]}),
        ]

    async def test_one_that_comes_back_is_the_same_one(self, lab: Lab) -> None:
        bench = await lab.open()
        (made,) = await bench.platforms.sync("ada", [SHOP])
        assert await bench.platforms.sync("ada", []) == []
        assert await bench.platforms.sync("ada", [replace(SHOP, is_active=False, is_default=True)]) == []
        lab.clock.advance(1)
        (again,) = await bench.platforms.sync("ada", [SHOP])
        assert again == replace(made, updated_at=lab.clock.now())

    async def test_somebody_elses_platform_stays_theirs_until_they_have_it_no_more(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("eve", [SHOP])
        with pytest.raises(PlatformRefused) as caught:
            await bench.platforms.sync("ada", [MAIL, SHOP])
        assert caught.value.reason == "other_owner"
        assert await bench.platforms.list("ada", with_inactive=True) == []
        assert await bench.audit("user:ada") == []
        await bench.platforms.sync("eve", [])
        assert _defaults(await bench.platforms.sync("ada", [SHOP])) == ["shop"]
        assert await bench.platforms.list("eve", with_inactive=True) == []

    async def test_entries_that_cannot_be_kept_are_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        many = [PlatformEntry(platform_id=str(n), name="n") for n in range(PLATFORMS_PER_USER_MAX + 1)]
        not_text: dict[str, Any] = {"platform_id": 7, "name": "n"}
        not_flag: dict[str, Any] = {"platform_id": "a", "name": "n", "is_active": 1}
        wrong: list[Any] = [
            "shop", [SHOP, SHOP], [{"platform_id": "a", "name": "n"}], many, [replace(SHOP, platform_id="")],
            [replace(SHOP, platform_id="x" * 65)], [replace(SHOP, platform_id="a\nb")], [PlatformEntry(**not_text)],
            [replace(SHOP, name="\ud800")], [replace(SHOP, name="")], [replace(SHOP, kind="k" * 65)], [PlatformEntry(**not_flag)],
        ]  # fmt: skip
        for entries in wrong:
            with pytest.raises(InvalidValue):
                await bench.platforms.sync("ada", entries)
        with pytest.raises(InvalidValue):
            await bench.platforms.sync("", [SHOP])
        assert await bench.platforms.list("ada", with_inactive=True) == []
        assert (
            len(await bench.platforms.sync("ada", [replace(SHOP, platform_id="x" * 64), *many[:-2]]))
            == PLATFORMS_PER_USER_MAX
        )

    # -- the default ------------------------------------------------------------------------------------------------------------------

    @shows("E04")
    async def test_there_is_one_default_whenever_there_is_an_active_platform(self, lab: Lab) -> None:
        bench = await lab.open()
        wanted = replace(SHOP, is_default=True)
        assert _defaults(await bench.platforms.sync("ada", [MAIL, BLOG])) == ["blog"], (
            "the oldest, then the first by its id"
        )
        assert _defaults(await bench.platforms.sync("ada", [MAIL, wanted, BLOG])) == ["blog"], "the present one stays"
        assert _defaults(await bench.platforms.sync("ada", [MAIL, wanted])) == ["shop"], "else the one that is marked"
        lab.clock.advance(1)
        await bench.platforms.sync("ada", [MAIL, wanted, BLOG, replace(BLOG, platform_id="a-newer-one")])
        assert _defaults(await bench.platforms.sync("ada", [BLOG, MAIL, replace(BLOG, platform_id="a-newer-one")])) == [
            "blog"
        ], "else the oldest"
        inactive = replace(BLOG, is_active=False, is_default=True)
        assert _defaults(await bench.platforms.sync("ada", [inactive, wanted])) == ["shop"], "an inactive one never"
        assert _defaults(await bench.platforms.list("ada", with_inactive=True)) == ["shop"]
        assert _defaults(await bench.platforms.sync("ada", [])) == []

    async def test_the_application_says_which_is_the_default(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("ada", [SHOP, MAIL])
        session = (await bench.sessions.create("ada")).session
        bench.told.clear()
        chosen = await bench.platforms.set_default("ada", "shop")
        assert (chosen.platform_id, chosen.is_default, chosen.updated_at) == ("shop", True, lab.clock.now())
        assert _defaults(await bench.platforms.list("ada")) == ["shop"]
        assert (await bench.sessions.get(session.session_id)).platform_id == "mail", "sessions stay where they are"
        assert [(event.kind, event.key) for event in bench.told] == [(EventKind.SESSION_CHANGED, session.session_id)]
        assert await bench.platforms.set_default("ada", "shop") == chosen
        await bench.platforms.sync("ada", [SHOP, MAIL, replace(BLOG, is_default=True)])
        assert (await bench.platforms.ensure_default("ada")) == chosen
        types = [event.type for event in await bench.audit("user:ada")]
        assert types == ["platforms_synced", "platform_default_changed", "platforms_synced"]
        await bench.platforms.sync("eve", [replace(SHOP, platform_id="hers")])
        await bench.platforms.sync("ada", [SHOP])
        for platform_id, reason in (("never", "missing"), ("hers", "other_owner"), ("mail", "inactive")):
            with pytest.raises(PlatformRefused) as caught:
                await bench.platforms.set_default("ada", platform_id)
            assert caught.value.reason == reason

    async def test_a_default_that_is_missing_in_the_rows_is_chosen(self, lab: Lab) -> None:
        bench = await lab.open()
        assert await bench.platforms.ensure_default("ada") is None
        for name, age_s in (("b", 0), ("a", 1), ("c", 2)):
            await bench.store.write(_put, replace(_row(lab, name), is_active=name != "b"))
            lab.clock.advance(age_s)
        await bench.store.write(_put, replace(_row(lab, "0", created_at=lab.clock.now())))
        chosen = await bench.platforms.ensure_default("ada")
        assert chosen is not None
        assert (chosen.platform_id, chosen.is_default) == ("a", True)
        assert _defaults(await bench.platforms.list("ada", with_inactive=True)) == ["a"]
        assert await bench.platforms.ensure_default("ada") == only(
            [platform for platform in await bench.platforms.list("ada") if platform.is_default]
        )

    # -- sessions ---------------------------------------------------------------------------------------------------------------------

    @shows("A01", "E04")
    async def test_a_session_begins_on_the_default_or_on_the_platform_that_is_named(self, lab: Lab) -> None:
        bench = await lab.open()
        assert (await bench.sessions.create("ada")).session.platform_id is None
        await bench.platforms.sync("ada", [SHOP, replace(MAIL, is_default=True)])
        assert (await bench.sessions.create("ada")).session.platform_id == "mail"
        assert (await bench.sessions.create("ada", platform_id="shop")).session.platform_id == "shop"
        assert (await bench.sessions.create(None)).session.platform_id is None
        assert (await bench.sessions.create("eve")).session.platform_id is None
        anonymous = (await bench.sessions.create(None)).session.session_id
        assert (await bench.sessions.login(anonymous, "ada")).session.platform_id == "mail"
        assert (await bench.sessions.login(anonymous, "ada", platform_id="shop")).session.platform_id == "shop"
        assert (await bench.sessions.login(anonymous, "ada")).session.platform_id == "shop", "who logs in again stays"
        assert (await bench.sessions.login(anonymous, "eve")).session.platform_id is None
        assert (await bench.sessions.login(None, "ada", platform_id="shop")).session.platform_id == "shop"

    async def test_a_session_does_not_begin_on_a_platform_that_is_not_the_users(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("ada", [SHOP, MAIL])
        await bench.platforms.sync("ada", [SHOP])
        await bench.platforms.sync("eve", [BLOG])
        anonymous = (await bench.sessions.create(None)).session
        for user_id, platform_id, reason in (
            ("ada", "never", "missing"),
            ("ada", "\ud800", "missing"),
            ("ada", "blog", "other_owner"),
            ("ada", "mail", "inactive"),
            ("eve", "mail", "other_owner"),
            (None, "shop", "other_owner"),
        ):
            refused: list[Callable[[], Coroutine[Any, Any, Any]]] = [
                partial(bench.sessions.create, user_id, platform_id=platform_id),
                partial(bench.platforms.check, user_id, platform_id),
            ]
            if user_id is not None:
                refused.append(partial(bench.sessions.login, anonymous.session_id, user_id, platform_id=platform_id))
            for attempt in refused:
                with pytest.raises(PlatformRefused) as caught:
                    await attempt()
                assert caught.value.reason == reason
                assert "other" not in str(caught.value.as_dict()), "an outsider must not learn that there is one"
        assert await bench.sessions.get(anonymous.session_id) == anonymous
        assert await bench.sessions.of_user("ada") == []
        assert (await bench.platforms.check("ada", "shop")).platform_id == "shop"

    async def test_sessions_on_a_platform_that_is_gone_go_to_the_default(self, lab: Lab) -> None:
        bench = await lab.open()
        early = (await bench.sessions.create("ada")).session
        lab.clock.advance(1)
        await bench.platforms.sync("ada", [replace(SHOP, is_default=True), MAIL])
        assert (await bench.sessions.get(early.session_id)).platform_id == "shop", (
            "who was nowhere is on the default now"
        )
        stays = (await bench.sessions.create("ada")).session
        lab.clock.advance(1)
        moved = (await bench.sessions.create("ada", platform_id="mail")).session
        over = (await bench.sessions.create("ada", platform_id="mail")).session
        await bench.sessions.end(over.session_id, EndReason.LOGOUT)
        bench.told.clear()
        await bench.platforms.sync("ada", [SHOP])
        assert [s.platform_id for s in await bench.sessions.of_user("ada")] == ["shop"] * 3
        assert [(event.kind, event.key) for event in bench.told] == [(EventKind.SESSION_CHANGED, moved.session_id)]
        assert (await bench.sessions.get(moved.session_id)).version == moved.version + 1
        assert await bench.sessions.get(stays.session_id) == stays
        switch = (await bench.audit(f"session:{moved.session_id}"))[-1]
        assert (switch.type, switch.data) == ("platform_switched", {"from": "mail", "to": "shop", "reason": "fallback"})
        await bench.platforms.sync("ada", [])
        assert [s.platform_id for s in await bench.sessions.of_user("ada")] == [None] * 3

    async def test_pages_hear_of_another_name(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("ada", [SHOP, MAIL])
        on_mail = (await bench.sessions.create("ada", platform_id="mail")).session
        on_shop = (await bench.sessions.create("ada", platform_id="shop")).session
        bench.told.clear()
        await bench.platforms.sync("ada", [SHOP, replace(MAIL, name="Post")])
        assert [(event.kind, event.key) for event in bench.told] == [(EventKind.SESSION_CHANGED, on_mail.session_id)]
        platform = await bench.platforms.of_session(on_mail)
        assert platform is not None
        assert platform.name == "Post"
        assert await bench.platforms.of_session(replace(on_shop, user_id="eve")) is None
        assert await bench.platforms.of_session(replace(on_shop, platform_id=None)) is None

    # -- the switch -------------------------------------------------------------------------------------------------------------------

    @shows("E01")
    async def test_a_session_switches_if_it_is_where_it_is_expected(self, lab: Lab) -> None:
        bench = await lab.open()
        session_id = (await bench.sessions.create("ada")).session.session_id
        await bench.platforms.sync("ada", [SHOP, MAIL, BLOG])
        bench.told.clear()
        before = await bench.sessions.get(session_id)
        switched = await bench.platforms.switch(session_id, "shop", "blog")
        assert (switched.platform_id, switched.version) == ("shop", before.version + 1)
        assert await bench.sessions.get(session_id) == switched
        assert [(e.kind, e.key, e.version) for e in bench.told] == [
            (EventKind.SESSION_CHANGED, session_id, switched.version)
        ]
        for stale in ("blog", None):
            with pytest.raises(VersionConflict) as caught:
                await bench.platforms.switch(session_id, "mail", stale)
            assert caught.value.current == {"platform_id": "shop"}
        assert (await bench.platforms.switch(session_id, "mail")).platform_id == "mail"
        bench.told.clear()
        unchanged = await bench.sessions.get(session_id)
        assert await bench.platforms.switch(session_id, "mail", "mail") == unchanged
        assert bench.told == []
        moves = [e.data for e in await bench.audit(f"session:{session_id}") if e.type == "platform_switched"]
        assert moves[1:] == [{"from": "blog", "to": "shop"}, {"from": "shop", "to": "mail"}]

    @shows("E01")
    async def test_a_switch_is_for_live_sessions_and_ones_own_platforms(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("ada", [SHOP, MAIL])
        await bench.platforms.sync("ada", [SHOP])
        await bench.platforms.sync("eve", [BLOG])
        session_id = (await bench.sessions.create("ada")).session.session_id
        anonymous = (await bench.sessions.create(None)).session.session_id
        for who, platform_id, reason in (
            (session_id, "never", "missing"),
            (session_id, "\ud800", "missing"),
            (session_id, "blog", "other_owner"),
            (session_id, "mail", "inactive"),
            (anonymous, "shop", "other_owner"),
        ):
            with pytest.raises(PlatformRefused) as caught:
                await bench.platforms.switch(who, platform_id)
            assert caught.value.reason == reason
        assert (await bench.sessions.get(session_id)).platform_id == "shop"
        await bench.sessions.end(session_id, EndReason.LOGOUT)
        with pytest.raises(SessionEnded):
            await bench.platforms.switch(session_id, "shop")
        with pytest.raises(SessionNotFound):
            await bench.platforms.switch("01900000-0000-7000-8000-000000000000", "shop")

    # -- races ------------------------------------------------------------------------------------------------------------------------

    @shows("E02")
    async def test_of_two_switches_with_the_same_expectation_one_wins(self, lab: Lab) -> None:
        first, second = await self._two(lab)
        await first.platforms.sync("ada", [SHOP, MAIL, BLOG])
        session_id = (await first.sessions.create("ada", platform_id="blog")).session.session_id
        outcomes = await lab.together(
            partial(first.platforms.switch, session_id, "shop", "blog"),
            partial(second.platforms.switch, session_id, "mail", "blog"),
        )
        winner, (loser,) = only(succeeded(outcomes)), failed(outcomes)
        assert isinstance(loser, VersionConflict)
        assert loser.current == {"platform_id": winner.platform_id}
        assert (await first.sessions.get(session_id)).platform_id == winner.platform_id
        assert [e.type for e in await first.audit(f"session:{session_id}")].count("platform_switched") == 1

    async def test_a_switch_never_ends_on_a_platform_that_just_went(self, lab: Lab) -> None:
        first, second = await self._two(lab)
        for number in range(5):
            user_id = f"user{number}"
            stays, goes = (PlatformEntry(platform_id=f"{name}{number}", name="n") for name in ("a", "b"))
            await first.platforms.sync(user_id, [stays, goes])
            session_id = (await first.sessions.create(user_id)).session.session_id
            outcomes = await lab.together(
                partial(first.platforms.sync, user_id, [stays]),
                partial(second.platforms.switch, session_id, goes.platform_id),
                partial(second.sessions.login, None, user_id, platform_id=goes.platform_id),
            )
            assert {type(error) for error in failed(outcomes)} <= {PlatformRefused}
            assert {s.platform_id for s in await first.sessions.of_user(user_id)} == {stays.platform_id}

    @shows("E04")
    async def test_defaults_chosen_at_once_leave_one(self, lab: Lab) -> None:
        first, second = await self._two(lab)
        await first.platforms.sync("ada", [SHOP, MAIL, BLOG])
        outcomes = await lab.together(
            partial(first.platforms.set_default, "ada", "shop"),
            partial(second.platforms.set_default, "ada", "mail"),
            partial(first.platforms.set_default, "ada", "blog"),
        )
        assert failed(outcomes) == []
        assert len(_defaults(await first.platforms.list("ada", with_inactive=True))) == 1

    async def test_a_refused_login_leaves_the_platforms_as_they_were(self, lab: Lab) -> None:
        bench = await lab.open(REJECTING)
        for _ in range(REJECTING.limit.sessions_max):
            await bench.sessions.create("ada")
        await bench.store.write(_put, _row(lab, "a"))
        with pytest.raises(SessionLimitReached):
            await bench.sessions.login(None, "ada")
        assert _defaults(await bench.platforms.list("ada")) == []

    async def _two(self, lab: Lab) -> tuple[Bench, Bench]:
        """Two stores on the same rows where the store can be shared, else one twice."""
        first = await lab.open()
        return first, await lab.open() if self.is_shared else first


def _row(lab: Lab, platform_id: str, **facts: Any) -> Platform:
    now = lab.clock.now()
    return Platform(
        **{"platform_id": platform_id, "user_id": "ada", "name": "n", "created_at": now, "updated_at": now, **facts}
    )


def _put(tx: Transaction, platform: Platform) -> None:
    tx.platforms.put(platform)


def _get(tx: Transaction, platform_id: str) -> Platform | None:
    return tx.platforms.get(platform_id)


def _told(platform: Platform) -> tuple[str, bool]:
    return platform.platform_id, platform.is_default


def _defaults(platforms: list[Platform]) -> list[str]:
    return [platform.platform_id for platform in platforms if platform.is_default]
