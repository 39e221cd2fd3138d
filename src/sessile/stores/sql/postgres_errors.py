"""What errors of the drivers mean: the server is away, the same work can be done again, a value cannot be kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sessile.model.errors import InvalidValue, SessileError, StoreUnavailable
from sessile.stores.sql.drivers import UNIQUE_VIOLATION

_AGAIN: Final = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: nothing happened, the same work can be done once more."""
_NO_LOCK: Final = "55P03"
"""A lock was not had in time."""
_NOT_TEXT: Final = frozenset({"22021", "22P05"})
"""U+0000, as it is or in JSON."""


class Repeat(Exception):
    """The transaction was rolled back by the database for a reason that another try may not meet."""


@contextmanager
def errors() -> Iterator[None]:
    """The only place where errors of the drivers become ours."""
    try:
        yield
    except SessileError:
        raise
    except (PoolTimeoutError, OSError, TimeoutError) as error:
        raise StoreUnavailable from error
    except DBAPIError as error:
        if _is_away(error) or _sqlstate(error) in _AGAIN:
            raise StoreUnavailable from error
        if isinstance(error, DataError) or _sqlstate(error) in _NOT_TEXT:
            raise InvalidValue("", "a text has the character U+0000, which PostgreSQL cannot keep") from error
        raise


@contextmanager
def repeatable(tries_left: int) -> Iterator[None]:
    """Raises Repeat instead, while there is a try left."""
    try:
        yield
    except DBAPIError as error:
        # A unique key that no row group expected: two transactions made the same row at once, and the next try finds it.
        if tries_left and _sqlstate(error) in {*_AGAIN, UNIQUE_VIOLATION}:
            raise Repeat from error
        raise


@contextmanager
def lockable() -> Iterator[None]:
    """Raises Repeat for a lock that was not had in time, and for a deadlock."""
    try:
        yield
    except DBAPIError as error:
        if _sqlstate(error) in {*_AGAIN, _NO_LOCK}:
            raise Repeat from error
        raise


def _sqlstate(error: DBAPIError) -> str:
    fault: Any = error.orig
    return str(getattr(fault, "sqlstate", None) or getattr(fault, "pgcode", None) or "")


def _is_away(error: DBAPIError) -> bool:
    """The connection or the server failed, not the statement: SQLSTATE classes 08, 53, 57 and 58, a lock that was not had in time, a server
    that only reads, a transaction that the server gave up because nothing came from us (this process was stopped, or the network was)."""
    state = _sqlstate(error)
    if state:
        return state[:2] in {"08", "53", "57", "58"} or state in {_NO_LOCK, "25006", "25P03", "25P04"}
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
