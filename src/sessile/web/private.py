"""What a response that depends on the session says: to caches, and to the browser."""

from __future__ import annotations

from collections.abc import Iterable

from sessile.web.platforms import HEADER
from sessile.web.problems import NO_STORE
from sessile.web.request_session import RequestSession

RawHeaders = list[tuple[bytes, bytes]]


def cookie_of(session: RequestSession) -> RawHeaders:
    """The Set-Cookie header, if the token changed in this request. Raises ConfigurationError where no cookie can be set."""
    cookie = session.cookie_header()
    return [] if cookie is None else [(b"set-cookie", cookie)]


def of_session(session: RequestSession) -> RawHeaders:
    """The cookie, and the platform that the request named. Raises ConfigurationError where no cookie can be set."""
    platform = session.platform_header()
    return cookie_of(session) + ([] if platform is None else [(HEADER.encode("ascii"), platform)])


def private(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers of a response that depends on the session: one `Vary` that names Cookie once (RFC 9111 section 4.1), and no leave to store."""
    kept: list[tuple[bytes, bytes]] = []
    varies: list[bytes] = []
    for name, value in headers:
        match name.lower():
            case b"vary":
                varies += [part.strip() for part in value.split(b",") if part.strip()]
            case b"cache-control":
                pass
            case _:
                kept.append((name, value))
    if b"*" not in varies and b"cookie" not in (part.lower() for part in varies):
        varies.append(b"Cookie")
    return [*kept, (b"vary", b", ".join(varies)), (b"cache-control", NO_STORE.encode())]
