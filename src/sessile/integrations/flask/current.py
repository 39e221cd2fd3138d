"""The session of the request under way, for code that a view calls; and what a view can require."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast, overload

import flask
from flask import current_app, has_request_context, request
from flask.globals import request_ctx

from sessile.integrations.flask.application import sessions_of
from sessile.integrations.flask.session import FlaskSession
from sessile.model.errors import ConfigurationError, PlatformRefused
from sessile.model.session import SessionContext
from sessile.web.csrf import FIELD, HEADER

P = ParamSpec("P")
R = TypeVar("R")


session: FlaskSession = cast("FlaskSession", flask.session)
"""`flask.session` itself, for type checkers: Flask says of it no more than that it is a dict."""


def current_session() -> FlaskSession:
    """`flask.session` itself and not the proxy, with its type. Does not count as a use. Raises ConfigurationError outside of a request, and where the
    application has no Sessile."""
    session = request_ctx._session if has_request_context() else None
    if isinstance(session, FlaskSession):
        return session
    raise ConfigurationError(
        "There is no request under way here whose session this could be. Call it from a view, or from what a view calls, of an application that has "
        "Sessile(app); a script or a job asks `sessile.manager` instead."
    )


def get_current_session_context() -> SessionContext | None:
    """The session with its times, what pages see of the user, and the platform; None when there is no live session. Raises ConfigurationError outside of a
    request, StoreUnavailable, PlatformRefused as `platform_id` does."""
    return current_session().context()


def get_current_user_id() -> str | None:
    """Who is logged in. Raises ConfigurationError outside of a request, StoreUnavailable when nobody can tell."""
    return current_session().user_id


def get_current_platform_id() -> str | None:
    """Where the user works. Raises ConfigurationError, StoreUnavailable, PlatformRefused as `platform_id` does."""
    return current_session().platform_id


def is_session_authenticated() -> bool:
    """Whether somebody is logged in. Raises ConfigurationError, and StoreUnavailable: an outage is not "no"."""
    return current_session().is_authenticated


def require_authentication(view: Callable[P, R]) -> Callable[P, R]:
    """Below `@app.route`: the response is 401 with the reason unless somebody is logged in, and 503 when nobody can tell. For a page of its own register a
    handler for `AuthenticationRequired`."""

    def check() -> None:
        current_session().require_user()

    return _checked(view, check)


@overload
def require_platform(view: Callable[P, R]) -> Callable[P, R]: ...
@overload
def require_platform(view: str, *more: str) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def require_platform(view: Any, *more: str) -> Any:
    """The response is 401 unless somebody is logged in, and 404 `platform_refused` unless they are on a platform, by the session or by the request's own header
    `Sessile-Platform`. `@require_platform("a", "b")`: on one of these."""
    if callable(view):
        return _checked(view, _check_platform)

    allowed = frozenset((view, *more))

    def check() -> None:
        if _check_platform() not in allowed:
            raise PlatformRefused("missing")

    return lambda inner: _checked(inner, check)


def _check_platform() -> str:
    session = current_session()
    session.require_user()
    platform_id = session.platform_id
    if platform_id is None:
        raise PlatformRefused("missing")
    return platform_id


def require_fresh(max_age_s: float | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`@require_fresh(300)`: the response is 403 `freshness_required` unless the user logged in at most that many seconds ago, by default
    `fresh_timeout_s` (ASVS 7.5.1); or 401."""

    def check() -> None:
        current_session().require_fresh(max_age_s)

    return lambda view: _checked(view, check)


def require_bound(view: Callable[P, R]) -> Callable[P, R]:
    """The response is 403 `binding_required` when the session is bound to a device and the request does not show that it comes from there (`dbsc`); or 401."""

    def check() -> None:
        current_session().require_bound()

    return _checked(view, check)


def require_same_origin(view: Callable[P, R]) -> Callable[P, R]:
    """The response is 403 for an unsafe request that another site's page sends. Beyond `SameSite=Lax`, which the cookie has by default (ASVS 5.0 section 3.5)."""

    def check() -> None:
        sessions_of().origins.check_unsafe(current_session().scope)

    return _checked(view, check)


def require_csrf(view: Callable[P, R]) -> Callable[P, R]:
    """On a view that a form is sent to: its field `csrf_token`, or the header `X-CSRF-Token`, must hold a token of this session (`csrf_token()` in the template).
    Otherwise the response is 403 `csrf_failed`. GET, HEAD and OPTIONS pass, so that one view can show the form and take it."""

    def check() -> None:
        if request.method in {"GET", "HEAD", "OPTIONS", "TRACE"}:
            return
        token = request.headers.get(HEADER)
        if token is None:
            sent = request.form.getlist(FIELD)
            token = sent[0] if len(sent) == 1 else None
        current_session().check_csrf_token(token)

    return _checked(view, check)


def _checked(view: Callable[P, R], check: Callable[[], object]) -> Callable[P, R]:
    """The view behind the check; an `async def` view is run as Flask runs them."""

    @wraps(view)
    def checked(*args: P.args, **named: P.kwargs) -> R:
        check()
        return cast("R", current_app.ensure_sync(view)(*args, **named))

    return checked
