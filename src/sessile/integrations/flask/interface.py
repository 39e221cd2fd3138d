"""Flask's session interface: when a session is made, when it is committed, and what the response then says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from flask import Flask, Request, Response, has_request_context
from flask import request as request_under_way
from flask.sessions import SessionInterface, SessionMixin

from sessile.integrations.flask import problems
from sessile.integrations.flask.application import EXTENSION, ApplicationSessions, Given
from sessile.integrations.flask.session import FlaskSession
from sessile.model.errors import ConfigurationError, SessileError
from sessile.runtime.blocking import SessionManager
from sessile.runtime.kinds import DocumentKind
from sessile.web import trace
from sessile.web.platforms import HEADER
from sessile.web.private import vary_on_cookie
from sessile.web.problems import NO_STORE


class SessileSessionInterface(SessionInterface):
    """Sessions alone: `app.session_interface = SessileSessionInterface()`, where `Sessile(app)` would also serve the API. Settings are arguments,
    `app.config["SESSILE_..."]`, the environment, or Flask's own `SESSION_...`; or a manager is given, which its maker closes."""

    def __init__(
        self,
        manager: SessionManager | None = None,
        *,
        kinds: Sequence[DocumentKind] = (),
        **settings: Any,
    ) -> None:
        self._given = Given(manager, kinds, settings)

    def attach(self, app: Flask) -> ApplicationSessions:
        """What this interface is for one application: made at its first request, or by `Sessile(app)`."""
        found = app.extensions.get(EXTENSION)
        if not isinstance(found, ApplicationSessions):
            found = app.extensions[EXTENSION] = ApplicationSessions(app, self._given)
            problems.install(app)
        return found

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """Asks nobody: the session is looked up at its first use."""
        sessions = app.extensions.get(EXTENSION) or self.attach(app)
        return FlaskSession(sessions, request.environ)

    def is_null_session(self, obj: object) -> bool:
        """Never: there is a session in each request, which costs nothing until it is used."""
        return False

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Commits, before the first byte of the response. Raises what the commit raises, which becomes the response (`problems`)."""
        # It is the one that open_session made; asking it, as an abstract class does, costs as much as what follows.
        session = cast("FlaskSession", session)
        if session.is_untouched:
            session.start()
            return
        try:
            if session.wants_permanence and not _is_static():
                session.settle_permanence()
            session.commit()
            if session.accessed:
                session.count_activity()
                _say(session, response)
        except SessileError:
            session.discard()
            response.close()  # another one takes its place
            raise
        if session.is_traced:
            refused = session.refused
            trace.done(session.scope, session, status=None if refused else response.status_code, error=refused)
        if response.is_streamed and session.has_levels:
            response.call_on_close(session.tell_of_late_changes)
        session.start()

    def regenerate(self, session: SessionMixin) -> None:
        """Flask-Session's name for `session.rotate()`: a new token, the same session."""
        assert isinstance(session, FlaskSession), "it is the one that open_session made"
        session.rotate()

    def get_cookie_name(self, app: Flask) -> str:
        """As the request under way has it; outside of one, as the first request for this machine would."""
        sessions = cast("ApplicationSessions", app.extensions.get(EXTENSION) or self.attach(app))
        scheme, host = (
            (request_under_way.scheme, request_under_way.host) if has_request_context() else ("http", "localhost")
        )
        try:
            return sessions.cookies.name_for(scheme, host)
        except ConfigurationError:
            return sessions.cookies.name_for("https", host)


def _is_static() -> bool:
    """Whether the request is for a file of the application or of a blueprint: `session.permanent = True` before every request is said there, too."""
    endpoint = request_under_way.endpoint if has_request_context() else None
    return endpoint is not None and (endpoint == "static" or endpoint.endswith(".static"))


def _say(session: FlaskSession, response: Response) -> None:
    """The response depends on the session: caches learn it, and the browser gets what is new."""
    headers = response.headers
    names = [name.lower() for name, _ in headers]
    if "vary" in names:
        headers["Vary"] = vary_on_cookie(headers.getlist("Vary"))
    else:
        headers.add("Vary", "Cookie")
    if "cache-control" in names:
        headers["Cache-Control"] = NO_STORE
    else:
        headers.add("Cache-Control", NO_STORE)
    if not session.adds_headers:
        return
    cookie = session.cookie_header()
    if cookie is not None:
        headers.add("Set-Cookie", cookie.decode("ascii"))
        for name, value in session.forgetting:
            headers.add(name.decode("ascii").title(), value.decode("ascii"))
    for name, value in session.log_out_headers():
        headers[name.decode("ascii")] = value.decode("ascii")
    platform = session.platform_header()
    if platform is not None:
        headers[HEADER] = platform.decode("ascii")
