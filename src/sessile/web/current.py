"""The session of the request under way, without passing the request around: for code that a handler calls, at any depth.

A context variable holds it. Each request has a value of its own, also in the threads of `def` handlers, which get a copy of their request's
context. What a request starts and leaves behind (a task of its own) goes on seeing that request's session, closed for changes.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Final

from sessile.model.errors import ConfigurationError
from sessile.model.session import SessionContext
from sessile.web.request_session import RequestSession
from sessile.web.session import WebSession

CURRENT: Final[ContextVar[RequestSession | None]] = ContextVar("sessile.current", default=None)
"""Set by the middleware for the time of a request."""


def request_session() -> RequestSession:
    """The session of the request or socket under way, in whichever lane. Does not count as a read. Raises ConfigurationError outside of one, and
    where the application has no Sessile."""
    session = CURRENT.get()
    if session is None:
        raise ConfigurationError(
            "There is no request under way here whose session this could be. Call it from a handler, or from what a handler calls, of an "
            "application that has Sessile(app); a script or a job asks the manager instead."
        )
    return session


def current_session() -> WebSession:
    """The same, where handlers are asynchronous or run beside such ones."""
    session = request_session()
    if not isinstance(session, WebSession):
        raise ConfigurationError("This request is of another framework: take `current_session` from its integration.")
    return session


def get_current_session_context() -> Awaitable[SessionContext | None]:
    """The session with its times, what pages see of the user, and the platform; None when there is no live session. Awaited in `async def`
    handlers; in `def` handlers it returns the result. Raises ConfigurationError, StoreUnavailable, PlatformRefused as `platform_id` does."""
    return current_session().context()


def get_current_user_id() -> str | None:
    """Who is logged in. Raises ConfigurationError outside of a request, StoreUnavailable when nobody can tell."""
    return request_session().user_id


def get_current_platform_id() -> str | None:
    """Where the user works. Raises ConfigurationError, StoreUnavailable, PlatformRefused as `platform_id` does."""
    return request_session().platform_id


def is_session_authenticated() -> bool:
    """Whether somebody is logged in. Raises ConfigurationError, and StoreUnavailable: an outage is not "no"."""
    return request_session().is_authenticated
