"""Guesses of old ids: each would be a question to the database, and an id of another library may be shorter than a token of ours.

Counted are different values that led nowhere, for each address and minute, in this process's memory. The same stale cookie again is no guess. Who is over the limit
is refused with 429, also with a good cookie: never "nobody is logged in". Addresses that are none of the public internet (a proxy that hides its
visitors, say) are not limited: behind one there is everybody.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from sessile.model.errors import TooManyTries
from sessile.web.asgi import Scope

FAILED_MAX: Final = 100
WINDOW: Final = timedelta(minutes=1)
_ADDRESSES_MAX: Final = 4096


class FailedLookups:
    """Of one process."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[datetime, set[bytes]]] = OrderedDict()

    def check(self, scope: Scope, now: datetime) -> None:
        """Raises TooManyTries for an address that has tried too many values."""
        until, failed = self._failed.get(_address(scope), (now, set()))
        if now < until and len(failed) >= FAILED_MAX:
            raise TooManyTries(max(1, int((until - now).total_seconds())))

    def note(self, scope: Scope, value_hash: bytes, now: datetime) -> None:
        """This value led nowhere."""
        address = _address(scope)
        if not _is_public(address):
            return
        until, failed = self._failed.get(address, (now, set()))
        if now >= until:
            until, failed = now + WINDOW, set()
        failed.add(value_hash[:8])
        self._failed[address] = (until, failed)
        self._failed.move_to_end(address)
        if len(self._failed) > _ADDRESSES_MAX:
            self._failed.popitem(last=False)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0] if client else "")


@lru_cache(maxsize=1024)
def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
