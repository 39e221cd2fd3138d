"""`/sessile.js`: the browser client, one file, as it lies in server/static; and the files that it loads when it needs them."""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response

from sessile.server.refusals import NoSuchPage

router = APIRouter(tags=["client"])

_PINNED: Final = "public, max-age=31536000, immutable"
_ASKED_EACH_TIME: Final = "public, no-cache"


_BUNDLE: Final = "sessile.js"
_PARTS: Final = frozenset({"clock.js", "core.js", "debug.js", "stream.js"})
"""What the bundle loads when it needs it, from files of their own: a worker cannot be part of another file under a strict content security policy. And the core, a module
for pages that need no more."""


@cache
def _file(name: str) -> tuple[bytes, bytes, str]:
    """The file, the file as gzip (a third of it), and its tag. Raises FileNotFoundError where the client has not been built."""
    content = files("sessile.server").joinpath("static", name).read_bytes()
    return content, gzip.compress(content, compresslevel=9, mtime=0), hashlib.sha256(content).hexdigest()[:16]


def takes_gzip(accepted: str) -> bool:
    """RFC 9110, section 12.5.3; a coding with weight 0 is refused."""
    codings = (part.partition(";") for part in accepted.lower().split(","))
    return any(
        name.strip() in {"gzip", "*"} and not re.search(r"q\s*=\s*0(\.0*)?\s*$", weight) for name, _, weight in codings
    )


@router.get("/sessile.js", summary="The browser client; with `?v=` of its tag it may be kept for good")
@router.head("/sessile.js", include_in_schema=False)
async def bundle(
    v: Annotated[str | None, Query(max_length=64)] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    return _answer(_BUNDLE, v, if_none_match, accept_encoding)


@router.get("/api/v0/client/{name}", include_in_schema=False)
@router.head("/api/v0/client/{name}", include_in_schema=False)
async def part(
    name: str,
    v: Annotated[str | None, Query(max_length=64)] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    accept_encoding: Annotated[str, Header()] = "",
) -> Response:
    if name not in _PARTS:
        raise NoSuchPage
    return _answer(name, v, if_none_match, accept_encoding)


def _answer(name: str, v: str | None, if_none_match: str | None, accept_encoding: str) -> Response:
    try:
        plain, packed, tag = _file(name)
    except FileNotFoundError:
        raise NoSuchPage("The browser client has not been built.") from None
    # Two representations, two tags (RFC 9110, section 8.8.3.3); a weak one would not do for a file that is kept for good.
    is_packed = takes_gzip(accept_encoding)
    etag = f"{tag}-gzip" if is_packed else tag
    headers = {
        "etag": f'"{etag}"',
        "cache-control": _PINNED if v in {tag, etag} else _ASKED_EACH_TIME,
        "vary": "accept-encoding",
        "cross-origin-resource-policy": "cross-origin",  # pages of other origins that are allowed load it
        "content-security-policy": "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
    }
    if if_none_match is not None and f'"{etag}"' in if_none_match:
        return Response(status_code=304, headers=headers)
    if is_packed:
        headers["content-encoding"] = "gzip"
    return Response(packed if is_packed else plain, headers=headers, media_type="text/javascript; charset=utf-8")
