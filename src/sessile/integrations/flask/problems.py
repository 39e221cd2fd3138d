"""Errors of ours that a view raises become problem responses (RFC 9457), whatever the application does with other errors.

A handler for `Exception`, or for status 500, is there in many applications and would turn "the store is away" into a page of its own, or into a redirect to
the log-in. So ours are answered before Flask looks for a handler, except where the application registered one for an error of ours on purpose.

What a view changed in the session before it raised is not saved. What an error handler then writes (a flashed message) is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from flask import Flask, Response, request
from flask.ctx import RequestContext
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException

from sessile.integrations.flask.session import FlaskSession
from sessile.model.errors import SessileError
from sessile.web.problems import MEDIA_TYPE, log_fault, problem_body, problem_headers

_INSTALLED: Final = "sessile_problems"


def problem_response(app: Flask, error: SessileError) -> Response:
    """The whole answer, without what the session adds to it."""
    log_fault(error)
    response = app.response_class(
        msgspec.json.encode(problem_body(error)), status=error.http_status, content_type=MEDIA_TYPE
    )
    response.headers.update(problem_headers(error))
    return response


def install(app: Flask) -> None:
    """Puts us before the application's error handlers; once."""
    if _INSTALLED in app.extensions:
        return
    app.extensions[_INSTALLED] = True
    _handle_first(app)
    _answer_last(app)


def _handle_first(app: Flask) -> None:
    """What a view, or a function before the request, raises."""
    others: Callable[[Exception], Any] = app.handle_user_exception

    def handle_user_exception(error: Exception) -> Any:
        if not isinstance(error, HTTPException):  # that one is a response in another form: abort(404), a redirect
            _discard(error)
        if isinstance(error, SessileError) and not _is_expected(app, error):
            return problem_response(app, error)
        return others(error)

    app.handle_user_exception = handle_user_exception  # type: ignore[method-assign, assignment]


def _answer_last(app: Flask) -> None:
    """What comes after that: the commit, functions after the request, and what no handler took."""
    others = app.handle_exception

    def handle_exception(error: Exception) -> Response:
        _discard(error)
        if isinstance(error, SessileError):
            return app.finalize_request(problem_response(app, error), from_error_handler=True)
        return others(error)

    app.handle_exception = handle_exception  # type: ignore[method-assign, assignment]


def _is_expected(app: Flask, error: SessileError) -> bool:
    """Whether the application has a handler for this error or for a family of ours that it belongs to."""
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, SessileError)]
    places = (app.error_handler_spec.get(name, {}).get(None, {}) for name in (*request.blueprints, None))
    return any(kind in handlers for handlers in places for kind in kinds)


def _discard(error: Exception) -> None:
    session = _session()
    if session is not None:
        session.discard()
        session.refused = error if isinstance(error, SessileError) else None


def _session() -> FlaskSession | None:
    context: RequestContext = request_ctx
    session = context._session
    return session if isinstance(session, FlaskSession) else None
