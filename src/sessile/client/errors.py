"""What only a client can raise. Everything the server says arrives as the error of the same code in `sessile.model.errors`, and where there
is none as one of these.

SessileError
├── NotConnected          needs the server, and there is no connection (retryable)
├── ConnectionLost        the answer may have been lost with the connection: it is not known whether it happened (retryable)
├── ClientClosed          the client was closed; stored changes stay in the outbox
├── ConnectionRefused     the server will not talk to this client: wrong origin, wrong user, broken protocol
├── OutboxUnavailable     the outbox cannot be written or read; the change was not made (retryable)
├── ForeignSession        no such session among one's own; says nothing about the own one
└── ServerRefused         an error code that this version does not know, or an answer that is not the service's
    ├── MalformedRequest  what was sent does not fit the description: an argument is wrong, or the service is of another version
    ├── NoSuchAddress     the service has nothing at this address: it is mounted elsewhere, or of another version
    └── ServerFault       a fault in the server; it is in the server's log
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessile.model.errors import SessileError


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


class ForeignSession(SessileError):
    """Somebody else's session and a nonexistent one answer alike. Not a SessionNotFound: the caller's own session is well."""

    code = "session_not_found"
    http_status = 404
    default_message = "There is no such session among yours."
    cause = "The session ended meanwhile, or the handle is of somebody else."
    cure = "Read the list of sessions again."


class ServerRefused(SessileError):
    """An error of the server. `server_code` and `is_retryable` are what it said."""

    code = "server_refused"
    cause = "The server is newer than this client."
    cure = "Update the client. `server_code` is in the server's list of errors."

    def __init__(self, server_code: str, message: str, *, is_retryable: bool) -> None:
        super().__init__(f"{server_code}: {message}")
        self.server_code = server_code
        self.is_retryable = is_retryable


class MalformedRequest(ServerRefused):
    """`errors` are the faults of a body, path or query, each with `place` and `problem`."""

    code = "malformed_request"
    cause = "An argument that the service cannot take, or a service of another version."
    cure = "Mend what `errors` names."

    def __init__(self, server_code: str, message: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        places = "; ".join(f"{fault.get('place')}: {fault.get('problem')}" for fault in errors)
        super().__init__(server_code, f"{message} {places}".strip(), is_retryable=False)
        self.errors = tuple(errors)


class NoSuchAddress(ServerRefused):
    """The service answers, and has nothing there; also a socket, of a server that cannot push."""

    code = "no_such_address"
    cause = "The service is mounted at another address, is of another version, or runs under a WSGI server, which cannot push."
    cure = "Give the client the address where Sessile is mounted; for Flask that is one of `sessile serve --wsgi`."

    def __init__(self, message: str, server_code: str = "not_found") -> None:
        super().__init__(server_code, message, is_retryable=False)


class ServerFault(ServerRefused):
    """`is_retryable` is what the server said."""

    code = "server_fault"
    cause = "A defect in the server or in the application around it."
    cure = "Look into the server's log; the traceback is there."

    def __init__(self, message: str, *, is_retryable: bool = False) -> None:
        super().__init__("internal", message, is_retryable=is_retryable)


def is_retryable(error: SessileError) -> bool:
    """Whether the same thing may succeed later without anybody doing something about it."""
    return error.is_retryable if isinstance(error, ServerRefused) else error.retryable
