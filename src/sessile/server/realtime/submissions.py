"""The way of changes from one socket into the store: in order, without waiting for each other, answered in order after the commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sessile.model.document import Outcome, Submission
from sessile.model.errors import IdentityReused, SequenceGap, SessileError, StoreUnavailable
from sessile.server.realtime import messages
from sessile.server.realtime.codes import NackReason
from sessile.server.realtime.outbox import Outbox

if TYPE_CHECKING:
    from sessile.server.realtime.hub import Hub

IN_FLIGHT_MAX: Final = 64
"""Frames submitted and not yet answered. When reached, the socket is not read: the peer's TCP window fills."""


class Submissions:
    """A submission that has begun is finished even when its socket is gone: what was sent may have been committed."""

    def __init__(self, hub: Hub, outbox: Outbox) -> None:
        self._hub = hub
        self._outbox = outbox
        self._slots = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._queue: asyncio.Queue[tuple[Submission, asyncio.Task[Outcome]]] = asyncio.Queue()
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def submit(self, submission: Submission) -> None:
        """Returns when it is on its way, not when it is committed."""
        await self._slots.acquire()
        self._pending += 1
        self._idle.clear()
        task = self._hub.submit(submission)
        self._queue.put_nowait((submission, task))

    async def idle(self) -> None:
        """Returns when everything submitted so far has been answered."""
        await self._idle.wait()

    async def run(self) -> None:
        """Answers, for as long as the socket lives. Raises what nobody expected of the store."""
        while True:
            submission, task = await self._queue.get()
            await asyncio.wait({task})  # not `await task`: the end of the socket must not cancel a commit
            for text in _answers(submission, task):
                await self._outbox.put(text)
            self._slots.release()
            self._pending -= 1
            if not self._pending:
                self._idle.set()


def _answers(submission: Submission, task: asyncio.Task[Outcome]) -> list[str]:
    document_id, expected = submission.document_id, submission.changes[0].seq or 1
    try:
        outcome = task.result()
    except StoreUnavailable:
        return [messages.encode(_unavailable(document_id, expected))]
    except SessileError as error:
        return [messages.error(error, document_id)]
    answers = [messages.encode(messages.ack_body(outcome))] if outcome.logged else []
    if outcome.error is not None:
        refused = refusal_body(outcome, expected + len(outcome.logged))
        answers.append(
            messages.encode(refused) if refused is not None else messages.error(_known(outcome.error), document_id)
        )
    return answers


def refusal_body(outcome: Outcome, expected_seq: int) -> dict[str, object] | None:
    """The nack for what an outcome left without a verdict, or None when its error is not one that a nack can say."""
    error = outcome.error
    if isinstance(error, SequenceGap):
        return messages.nack_body(outcome.document_id, error.expected_seq, NackReason.GAP)
    if isinstance(error, IdentityReused):
        return messages.nack_body(outcome.document_id, error.expected_seq, NackReason.IDENTITY_REUSED)
    if isinstance(error, StoreUnavailable):
        return _unavailable(outcome.document_id, expected_seq)
    return None


def _unavailable(document_id: str, expected_seq: int) -> dict[str, object]:
    return messages.nack_body(document_id, expected_seq, NackReason.UNAVAILABLE, retry_after_ms=messages.RETRY_AFTER_MS)


def _known(error: Exception) -> SessileError:
    """Anything but our own errors is a fault and must surface as one."""
    if isinstance(error, SessileError):
        return error
    raise error
