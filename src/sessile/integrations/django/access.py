"""Who is here, for code that is not handed the request, and what a view requires."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest

from sessile.integrations.django.middleware import CURRENT, session_of
from sessile.integrations.django.store import SessionStore
from sessile.model.errors import ConfigurationError, PlatformRefused
from sessile.model.session import SessionContext

View = TypeVar("View", bound=Callable[..., Any])
Check = Callable[[SessionStore], object]


def current_session() -> SessionStore:
    """The session of the request under way. Does not count as a read. Raises ConfigurationError outside of one, and without our middleware."""
    session = CURRENT.get()
    if session is None:
        raise ConfigurationError(
            "There is no request under way here whose session this could be. Call it from a view, or from what a view calls, behind "
            "sessile.integrations.django.SessionMiddleware; a script or a job asks get_manager() instead."
        )
    return session


def get_current_user_id() -> str | None:
    """Who is logged in. Raises ConfigurationError outside of a request, StoreUnavailable when nobody can tell."""
    return current_session().user_id


def get_current_platform_id() -> str | None:
    """Where the user works. Raises ConfigurationError, StoreUnavailable, PlatformRefused."""
    return current_session().platform_id


def is_session_authenticated() -> bool:
    """Whether somebody is logged in. Raises ConfigurationError, and StoreUnavailable: an outage is not "no"."""
    return current_session().is_authenticated


def get_current_session_context() -> SessionContext | None:
    """Session, user and platform at once; None when there is no live session. Raises ConfigurationError, StoreUnavailable, PlatformRefused."""
    return current_session().context()


async def aget_current_session_context() -> SessionContext | None:
    """The same for `async def` views."""
    return await current_session().acontext()


def require_authentication(view: View) -> View:
    """Decorator, for `def` and `async def` views: 401 with the reason when nobody is logged in, 503 when nobody can tell. For pages of people
    `django.contrib.auth.decorators.login_required` redirects to the log-in instead."""
    return _checked(view, SessionStore.require_user)


def require_platform(view: View) -> View:
    """Decorator: the user is on a platform, else 404 `platform_refused`; or 401."""

    def check(session: SessionStore) -> None:
        session.require_user()
        if session.platform_id is None:
            raise PlatformRefused("missing")

    return _checked(view, check)


def require_fresh(max_age_s: float | None = None) -> Callable[[View], View]:
    """Decorator `@require_fresh(300)`: the user logged in at most `max_age_s` seconds ago, by default `fresh_timeout_s`, else 403 `freshness_required`; or 401."""

    def check(session: SessionStore) -> None:
        session.require_fresh(max_age_s)

    return lambda view: _checked(view, check)


def require_bound(view: View) -> View:
    """Decorator: 403 `binding_required` when the session is bound to a device and the request does not show that it comes from there (`dbsc`); or 401."""
    return _checked(view, SessionStore.require_bound)


def _checked(view: View, check: Check) -> View:
    if iscoroutinefunction(view):

        @functools.wraps(view)
        async def awaited(request: HttpRequest, *args: Any, **named: Any) -> Any:
            session = session_of(request)
            await session.aload()
            check(session)
            return await view(request, *args, **named)

        return cast("View", awaited)

    @functools.wraps(view)
    def called(request: HttpRequest, *args: Any, **named: Any) -> Any:
        check(session_of(request))
        return view(request, *args, **named)

    return cast("View", called)
