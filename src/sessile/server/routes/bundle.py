"""`/sessile.js`: the browser client, one file, as it lies in server/static."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response

from sessile.server.refusals import NoSuchPage

router = APIRouter(tags=["client"])

_PINNED: Final = "public, max-age=31536000, immutable"
_ASKED_EACH_TIME: Final = "public, no-cache"


@cache
def _bundle() -> tuple[bytes, str]:
    """The file and its tag. Raises FileNotFoundError where the client has not been built."""
    content = files("sessile.server").joinpath("static", "sessile.js").read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


@router.get("/sessile.js", summary="The browser client; with `?v=` of its tag it may be kept for good")
@router.head("/sessile.js", include_in_schema=False)
async def bundle(
    v: Annotated[str | None, Query(max_length=64)] = None, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    try:
        content, tag = _bundle()
    except FileNotFoundError:
        raise NoSuchPage("The browser client has not been built.") from None
    headers = {"etag": f'"{tag}"', "cache-control": _PINNED if v == tag else _ASKED_EACH_TIME}
    if if_none_match is not None and f'"{tag}"' in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="text/javascript; charset=utf-8")
