"""Platform rows in memory."""

from __future__ import annotations

from typing import Any

from sessile.model.errors import VersionConflict
from sessile.model.platform import Platform
from sessile.stores.memory.table import Table


class MemoryPlatformRows:
    def __init__(self, platforms: Table[str, Platform]) -> None:
        self._platforms = platforms
        self.tables: tuple[Table[Any, Any], ...] = (platforms,)

    def get(self, platform_id: str, *, lock: bool = False) -> Platform | None:
        return self._platforms.get(platform_id)

    def of_user(self, user_id: str, *, lock: bool = False) -> list[Platform]:
        theirs = [platform for platform in self._platforms.rows() if platform.user_id == user_id]
        return sorted(theirs, key=lambda platform: (platform.created_at, platform.platform_id))

    def put(self, platform: Platform) -> None:
        others = (other for other in self.of_user(platform.user_id) if other.platform_id != platform.platform_id)
        if platform.is_default and any(other.is_default for other in others):
            raise VersionConflict({"user_id": platform.user_id}, "The user has another default platform.")
        self._platforms.put(platform.platform_id, platform)

    def delete_of_user(self, user_id: str) -> int:
        theirs = self.of_user(user_id)
        for platform in theirs:
            self._platforms.delete(platform.platform_id)
        return len(theirs)
