"""Between an application and the program that hosts it (`sessile serve --wsgi`, `--asgi`): the application says how its sessions are kept, and learns that the
service runs beside it in this process, with the background work."""

from __future__ import annotations

import weakref
from typing import Any, Final, Protocol

from sessile.runtime.manager import AsyncSessionManager


class Host(Protocol):
    """What an integration offers."""

    @property
    def cookies(self) -> Any:
        """The cookie's rules (`sessile.web.cookies.CookiePolicy`) of the application."""
        ...

    def loop_manager(self) -> AsyncSessionManager:
        """A manager on the application's store, for an event loop in this process. Who asks for it opens and closes it. Raises ConfigurationError."""
        ...


class _State:
    is_hosted = False


_OFFERED: Final[list[weakref.ref[Host]]] = []


def offer(sessions: Host) -> None:
    """Called by an integration when it is set up in an application."""
    _OFFERED.append(weakref.ref(sessions))


def offered() -> list[Host]:
    """What the applications of this process have offered and still hold."""
    return [sessions for one in _OFFERED if (sessions := one()) is not None]


def host() -> None:
    """From now on the service runs in this process, with the background work: the applications leave it alone."""
    _State.is_hosted = True


def is_hosted() -> bool:
    return _State.is_hosted
