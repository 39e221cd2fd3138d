"""Which life of a PostgreSQL database this is: another one begins when it is restored to a moment, promoted, or put into another cluster. Nothing else tells a program
that rows went back in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_KEY: Final = "database_life"
_LIFE: Final = (
    "SELECT system_identifier::text || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_control_system()"
)
"""The cluster and its timeline (PostgreSQL, "Continuous Archiving", 25.3.5): recovery that ends before the end of the log begins a new one, and so does a promotion."""


def changed(connection: Connection) -> bool:
    """Whether it is another life than the one that was noted last. The first one is noted."""
    from sqlalchemy import select

    from sessile.stores.sql.tables import instance

    now = _look(connection)
    if now is None:
        return False
    noted = connection.scalar(select(instance.c.value).where(instance.c.key == _KEY))
    if noted is None:
        begin(connection)
    return noted not in {None, now}


def begin(connection: Connection) -> None:
    """What is now is as it should be."""
    from sqlalchemy import delete, insert

    from sessile.stores.sql.tables import instance

    now = _look(connection)
    if now is not None:
        connection.execute(delete(instance).where(instance.c.key == _KEY))
        connection.execute(insert(instance), {"key": _KEY, "value": now})


def _look(connection: Connection) -> str | None:
    """None where there is no such thing: SQLite, or a service that speaks PostgreSQL and has no log of its own."""
    from sqlalchemy.exc import DBAPIError

    if connection.dialect.name != "postgresql":
        return None
    try:
        with connection.begin_nested():
            return str(connection.exec_driver_sql(_LIFE).scalar_one())
    except DBAPIError:
        return None
