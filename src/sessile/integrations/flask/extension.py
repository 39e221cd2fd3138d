"""`Sessile(app)`: sessions, documents, the API and the browser client for a Flask application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, current_app, has_app_context

from sessile.integrations.flask import commands, flask_login, templates
from sessile.integrations.flask.application import EXTENSION, ApplicationSessions, sessions_of
from sessile.integrations.flask.interface import SessileSessionInterface
from sessile.model.errors import ConfigurationError
from sessile.runtime.blocking import SessionManager
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.settings import Settings
from sessile.server.wsgi import WsgiFront


class Sessile:
    """Builds the manager from settings and owns its life; or uses one that is given, which its maker closes. `Sessile(app)`, or `Sessile()` and later
    `init_app(app)`, also for several applications. `settings` are those of `sessile.Settings`; app.config["SESSILE_..."], the environment and Flask's own
    `SESSION_...` are read at the first request. Raises ConfigurationError.

    The paths of the service (`/api/session_state`, `/api/v0/`, `/sessile.js`, `/ws`) are answered before the application's own routes and hooks, but behind its
    WSGI middleware (ProxyFix).
    """

    def __init__(
        self,
        app: Flask | None = None,
        manager: SessionManager | None = None,
        *,
        kinds: Sequence[DocumentKind] = (),
        **settings: Any,
    ) -> None:
        if settings:
            Settings(**settings)  # what cannot be is told here, and not at the first request
        self._interface = SessileSessionInterface(manager, kinds=kinds, **settings)
        self._app: Flask | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Installs sessions, API, template function and commands in an application. Raises ConfigurationError when it has them already."""
        if EXTENSION in app.extensions:
            raise ConfigurationError("Sessile(app) was called for this application before")
        self._app = app
        app.session_interface = self._interface
        sessions = self._interface.attach(app)
        _put_innermost(app, sessions)
        templates.install(app)
        commands.install(app)
        flask_login.install(app)

    @property
    def manager(self) -> SessionManager:
        """The facade for everything else: of the current application, or of the one that was set up last. Raises ConfigurationError before `init_app`."""
        return self._sessions.manager

    @property
    def settings(self) -> Settings:
        """What holds."""
        return self.manager.settings

    def close(self) -> None:
        """Ends the threads and lets go of the store: for tests. The next request begins anew."""
        self._sessions.close()

    @property
    def _sessions(self) -> ApplicationSessions:
        app = self._app
        if has_app_context() and current_app.session_interface is self._interface:
            app = current_app
        if app is None:
            raise ConfigurationError("Call init_app(app) first")
        return sessions_of(app)


def _put_innermost(app: Flask, sessions: ApplicationSessions) -> None:
    """Behind WSGI middleware that is there already, as far as it can be looked through: it sees what the application sees, ProxyFix above all."""
    front: Callable[[Any], WsgiFront] = lambda inner: WsgiFront(inner, lambda: sessions.service)  # noqa: E731
    outer: Any = None
    inner: Any = app.wsgi_app
    while callable(getattr(inner, "app", None)):
        outer, inner = inner, inner.app
    if outer is None:
        app.wsgi_app = front(inner)  # type: ignore[method-assign]
    else:
        outer.app = front(inner)
