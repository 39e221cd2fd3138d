"""Tokens for HTML forms, as a second proof beside Origin and Sec-Fetch-Site (ASVS 5.0 section 3.5).

A token is a nonce and a signature over it and the session's handle: it names no session, differs in every page, and is worth nothing in another
session. It stays good while the session lives, also after a new token was given to the browser.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final

from sessile.model.errors import AuthenticationRequired, CsrfFailed
from sessile.runtime.manager import AsyncSessionManager

FIELD: Final = "csrf_token"
HEADER: Final = "x-csrf-token"
_PURPOSE: Final = "csrf"
_NONCE_BYTES: Final = 16
_TOKEN_BYTES: Final = _NONCE_BYTES + 32


async def csrf_token(manager: AsyncSessionManager, session_id: str | None) -> str:
    """A token for a form in a page of this session. Raises AuthenticationRequired without one."""
    if session_id is None:
        raise AuthenticationRequired("no_cookie")
    nonce = secrets.token_bytes(_NONCE_BYTES)
    signature = await manager.sign(_PURPOSE, nonce + session_id.encode())
    return base64.urlsafe_b64encode(nonce + signature).decode()


async def check_csrf_token(manager: AsyncSessionManager, session_id: str | None, token: str | None) -> None:
    """Raises CsrfFailed unless the token was made for this session."""
    raw = _decoded(token or "")
    if session_id is None or len(raw) != _TOKEN_BYTES:
        raise CsrfFailed("The form's token is missing or not ours. Load the page again and send it once more.")
    nonce, signature = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    if not await manager.verify_signature(_PURPOSE, nonce + session_id.encode(), signature):
        raise CsrfFailed("The form's token is of another session. Load the page again and send it once more.")


def _decoded(token: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        return b""
