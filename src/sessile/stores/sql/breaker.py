"""A breaker in front of a database: while it cannot be reached one caller at a time finds that out, and all others are refused at once.

A network that has died without a word costs whoever tries it some seconds. Without this everybody pays them, for as long as the outage lasts, and
requests pile up until the server has no worker left for what needs no database.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sessile.model.errors import SessileError, StoreUnavailable


class Breaker:
    """Closed at first. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._is_trying = False

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Around what shows whether the database is there: closes the breaker when it succeeds, opens it when nobody answered. Raises StoreUnavailable when the breaker is open and somebody else is trying."""
        probes = self._admit()
        try:
            yield
        except BaseException as error:
            self._end(probes, is_open=self._is_open or _is_silence(error))
            raise
        self._end(probes, is_open=False)

    def trip(self) -> None:
        """Somebody who was connected got no answer."""
        with self._lock:
            self._is_open = True

    def _admit(self) -> bool:
        """Whether the caller is the one who tries for all."""
        with self._lock:
            if not self._is_open:
                return False
            if self._is_trying:
                raise StoreUnavailable("The database cannot be reached; somebody is trying it just now.")
            self._is_trying = True
            return True

    def _end(self, probes: bool, *, is_open: bool) -> None:
        with self._lock:
            self._is_open = is_open
            if probes:
                self._is_trying = False


def _is_silence(error: BaseException) -> bool:
    """Not a refusal by the server (it has an SQLSTATE; class 08 is given by the drivers themselves to a connection that is lost), nor a pool of ours that is
    busy, nor somebody who did not want to wait."""
    if not isinstance(error, Exception) or isinstance(error, SessileError | PoolTimeoutError):
        return False
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "08").startswith("08")
