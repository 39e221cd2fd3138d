"""What the middleware decided, for who looks for it: two DEBUG lines a request under `sessile.web.trace`, with the last eight characters of the handle (the first ones are the time, which many share).

    logging.getLogger("sessile.web.trace").setLevel(logging.DEBUG)

No token, no user, no data, no query. Off, a request pays for one look at the level, which `logging` remembers.
"""

from __future__ import annotations

import logging
from typing import Final

from sessile.model.errors import SessileError
from sessile.web.asgi import Scope
from sessile.web.loading import Loaded
from sessile.web.request_session import RequestSession

logger = logging.getLogger("sessile.web.trace")
HANDLE_SHOWN: Final = 8


def is_on() -> bool:
    """Whether anybody looks."""
    return logger.isEnabledFor(logging.DEBUG)


def loaded(scope: Scope, found: Loaded) -> None:
    """The first line: which credential came, and what became of it."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    if found.failure is not None:
        outcome = f"cannot look ({found.failure.code})"
    elif found.record is not None:
        outcome = f"session {found.record.session_id[-HANDLE_SHOWN:]}, {found.record.standing.value}"
    else:
        outcome = f"no session ({found.reason})"
    logger.debug("%s: by %s: %s", _request(scope), found.source.value, outcome, extra={"event_name": "trace_loaded"})


def done(
    scope: Scope, session: RequestSession, *, status: int | None = None, error: SessileError | None = None
) -> None:
    """The second line: how it was answered, and what the request did to the session. Without `status` and `error`: a socket's handler has ended."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    answer = "handler ended" if status is None else f"answered {status}"
    logger.debug(
        "%s: %s: session %s, %s, operations committed: %d, set-cookie: %s",
        _request(scope),
        answer if error is None else f"refused with {error.http_status} {error.code}",
        session.trace_handle[-HANDLE_SHOWN:] or "none",
        "used" if session.accessed else "not used",
        session.operations_committed,
        "yes" if session.sets_cookie else "no",
        extra={"event_name": "trace_done"},
    )


def _request(scope: Scope) -> str:
    """As `repr`: a path may hold line breaks, which would forge a line of the log."""
    return f"{scope.get('method', 'WEBSOCKET')} {scope['path']!r}"
