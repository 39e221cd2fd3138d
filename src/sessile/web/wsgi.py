"""A WSGI request (PEP 3333) in the shape of ASGI, so that cookies, origins and platforms are judged by one code in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sessile.web.asgi import KnownHeaders, Scope

_WITHOUT_PREFIX: Final = {"CONTENT_TYPE": b"content-type", "CONTENT_LENGTH": b"content-length"}


def scope_of(environ: Mapping[str, Any]) -> Scope:
    """The `http` scope. A server joins several headers of one name by a comma before we see them, so two Cookie headers look like one odd one; it is
    then read as such, and never as somebody's session by chance."""
    root = _text(environ.get("SCRIPT_NAME", ""))
    path = _text(environ.get("PATH_INFO", ""))
    host, port = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": str(environ.get("SERVER_PROTOCOL", "HTTP/1.1")).partition("/")[2] or "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + path,
        "raw_path": (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1"),
        "root_path": root,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": _headers(environ),
        "client": (host, int(port or 0)) if host else None,
        "server": (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0)),
        "extensions": {},
    }


class WsgiScope(dict[str, Any]):
    """The same for judging a session, made as far as it is asked for: most requests are looked at for one cookie, and many for nothing. `headers` has those
    that say something of a session."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def cookie_host_scheme(self) -> tuple[str | None, str, str] | None:
        """The Cookie header, the Host and the scheme, where nothing else in the request says who asks or on what. None: look at each."""
        environ = self._environ
        if "HTTP_AUTHORIZATION" in environ or "HTTP_SESSILE_PLATFORM" in environ:
            return None
        return environ.get("HTTP_COOKIE"), environ.get("HTTP_HOST", ""), environ.get("wsgi.url_scheme", "http")

    def __missing__(self, key: str) -> Any:
        value = self[key] = _PARTS[key](self._environ)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self or key in _PARTS else default


_JUDGED: Final = {
    name.encode("ascii"): "HTTP_" + name.upper().replace("-", "_")
    for name in (
        "cookie",
        "host",
        "authorization",
        "sessile-platform",
        "origin",
        "sec-fetch-site",
        "accept",
        "x-forwarded-proto",
        "x-csrf-token",
    )
}


def _key_of(name: bytes) -> str:
    return "HTTP_" + name.decode("ascii").upper().replace("-", "_")


class _WsgiHeaders(KnownHeaders):
    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def of(self, name: bytes) -> list[str]:
        key = _JUDGED.get(name) or _key_of(name)
        value = self._environ.get(key)
        return [] if value is None else [value]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for name, key in _JUDGED.items():
            if key in self._environ:
                yield name, self._environ[key].encode("latin-1")


_PARTS: Final[dict[str, Callable[[Mapping[str, Any]], Any]]] = {
    "type": lambda _: "http",
    "method": lambda environ: environ["REQUEST_METHOD"],
    "scheme": lambda environ: environ.get("wsgi.url_scheme", "http"),
    "path": lambda environ: _text(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")),
    "root_path": lambda environ: _text(environ.get("SCRIPT_NAME", "")),
    "headers": _WsgiHeaders,
    "client": lambda environ: (environ.get("REMOTE_ADDR", ""), 0),
}


def _headers(environ: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            headers.append((key[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")))
        elif value and (name := _WITHOUT_PREFIX.get(key)):
            headers.append((name, value.encode("latin-1")))
    return headers


def _text(value: str) -> str:
    """PEP 3333 carries the bytes of a path as Latin-1; they are UTF-8."""
    return value.encode("latin-1").decode("utf-8", "replace")
