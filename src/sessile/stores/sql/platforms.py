"""Platform rows."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from sessile.model.errors import VersionConflict
from sessile.model.platform import Platform
from sessile.stores.sql.tables import platforms

_GET = select(platforms).where(platforms.c.platform_id == bindparam("platform_id"))
_OF_USER = (
    select(platforms)
    .where(platforms.c.user_id == bindparam("user_id"))
    .order_by(platforms.c.created_at, platforms.c.platform_id)
)


class SqlPlatformRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, platform_id: str, *, lock: bool = False) -> Platform | None:
        row = self._connection.execute(_GET, {"platform_id": platform_id}).one_or_none()
        return None if row is None else Platform(**row._asdict())

    def of_user(self, user_id: str, *, lock: bool = False) -> list[Platform]:
        return [Platform(**row._asdict()) for row in self._connection.execute(_OF_USER, {"user_id": user_id})]

    def put(self, platform: Platform) -> None:
        values = asdict(platform)
        statement = upsert(platforms).values(values)
        try:
            self._connection.execute(
                statement.on_conflict_do_update(index_elements=["platform_id"], set_=dict(statement.excluded))
            )
        except IntegrityError as error:
            raise VersionConflict({"user_id": platform.user_id}, "The user has another default platform.") from error
