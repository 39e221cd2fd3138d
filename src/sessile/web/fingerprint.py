"""What a browser says of itself, as a signal of theft: compared with what it said at the login (OWASP Cookie Theft Mitigation; setting `fingerprint`).

Only what stays the same from request to request, over sockets too, and over an update of the browser: the program and the system without their versions, and
the languages. What is kept is a keyed hash. The address is no part of it, because people move between networks; it goes into the audit event, hashed.
False alarms: somebody who changes the languages, or pretends to be another browser. Missed thefts: a thief who says the same. So it is off by default.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from typing import Final

from sessile.model.anomaly import Anomaly
from sessile.model.errors import SessionEnded, StoreUnavailable
from sessile.model.session import Session
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.asgi import Scope, header_values

logger = logging.getLogger("sessile.web")

BROWSER_KEY: Final = "sessile.browser"
"""In a scope whose headers are not all there: `User-Agent` and `Accept-Language`."""
REASON: Final = "fingerprint"
_PURPOSE: Final = "fingerprint"
_VERSIONS: Final = re.compile(r"[0-9][0-9._]*")
_LENGTH_MAX: Final = 1024
_TOLD_MAX: Final = 4096
_told: OrderedDict[tuple[str, bytes], None] = OrderedDict()


async def fingerprint_of(manager: AsyncSessionManager, scope: Scope) -> str | None:
    """A keyed hash of what this request's browser says of itself, 64 characters; None where the setting is off. Raises StoreUnavailable."""
    if manager.settings.fingerprint == "off":
        return None
    return (await manager.sign(_PURPOSE, _said(scope))).hex()


async def is_same_browser(manager: AsyncSessionManager, scope: Scope, session: Session) -> bool:
    """False where the setting is `enforce` and the request comes from a browser that says something else than at the login. A difference is audited
    once, whatever is set. Raises StoreUnavailable."""
    mode, kept = manager.settings.fingerprint, session.fingerprint
    if kept is None or mode == "off":
        return True
    said = _said(scope)
    if await manager.verify_signature(_PURPOSE, said, bytes.fromhex(kept)):
        return True
    await _tell(manager, scope, session, said, mode)
    return mode != "enforce"


async def _tell(manager: AsyncSessionManager, scope: Scope, session: Session, said: bytes, mode: str) -> None:
    key = (session.session_id, said)
    if key in _told:  # one event, not one for each request of a thief
        return
    client = scope.get("client")
    address = await manager.sign("address", str(client[0] if client else "").encode())
    try:
        await manager.note_anomaly(
            session.session_id, Anomaly.FINGERPRINT_MISMATCH, {"mode": mode, "address_hash": address.hex()[:32]}
        )
    except (StoreUnavailable, SessionEnded) as error:
        logger.warning(
            "A session was used by a browser that is not the one of its login; %s",
            error.code,
            extra={"event_name": "fingerprint_unwritten"},
        )
        return
    _told[key] = None
    if len(_told) > _TOLD_MAX:
        _told.popitem(last=False)


def _said(scope: Scope) -> bytes:
    browser = scope.get(BROWSER_KEY)
    if browser is None:
        headers = scope["headers"]
        browser = [next(iter(header_values(headers, name)), "") for name in (b"user-agent", b"accept-language")]
    user_agent, languages = ((text or "")[:_LENGTH_MAX] for text in browser)
    return f"{_VERSIONS.sub('', user_agent)}\0{languages}".encode("utf-8", "replace")
