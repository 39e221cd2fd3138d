"""What the tests of this folder share: an application in process, on a store that can be watched and switched off and a clock that is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask

from sessile.integrations.flask import Sessile
from sessile.model.session import Session
from sessile.ports import Store
from sessile.runtime.assemble import make_store
from sessile.runtime.blocking import SessionManager
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.settings import Settings
from sessile.stores.memory import MemoryStore
from tests.integration.fastapi.site import BACKGROUND, SetClock, WatchedStore

STATIC = Path(__file__).parent / "static"


class Watched(WatchedStore):
    """Also in memory, where the service needs a store of its own on the same tables."""

    def beside(self) -> Store | None:
        return self._inner.beside() if isinstance(self._inner, MemoryStore) else None


@dataclass
class Site:
    app: Flask
    sessile: Sessile
    manager: SessionManager
    store: WatchedStore
    clock: SetClock
    kinds: list[DocumentKind] = field(default_factory=list)

    def client(self, *, cookies: bool = True) -> Any:
        """A browser of its own: a FlaskClient, whose answers are known to be there."""
        return self.app.test_client(use_cookies=cookies)

    def forget(self) -> None:
        self.store.reads.clear()
        self.store.writes.clear()

    @property
    def writes(self) -> list[str]:
        """What was written on behalf of requests."""
        return [name for name in self.store.writes if name not in BACKGROUND]

    @property
    def trips(self) -> list[str]:
        """Every question to the store on behalf of requests."""
        return [*self.store.reads, *self.writes]

    def sessions(self, user_id: str) -> list[Session]:
        return self.manager.list_sessions(user_id)


@contextmanager
def site(database_url: str = "memory://", *, config: dict[str, Any] | None = None, **settings: Any) -> Iterator[Site]:
    """An application with Sessile, without routes of its own."""
    made = Settings(database_url=database_url, **settings)
    store, clock = Watched(make_store(made, blocking=True)), SetClock()
    manager = SessionManager(made, store=store, clock=clock)
    app = Flask("site", static_folder=str(STATIC))
    app.config.update(config or {})
    sessile = Sessile(app, manager)
    try:
        yield Site(app, sessile, manager, store, clock)
    finally:
        sessile.close()
        manager.close()


def token_of(client: Any) -> str:
    """The token in the browser's one session cookie."""
    token: str
    (token,) = [cookie.value for cookie in client._cookies.values() if cookie.key.endswith("sessile")]
    return token


def set_cookies(response: Any) -> list[str]:
    found: list[str] = response.headers.getlist("Set-Cookie")
    return found
