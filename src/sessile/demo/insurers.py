"""The demo's platforms: everybody who signs in is insured three times, and each session works for one of them. An application has accounts here."""

from __future__ import annotations

import hashlib
from typing import Final

from sessile.model.platform import Platform, PlatformEntry
from sessile.runtime.manager import AsyncSessionManager

INSURERS: Final = (("north", "North Mutual"), ("harbour", "Harbour Insurance"), ("city", "City Cover"))


def entries_of(user_id: str) -> list[PlatformEntry]:
    """What `sync_platforms` mirrors. A platform belongs to one user, so the id has the user in it, shortened to what an id may have."""
    owner = hashlib.sha256(user_id.encode()).hexdigest()[:16]
    return [
        PlatformEntry(platform_id=f"{key}-{owner}", name=name, kind="insurer", is_default=key == INSURERS[0][0])
        for key, name in INSURERS
    ]


async def insurer_of(manager: AsyncSessionManager, user_id: str, platform_id: str | None) -> Platform | None:
    """The one that a session works for."""
    platforms = await manager.list_platforms(user_id)
    return next((platform for platform in platforms if platform.platform_id == platform_id), None)
