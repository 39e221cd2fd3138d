"""Tokens for HTML forms, as a second proof beside Origin and Sec-Fetch-Site (ASVS 5.0 section 3.5).

A token is a nonce and a signature over it, the session's handle and its user: it names no session, differs in every page, and is worth nothing in
another session, nor for another user in the same one (a login keeps the handle). It outlives a new token for the same user.
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


async def csrf_token(manager: AsyncSessionManager, session_id: str | None, user_id: str | None) -> str:
    """A token for a form in a page of this session. Raises AuthenticationRequired without one."""
    if session_id is None:
        raise AuthenticationRequired("no_cookie")
    nonce = secrets.token_bytes(_NONCE_BYTES)
    signature = await manager.sign(_PURPOSE, nonce + _whose(session_id, user_id))
    return base64.urlsafe_b64encode(nonce + signature).decode()


async def check_csrf_token(
    manager: AsyncSessionManager, session_id: str | None, user_id: str | None, token: str | None
) -> None:
    """Raises CsrfFailed unless the token was made for this session and user."""
    raw = _decoded(token or "")
    if session_id is None or len(raw) != _TOKEN_BYTES:
        raise CsrfFailed("The form's token is missing or not ours. Load the page again and send it once more.")
    nonce, signature = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    if not await manager.verify_signature(_PURPOSE, nonce + _whose(session_id, user_id), signature):
        raise CsrfFailed("The form's token is of another session. Load the page again and send it once more.")


def _whose(session_id: str, user_id: str | None) -> bytes:
    return f"{session_id}\0{user_id or ''}".encode()


def _decoded(token: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        return b""
