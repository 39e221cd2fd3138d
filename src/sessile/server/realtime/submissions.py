"""The way of changes from one socket into the store: in order, without waiting for each other, answered in order after the commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from sessile.model.document import Outcome, Submission
from sessile.model.errors import IdentityReused, SequenceGap, SessileError, StoreUnavailable
from sessile.server.realtime import messages
from sessile.server.realtime.codes import NackReason
from sessile.server.realtime.outbox import Outbox

if TYPE_CHECKING:
    from sessile.server.realtime.hub import Hub

IN_FLIGHT_MAX: Final = 64
"""Frames submitted and not yet answered. When reached, the socket is not read: the peer's TCP window fills."""


Watch = Callable[[Coroutine[Any, Any, None]], object]
"""Runs something for as long as the socket lives."""


class Submissions:
    """A submission that has begun is finished even when its socket is gone: what was sent may have been committed. A socket that only reads
    has no task for it."""

    def __init__(self, hub: Hub, outbox: Outbox) -> None:
        self._hub = hub
        self._outbox = outbox
        self._watch: Watch | None = None
        self._queue: deque[tuple[Submission, asyncio.Task[Outcome]]] | None = None
        """Not yet answered, in order; None until there is a first one."""
        self._changed: asyncio.Future[None] | None = None
        """Done when something came or was answered."""

    def start(self, watch: Watch) -> None:
        """From now on there may be submissions; `watch` runs the one that answers them."""
        self._watch = watch

    async def submit(self, submission: Submission) -> None:
        """Returns when it is on its way, not when it is committed."""
        if self._queue is None:
            assert self._watch is not None, "the socket is welcome"
            self._queue = deque()
            self._watch(self._run(self._queue))
        while len(self._queue) >= IN_FLIGHT_MAX:
            await self._change()
        self._queue.append((submission, self._hub.submit(submission)))
        self._tell()

    async def idle(self) -> None:
        """Returns when everything submitted so far has been answered."""
        while self._queue:
            await self._change()

    async def _run(self, queue: deque[tuple[Submission, asyncio.Task[Outcome]]]) -> None:
        """Answers, for as long as the socket lives. Raises what nobody expected of the store."""
        while True:
            while not queue:
                await self._change()
            submission, task = queue[0]
            await asyncio.wait({task})  # not `await task`: the end of the socket must not cancel a commit
            for text in _answers(submission, task):
                await self._outbox.put(text)
            queue.popleft()
            self._tell()

    async def _change(self) -> None:
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)  # several may wait for it

    def _tell(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


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
