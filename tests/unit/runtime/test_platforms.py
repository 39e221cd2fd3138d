"""Platforms through both facades: the same verbs, the same answers."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from sessile import AsyncSessionManager, PlatformEntry, PlatformRefused, SessionManager, Settings, VersionConflict
from sessile.testing import shows

SHOP = PlatformEntry(platform_id="shop", name="Shop", kind="k", is_default=True)
MAIL = PlatformEntry(platform_id="mail", name="Mail")


async def done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


@shows("E01", "E04", "A02", "blocking", "asyncio")
@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/a.db"])
def test_every_verb(kind: type[Any], url: str, tmp_path: Path) -> None:
    async def run() -> None:
        manager = kind(Settings(database_url=url.format(tmp_path)))
        await done(manager.open())
        assert await done(manager.ensure_default_platform("ada")) is None
        active = await done(manager.sync_platforms("ada", [SHOP, MAIL]))
        assert [platform.platform_id for platform in active] == ["mail", "shop"]
        session = (await done(manager.create_session("ada"))).session
        context = await done(manager.get_session_context(session.session_id))
        assert context.platform == {"id": "shop", "name": "Shop", "kind": "k", "is_default": True}
        moved = await done(manager.switch_platform(session.session_id, "mail", expected="shop"))
        assert (await done(manager.get_session_platform(moved))).name == "Mail"
        with pytest.raises(VersionConflict):
            await done(manager.switch_platform(session.session_id, "shop", expected=None))
        assert (await done(manager.set_default_platform("ada", "mail"))).is_default
        assert (await done(manager.ensure_default_platform("ada"))).platform_id == "mail"
        assert (await done(manager.login(None, "ada", platform_id="shop"))).session.platform_id == "shop"
        await done(manager.sync_platforms("ada", [SHOP]))
        assert [p.platform_id for p in await done(manager.list_platforms("ada"))] == ["shop"]
        assert len(await done(manager.list_platforms("ada", with_inactive=True))) == 2
        for user_id, platform_id, reason in (
            ("ada", "mail", "inactive"),
            ("eve", "shop", "other_owner"),
            ("ada", "x", "missing"),
        ):
            with pytest.raises(PlatformRefused) as caught:
                await done(manager.check_platform(user_id, platform_id))
            assert caught.value.reason == reason
        anonymous = (await done(manager.create_session())).session
        assert (await done(manager.get_session_context(anonymous.session_id))).platform is None
        await done(manager.close())

    asyncio.run(run())
