"""The shapes of ASGI, and what of a request is needed before any framework looks at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class KnownHeaders:
    """Headers that are asked for by name, where they need not be made into a list first."""

    def of(self, name: bytes) -> list[str]:
        """As `header_values`."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        raise NotImplementedError


_SCHEMES: Final = {"ws": "http", "wss": "https"}
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 section 9.2.1: these must not change anything."""


def header_values(headers: Headers, name: bytes) -> list[str]:
    """Every value of a header, in order. `name` is lower case, as ASGI has it."""
    if isinstance(headers, KnownHeaders):
        return headers.of(name)
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def scheme_of(scope: Scope) -> str:
    """`http` or `https`; a socket's `ws` and `wss` count as the scheme of the page that opened it."""
    scheme: str = scope.get("scheme", "http")
    return _SCHEMES.get(scheme, scheme)


def host_of(scope: Scope) -> str:
    """What stands in the one Host header, in lower case; empty when there is none or more than one."""
    hosts = header_values(scope["headers"], b"host")
    return hosts[0].strip().lower() if len(hosts) == 1 else ""


def path_within(scope: Scope) -> str:
    """The path without the prefix the application is mounted at (ASGI: `path` includes `root_path`)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and (path == root or path.startswith(root + "/")) else path


def bearer_token(headers: Headers) -> str | None:
    """What stands in the one `Authorization: Bearer` header (RFC 6750 section 2.1), or None."""
    values = header_values(headers, b"authorization")
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
