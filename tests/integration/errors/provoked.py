"""The table of provocations: for each error class the smallest thing that really leads to it. Nobody raises one of them by hand here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from sessile import Actor, SessionManager, Settings
from sessile.model.errors import SessileError
from sessile.testing import FakeClock

SECRET: Final = "what-nobody-may-read"
ADA: Final = Actor(user_id="ada", device_id="01900000-0000-7000-8000-00000000000a")
NOBODY: Final = "01900000-0000-7000-8000-0000000000ff"


@dataclass
class Stage:
    """What a provocation may use. Secrets that it comes by are remembered, so that they can be looked for in what it was told."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    secrets: list[str] = field(default_factory=lambda: [SECRET])
    _managers: list[SessionManager] = field(default_factory=list)

    def manager(self, url: str = "memory://", *, kinds: Any = (), **settings: Any) -> SessionManager:
        """An open facade of the blocking lane."""
        made = SessionManager(Settings(database_url=url, **settings), clock=self.clock, kinds=kinds)
        made.open()
        self._managers.append(made)
        return made

    def keep(self, token: str) -> str:
        """The token, whose secret half must not show up."""
        self.secrets.append(token.partition(".")[2])
        return token

    def close(self) -> None:
        while self._managers:
            self._managers.pop().close()


Told = SessileError | httpx.Response | dict[str, Any] | None
"""An error that was handed out, an answer over HTTP, an error frame; None where it was raised."""
Provocation = Callable[[Stage], Awaitable[Told]]
PROVOCATIONS: Final[dict[type[SessileError], Provocation]] = {}
P = TypeVar("P", bound=Provocation)


def provokes(kind: type[SessileError]) -> Callable[[P], P]:
    """Puts a function into the table. It raises the error, or returns what a caller from outside is told instead."""

    def note(provocation: P) -> P:
        assert kind not in PROVOCATIONS, f"{kind.__name__} is provoked twice"
        PROVOCATIONS[kind] = provocation
        return provocation

    return note
