"""What a web framework needs of a blocking manager, beside the verbs that it shares with its asyncio twin."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from sessile.engine.sessions import SessionEngine
from sessile.model.session import Session
from sessile.ports import Store
from sessile.runtime.blocking_background import BlockingBackground
from sessile.runtime.lane import drive


def _touch(sessions: SessionEngine, session: Session) -> None:
    touched = sessions.touched(session)
    if touched is not None:
        drive(sessions.touch([touched]))


class Serving:
    """Of one process: a child process has another."""

    def __init__(self, store: Store, sessions: SessionEngine, background: BlockingBackground) -> None:
        self._store = store
        self.authenticate: Callable[[str], Coroutine[Any, Any, Session]] = sessions.authenticate
        """The manager's verb as a coroutine that never waits, for what is written once for both lanes."""
        self.touch = partial(_touch, sessions)
        """Notes activity of the user, which moves the idle deadline; costs nothing when it is not due. Raises StoreUnavailable."""
        self.background = background
        self.has_begun = False

    def begin(self, *, with_background: bool = True) -> None:
        """From now on a thread of this process sweeps, takes checkpoints and forgets what is too old, when it is this process's turn. Without
        `with_background` somebody else does. Again is no harm; the manager's `close` ends it, and a child process begins anew."""
        if with_background:
            self.background.start()
        self.has_begun = True

    def end(self) -> None:
        """Ends the thread after the round under way."""
        self.background.stop()
        self.has_begun = False

    def store_beside(self) -> Store | None:
        """For an asyncio manager in this process: another store on the same rows, where they are in this process's memory and no URL leads to them."""
        beside: Callable[[], Store] | None = getattr(self._store, "beside", None)
        return beside() if beside is not None else None
