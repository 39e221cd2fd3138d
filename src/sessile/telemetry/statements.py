"""Statements that go through SQLAlchemy, told to whoever watches. The listeners are there only while somebody does."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Final

from sessile.ports.watching import WATCH

_lock: Final = threading.Lock()
_watchers = 0


def start_listening() -> None:
    """One more who watches. Without SQLAlchemy in this process there is nothing to hear."""
    global _watchers  # noqa: PLW0603 - the listeners are SQLAlchemy's own for the whole process
    with _lock:
        _watchers += 1
        if _watchers == 1 and "sqlalchemy.engine" in sys.modules:
            from sqlalchemy import Engine, event

            event.listen(Engine, "before_cursor_execute", _before)
            event.listen(Engine, "after_cursor_execute", _after)


def stop_listening() -> None:
    """One less; after the last one nothing of it is left."""
    global _watchers  # noqa: PLW0603 - see above
    with _lock:
        _watchers -= 1
        if _watchers == 0 and "sqlalchemy.engine" in sys.modules:
            from sqlalchemy import Engine, event

            if event.contains(Engine, "before_cursor_execute", _before):
                event.remove(Engine, "before_cursor_execute", _before)
                event.remove(Engine, "after_cursor_execute", _after)


def _before(_connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, _many: bool) -> None:
    if context is not None and WATCH.get() is not None:
        context.sessile_began = time.perf_counter()


def _after(_connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:
    watch = WATCH.get()
    began = getattr(context, "sessile_began", None)
    if watch is not None and began is not None:
        watch(statement, time.perf_counter() - began)
