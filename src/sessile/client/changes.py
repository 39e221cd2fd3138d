"""A change on its way: stored when it is handed out, `durable` when the server has committed it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from sessile.client.records import Answer
from sessile.model.errors import SessileError, rejection


class Change:
    """One atomic change. `seq` is its number among the changes of `device_id` in this document; both are given anew when the device had
    to take a new identity."""

    def __init__(self) -> None:
        self.device_id = ""
        self.seq = 0
        self._outcome: asyncio.Future[Answer | SessileError] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"Change(seq={self.seq}, answer={self.answer})"

    @property
    def durable(self) -> Durable:
        """Await it to know that the server has committed the change."""
        return Durable(self)

    @property
    def answer(self) -> Answer | None:
        """The server's answer, None while there is none."""
        outcome = self._outcome.result() if self._outcome.done() else None
        return outcome if isinstance(outcome, Answer) else None

    def numbered(self, device_id: str, seq: int) -> None:
        self.device_id, self.seq = device_id, seq

    def end(self, outcome: Answer | SessileError) -> None:
        """Called once, by the document."""
        self._outcome.set_result(outcome)

    async def ended(self) -> Answer | SessileError:
        """What `end` was called with."""
        return await asyncio.shield(self._outcome)


class Durable:
    """Awaited: the server's answer, once it is committed and `confirmed` shows it. Raises ChangeRejected for the verdicts `rejected`
    and `conflict`, and what ended the client's life with the server (SessionEnded, ClientClosed, ...): then the change stays in the
    outbox. May be awaited any number of times, or never."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def __await__(self) -> Generator[Any, None, Answer]:
        return self._wait().__await__()

    async def _wait(self) -> Answer:
        outcome = await self._change.ended()
        if isinstance(outcome, SessileError):
            raise outcome
        if outcome.is_refused:
            raise rejection(str(outcome.verdict), dict(outcome.detail))
        return outcome
