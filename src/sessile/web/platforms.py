"""A tab's own platform: the header `Sessile-Platform` puts one request on another platform than its session. It is looked at each time and
kept nowhere, so it gives nobody more than `switch_platform` would.

An id goes percent-encoded (`encodeURIComponent` in a browser), as headers carry no more than ASCII; most ids look the same that way.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from sessile.model.errors import PlatformRefused
from sessile.model.platform import Platform
from sessile.model.session import Session
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.asgi import Headers, header_values

HEADER: Final = "sessile-platform"
_RAW: Final = HEADER.encode("ascii")


def names_platform(headers: Headers) -> bool:
    """Whether a request names a platform for itself."""
    return bool(header_values(headers, _RAW))


async def platform_of_request(
    manager: AsyncSessionManager, headers: Headers, session: Session | None
) -> Platform | None:
    """The platform that the request names for itself. None when it names none, or nobody is logged in who could be on one. Raises
    PlatformRefused when the session's user may not be on it, StoreUnavailable."""
    named = header_values(headers, _RAW)
    if not named or session is None or session.user_id is None:
        return None
    if len(named) > 1:
        raise PlatformRefused("missing")
    return await manager.check_platform(session.user_id, _decoded(named[0].strip()))


def echo_value(platform: Platform) -> str:
    """What the response header says when the request's own platform was taken."""
    return quote(platform.platform_id, safe="")


def _decoded(value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise PlatformRefused("missing") from None
