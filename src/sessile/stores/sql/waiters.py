"""How many wait for a connection of a pool: the pool itself does not say."""

from __future__ import annotations

import threading

from sqlalchemy import Engine
from sqlalchemy.engine import Connection


class Waiters:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.number = 0

    def connect(self, engine: Engine) -> Connection:
        """`engine.connect()`, counted until the pool gives one. Raises what that raises."""
        with self._lock:
            self.number += 1
        try:
            return engine.connect()
        finally:
            with self._lock:
                self.number -= 1
