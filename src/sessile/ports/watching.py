"""Who wants to know of each statement that a transaction sends. Nobody, nearly always."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

StatementWatch = Callable[[str, float], None]
"""Told of a statement's text, without its values, and how many seconds it took."""

WATCH: Final[ContextVar[StatementWatch | None]] = ContextVar("sessile_watch", default=None)
"""Set around the work of a transaction that is watched."""
