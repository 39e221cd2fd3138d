"""Many tokens that stand for nothing, from one address: somebody guesses, or tries what was stolen elsewhere (OWASP Session Management).

It is noticed and told, and refuses nobody: behind one address there can be many people, and a guess of 256 bits is in vain. Counted in this process's memory,
only when a token was unknown, so a request with a session pays nothing for it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakKeyDictionary

from sessile.model.anomaly import Anomaly
from sessile.model.errors import StoreUnavailable
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.asgi import Scope

logger = logging.getLogger("sessile.web")

UNKNOWN_MAX: Final = 20
WINDOW: Final = timedelta(minutes=1)
_ADDRESSES_MAX: Final = 4096
_Counts = OrderedDict[str, tuple[int, datetime]]
_counts: WeakKeyDictionary[AsyncSessionManager, _Counts] = WeakKeyDictionary()


async def note_unknown(manager: AsyncSessionManager, scope: Scope) -> None:
    """One more token that nobody has. The last one that is still borne is audited and told, once a minute for each address. Raises nothing of ours."""
    client = scope.get("client")
    address = str(client[0] if client else "")
    counts, now = _counts.setdefault(manager, OrderedDict()), manager.clock.now()
    counted, until = counts.get(address, (0, now + WINDOW))
    counted, until = (1, now + WINDOW) if now >= until else (counted + 1, until)
    counts[address] = (counted, until)
    if len(counts) > _ADDRESSES_MAX:
        counts.popitem(last=False)
    if counted != UNKNOWN_MAX:
        return
    try:
        address_hash = (await manager.sign("address", address.encode())).hex()[:32]
        await manager.note_anomaly(None, Anomaly.ID_GUESSING, {"count": counted, "address_hash": address_hash})
    except StoreUnavailable:
        logger.warning(
            "Many unknown tokens come from one address, and the store is away, so it is not in the audit",
            extra={"event_name": "guessing_unwritten"},
        )
