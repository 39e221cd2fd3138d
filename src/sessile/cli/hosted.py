"""`sessile serve --wsgi module:app` and `--asgi module:app`: which application is meant, and the service beside it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sessile.model.errors import ConfigurationError
from sessile.runtime import hosting
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import create_app
from sessile.server.hosting import Hosted
from sessile.server.wsgi_host import WsgiHost
from sessile.web.asgi import App


@dataclass(frozen=True, slots=True)
class Site:
    """What the server runs, and what it should know."""

    app: App
    drain: Callable[[], Awaitable[None]]
    settings: Settings
    reload: Callable[[], Awaitable[Any]] | None = None
    """Reads the settings again; None where the application has a manager of its own kind."""


def host_wsgi(name: str, *, threads: int) -> Site:
    """The WSGI application `module:app` in threads, with the service before it. Raises ConfigurationError."""
    hosting.host()
    bridge = WsgiHost(load_application(name), threads=threads)
    return _beside(bridge, has_lifespan=False, at_end=bridge.close)


def host_asgi(name: str) -> Site:
    """The ASGI application `module:app`. One that has the service already (`Sessile(app)` of FastAPI and Starlette, `with_service` of Django) is run as it is.
    Raises ConfigurationError."""
    hosting.host()
    application = _with_django(load_application(name))
    own = getattr(getattr(application, "state", None), "sessile", None) or application
    drain = getattr(own, "drain", None)
    if callable(drain):
        manager = getattr(own, "manager", None)
        if isinstance(manager, AsyncSessionManager):
            return Site(application, drain, manager.settings, manager.configuration.reload)
        return Site(application, drain, manager.settings if manager is not None else Settings())
    return _beside(application, has_lifespan=True, at_end=lambda: None)


def _beside(application: App, *, has_lifespan: bool, at_end: Callable[[], None]) -> Site:
    offered = hosting.offered()
    if len(offered) > 1:
        raise ConfigurationError(
            "Several applications with sessions were loaded, and only one can be served: name the module of that one"
        )
    manager = offered[0].loop_manager() if offered else AsyncSessionManager(Settings())
    service = create_app(manager, standalone=True, cookies=offered[0].cookies if offered else None)
    hosted = Hosted(service, application, has_lifespan=has_lifespan, at_end=at_end)
    return Site(hosted, hosted.drain, manager.settings, manager.configuration.reload)


def _with_django(application: Any) -> Any:
    """Django's own application gets the service from our integration, which knows Django's rules for hosts and cookies."""
    if type(application).__module__.partition(".")[0] == "django":
        with suppress(ImportError):
            return importlib.import_module("sessile.integrations.django.asgi").with_service(application)
    return application


def load_application(name: str) -> Any:
    """`module:attribute`, looked for from the current folder on. Raises ConfigurationError; what the module itself raises goes on."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"{name}: write module:app, the module and the name of the application in it")
    if os.getcwd() not in sys.path:  # noqa: PTH109 - entries of sys.path are strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(f"{name}: there is no module {error.name} here") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise ConfigurationError(f"{name}: the module {module_name} has nothing of the name {attribute}")
    if not callable(found):
        raise ConfigurationError(f"{name}: this is no application, it cannot be called")
    return found
