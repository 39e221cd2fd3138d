"""What one Flask application has of Sessile: settings, manager, cookie and origin rules, and the service on its thread. Made when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from flask import Flask, current_app

from sessile.integrations.flask.configuration import settings_of
from sessile.model.errors import ConfigurationError
from sessile.runtime import hosting
from sessile.runtime.blocking import SessionManager
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.threaded import ServiceThread
from sessile.web.blocking_session import finished
from sessile.web.cookies import CookiePolicy
from sessile.web.origins import OriginPolicy

EXTENSION: Final = "sessile"


@dataclass(frozen=True, slots=True)
class Given:
    """What the application's code said: a manager, or what to make one from."""

    manager: SessionManager | None
    kinds: Sequence[DocumentKind]
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.manager is not None and (self.settings or self.kinds):
            raise ConfigurationError(
                "A manager was given: it has its settings and kinds already; leave them out beside it"
            )


class ApplicationSessions:
    """In `app.extensions["sessile"]`. Configuration that the application loads after `Sessile(app)` still counts, up to the first request. A child process
    that was forked off goes on with it: connections and threads begin there anew."""

    def __init__(self, app: Flask, given: Given) -> None:
        self._app = app
        self._given = given
        self._lock = threading.RLock()
        hosting.offer(self)

    @cached_property
    def manager(self) -> SessionManager:
        """The facade for everything that is not about the request under way. Opened at the first use of a session; a script opens it. Raises
        ConfigurationError."""
        with self._lock:
            made = self.__dict__.get("manager")  # another thread may have been first
            if made is None:
                given = self._given
                made = given.manager or SessionManager(settings_of(self._app, given.settings), kinds=given.kinds)
            self.__dict__["manager"] = made
            return made

    @cached_property
    def finished(self) -> AsyncSessionManager:
        """The same, for what is written once for both lanes."""
        return finished(self.manager)

    @cached_property
    def cookies(self) -> CookiePolicy:
        return CookiePolicy(self.manager.settings)

    @cached_property
    def origins(self) -> OriginPolicy:
        return OriginPolicy(self.manager.settings)

    @cached_property
    def service(self) -> ServiceThread:
        """The API. Its thread starts with the first request for it."""
        with self._lock:
            made: ServiceThread = self.__dict__.get("service") or ServiceThread(self.loop_manager)
            self.__dict__["service"] = made
            return made

    def loop_manager(self) -> AsyncSessionManager:
        """Another manager on the same store, for an event loop in this process. Who asks for it opens and closes it."""
        manager = self.manager
        return AsyncSessionManager(
            manager.settings, store=manager.serving.store_beside(), clock=manager.clock, kinds=self._given.kinds
        )

    def begin_serving(self) -> None:
        """A request is about to use the store. Again is no harm and costs little. Raises StoreUnavailable, ConfigurationError."""
        self.manager.serving.begin(with_background=not hosting.is_hosted())  # hosted, the service beside us does it

    def close(self) -> None:
        """Ends the threads and lets go of the store, unless the manager was given. The next request begins anew."""
        service = self.__dict__.get("service")
        if service is not None:
            service.close()
        if self._given.manager is None and "manager" in self.__dict__:
            self.manager.close()


def sessions_of(app: Flask | None = None) -> ApplicationSessions:
    """Of that application, or of the current one. Raises ConfigurationError when it has none."""
    found = (app or current_app).extensions.get(EXTENSION)
    if not isinstance(found, ApplicationSessions):
        raise ConfigurationError("This application has no sessions yet: call Sessile(app) once, where the app is made")
    return found
