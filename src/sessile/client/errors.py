"""What only a client can raise. Everything the server says arrives as the error of the same code in `sessile.model.errors`.

SessileError
├── NotConnected          needs the server, and there is no connection (retryable)
├── ConnectionLost        the answer may have been lost with the connection: it is not known whether it happened (retryable)
├── ClientClosed          the client was closed; stored changes stay in the outbox
├── ConnectionRefused     the server will not talk to this client: wrong origin, wrong user, broken protocol
├── OutboxUnavailable     the outbox cannot be written or read; the change was not made (retryable)
└── ServerRefused         an error code that this version does not know
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessile.model.errors import (
    CheckpointNotFound,
    CsrfFailed,
    DocumentNotFound,
    DocumentTooLarge,
    OriginRefused,
    SessileError,
    SessionNotFound,
    StoreUnavailable,
    VersionConflict,
)


class NotConnected(SessileError):
    code = "not_connected"
    retryable = True
    default_message = "There is no connection to the server."
    cause = "The server cannot be reached, and this call needs it."
    cure = "Wait for the connection. Changes to documents do not need it."


class ConnectionLost(SessileError):
    code = "connection_lost"
    retryable = True
    default_message = "The connection was lost before the answer came."
    cause = "The network broke between question and answer."
    cure = "Ask again: a checkpoint with the same request id is made once."


class ClientClosed(SessileError):
    code = "closed"
    default_message = "The client was closed. What was stored stays in the outbox."
    cause = "The client was used after `close`, or opened twice."
    cure = "Make a new client on the same outbox; it goes on where this one stopped."


class ConnectionRefused(SessileError):
    """`close_code` is that of protocol/codes.json, or the HTTP status of a refused handshake."""

    code = "connection_refused"
    cause = "A wrong token, another user's outbox, or a server of another protocol; `close_code` says which."
    cure = "A token of the right user, one outbox for each user, and the same release on both sides."

    def __init__(self, close_code: int, message: str) -> None:
        super().__init__(message)
        self.close_code = close_code


class OutboxUnavailable(SessileError):
    code = "outbox_unavailable"
    retryable = True
    default_message = "The outbox cannot be used just now. The change was not made."
    cause = "The file is locked, full, of another version, or no outbox."
    cure = "Give the disk room, or name another file. What was stored is still in the old one."


class ServerRefused(SessileError):
    """An error of the server. `server_code` and `is_retryable` are what it said."""

    code = "server_refused"
    cause = "The server is newer than this client."
    cure = "Update the client. `server_code` is in the server's list of errors."

    def __init__(self, server_code: str, message: str, *, is_retryable: bool) -> None:
        super().__init__(f"{server_code}: {message}")
        self.server_code = server_code
        self.is_retryable = is_retryable


_BY_CODE: Mapping[str, type[SessileError]] = {
    kind.code: kind
    for kind in (
        CheckpointNotFound,
        CsrfFailed,
        DocumentNotFound,
        DocumentTooLarge,
        OriginRefused,
        SessionNotFound,
        StoreUnavailable,
    )
}


def error_from(raw: Mapping[str, Any]) -> SessileError:
    """The error that a frame or an HTTP problem stands for."""
    code, message = str(raw.get("code", "")), str(raw.get("message") or raw.get("detail") or "")
    if code == VersionConflict.code:
        return VersionConflict(raw.get("current"), message)
    if code in _BY_CODE:
        return _BY_CODE[code](message)
    return ServerRefused(code, message, is_retryable=bool(raw.get("retryable")))


def is_retryable(error: SessileError) -> bool:
    """Whether the same thing may succeed later without anybody doing something about it."""
    return error.is_retryable if isinstance(error, ServerRefused) else error.retryable
