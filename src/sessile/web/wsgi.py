"""A WSGI request (PEP 3333) in the shape of ASGI, so that cookies, origins and platforms are judged by one code in both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sessile.web.asgi import Scope

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
