"""Platform rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from sessile.model.errors import VersionConflict
from sessile.model.platform import Platform
from sessile.stores.sql.dialects import put
from sessile.stores.sql.tables import platforms, sessions

_GET = select(platforms).where(platforms.c.platform_id == bindparam("platform_id"))
_OF_USER = select(platforms).where(platforms.c.user_id == bindparam("user_id")).order_by(platforms.c.platform_id)


def _locked(statement: Select[Any], lock: bool) -> Select[Any]:
    return statement.with_for_update(key_share=True) if lock else statement


class SqlPlatformRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, platform_id: str, *, lock: bool = False) -> Platform | None:
        row = self._connection.execute(_locked(_GET, lock), {"platform_id": platform_id}).one_or_none()
        return None if row is None else Platform(**row._asdict())

    def of_user(self, user_id: str, *, lock: bool = False) -> list[Platform]:
        rows = self._connection.execute(_locked(_OF_USER, lock), {"user_id": user_id})
        found = [Platform(**row._asdict()) for row in rows]
        return sorted(found, key=lambda platform: (platform.created_at, platform.platform_id))

    def put(self, platform: Platform) -> None:
        try:
            self._connection.execute(put(self._connection, platforms, ("platform_id",)), asdict(platform))
        except IntegrityError as error:
            raise VersionConflict({"user_id": platform.user_id}, "The user has another default platform.") from error

    def delete_of_user(self, user_id: str) -> int:
        theirs = select(platforms.c.platform_id).where(platforms.c.user_id == user_id)
        # An account can have been somebody else's before: what of them is over still says so.
        of_past = sessions.c.ended_at.is_not(None) & sessions.c.platform_id.in_(theirs)
        self._connection.execute(update(sessions).where(of_past).values(platform_id=None))
        return int(self._connection.execute(delete(platforms).where(platforms.c.user_id == user_id)).rowcount)
