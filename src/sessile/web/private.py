"""What a response that depends on the session says: to caches, and to the browser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sessile.web.platforms import HEADER
from sessile.web.problems import NO_STORE
from sessile.web.request_session import RequestSession

RawHeaders = list[tuple[bytes, bytes]]
_VARY: Final = (b"vary", b"Cookie")
_CACHE_CONTROL: Final = (b"cache-control", NO_STORE.encode())
_PLATFORM: Final = HEADER.encode("ascii")


def cookie_of(session: RequestSession) -> RawHeaders:
    """The Set-Cookie header, if the token changed in this request, and what makes the browser forget the cookie it replaces. Raises ConfigurationError where no cookie can be set."""
    cookie = session.cookie_header()
    return [] if cookie is None else [(b"set-cookie", cookie), *session.forgetting, *session.log_out_headers()]


def of_session(session: RequestSession) -> RawHeaders:
    """The cookie, and the platform that the request named. Raises ConfigurationError where no cookie can be set."""
    headers = cookie_of(session)
    platform = session.platform_header()
    if platform is not None:
        headers.append((_PLATFORM, platform))
    return headers


def private(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers of a response that depends on the session: one `Vary` that names Cookie once (RFC 9111 section 4.1), and no leave to store."""
    kept: RawHeaders = []
    varies: list[bytes] = []
    for name, value in headers:
        folded = name.lower()
        if folded == b"vary":
            varies += [part.strip() for part in value.split(b",") if part.strip()]
        elif folded != b"cache-control":
            kept.append((name, value))
    if not varies:
        kept.append(_VARY)
    else:
        if b"*" not in varies and b"cookie" not in (part.lower() for part in varies):
            varies.append(b"Cookie")
        kept.append((b"vary", b", ".join(varies)))
    kept.append(_CACHE_CONTROL)
    return kept


def vary_on_cookie(values: Iterable[str]) -> str:
    """The one `Vary` for these, with Cookie once."""
    parts = [part.strip() for value in values for part in value.split(",") if part.strip()]
    if "*" not in parts and "cookie" not in (part.lower() for part in parts):
        parts.append("Cookie")
    return ", ".join(parts)
