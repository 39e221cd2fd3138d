"""What the server answers to changes, from the encoders of the real one; and an answer that it must never give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sessile.model.document import Outcome, Submission
from sessile.server.realtime import messages
from sessile.server.realtime.submissions import refusal_body
from tests.model_sync.backend import Backend
from tests.model_sync.device import Frame


def answers_of(submission: Submission, outcome: Outcome) -> Iterator[Frame]:
    if outcome.logged:
        yield messages.ack_body(outcome)
    if outcome.error is not None:
        body = refusal_body(outcome, (submission.changes[0].seq or 1) + len(outcome.logged))
        assert body is not None, f"unexpected {outcome.error!r}"
        yield body


def premature_ack(backend: Backend, changes: Sequence[Any]) -> Frame:
    version = backend.head[1]
    verdicts = [
        {"seq": change.seq, "version": version + at, "verdict": "applied"} for at, change in enumerate(changes, 1)
    ]
    return {"type": "ack", "document_id": backend.document_id, "seq": changes[-1].seq, "verdicts": verdicts}
