"""A connection of psycopg that does not wait for ever: a network can die without a word, and the server's own timeouts are not heard then."""

from __future__ import annotations

import time
from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.waiting import Ready

ANSWER_TIMEOUT_S: Final = 15.0
"""Longer than any statement may take on the server; the same as in the asyncio lane."""
_INTERVAL_S: Final = 0.1


class PatientConnection(psycopg.Connection[Any]):
    """Raises OperationalError, and is closed, when an answer takes longer than `ANSWER_TIMEOUT_S`."""

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL_S, *args: Any, **options: Any) -> RV:
        return super().wait(_bounded(self, gen, time.monotonic() + ANSWER_TIMEOUT_S), interval, *args, **options)


def _bounded(connection: PatientConnection, gen: PQGen[RV], deadline: float) -> PQGen[RV]:
    """psycopg looks up after each interval in which nothing came."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready == Ready.NONE and time.monotonic() > deadline:
                connection.close()
                raise psycopg.OperationalError("the server did not answer in time")
            wanted = gen.send(ready)
    except StopIteration as done:
        result: RV = done.value
        return result
