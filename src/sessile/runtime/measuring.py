"""Where a manager's work is measured: sessions found and changed, changes of documents, sweeps, and what the database answers for the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from time import perf_counter
from typing import Any

from sessile.engine.changes import ChangeEngine
from sessile.engine.logins import SessionRules
from sessile.engine.sessions import SessionEngine
from sessile.model.document import Actor, LoggedChange, Operation, Outcome, Submission
from sessile.model.errors import ChangeRejected, SessionEnded, SessionExpired, SessionNotFound, StoreUnavailable
from sessile.model.session import Issued, Session
from sessile.ports import Clock, Random, SessionReader, Store
from sessile.telemetry.hub import Counters, Outcomes, Telemetry
from sessile.telemetry.metrics import Histogram
from sessile.telemetry.store import write_outcome
from sessile.telemetry.traces import Span, shortened


class MeasuredSessions(SessionEngine):
    """The same answers, and how long they took."""

    def __init__(
        self,
        telemetry: Telemetry,
        store: Store,
        clock: Clock,
        random: Random,
        rules: SessionRules,
        reader: SessionReader | None,
    ) -> None:
        super().__init__(store, clock, random, rules, reader)
        self._traces = telemetry.traces
        self._reads = Outcomes.of(telemetry.metrics, "sessile_session_read_seconds").by_outcome
        self._found = self._reads["live"].observe
        self._begun = Counters.of(telemetry.metrics, "sessile_sessions_begun_total").by_value

    async def authenticate(self, token: str) -> Session:
        began = perf_counter()
        try:
            if self._traces.is_on:
                session = await self._traced(token)
            else:
                session = await SessionEngine.authenticate(self, token)
        except Exception as error:
            self._reads[_read_outcome(error)].observe(perf_counter() - began)
            raise
        self._found(perf_counter() - began)
        return session

    async def _traced(self, token: str) -> Session:
        with self._traces.span("sessile.session.load") as span:
            assert span is not None
            try:
                session = await SessionEngine.authenticate(self, token)
            except Exception as error:
                span.set("sessile.outcome", _read_outcome(error))
                raise
            span.set("sessile.outcome", "live")
            span.set("session.id", shortened(session.session_id))
            return session

    async def create(self, *args: Any, **options: Any) -> Issued:
        issued = await super().create(*args, **options)
        self._begun["created"].add()
        return issued

    async def login(self, *args: Any, **options: Any) -> Issued:
        issued = await super().login(*args, **options)
        self._begun["login"].add()
        return issued

    async def sweep(self, batch: int) -> int:
        with self._traces.span("sessile.sweep") as span:
            ended = await super().sweep(batch)
            if span is not None:
                span.set("sessile.sessions.ended", ended)
            return ended


def _read_outcome(error: Exception) -> str:
    match error:
        case SessionNotFound():
            return "unknown"
        case SessionExpired():
            return "expired"
        case SessionEnded():
            return "ended"
        case StoreUnavailable():
            return "unavailable"
        case _:
            return "failed"


class MeasuredChanges(ChangeEngine):
    """Changes by server code. Those of devices are measured where they are submitted, because they share commits."""

    def __init__(self, telemetry: Telemetry, *parts: Any) -> None:
        super().__init__(*parts)
        self._measuring = Measuring(telemetry)

    async def change(
        self,
        actor: Actor,
        document_id: str,
        operations: Sequence[Operation],
        base_version: int | None,
        idempotency_key: str | None,
        *,
        as_device: bool = False,
    ) -> LoggedChange:
        changed = super().change(actor, document_id, operations, base_version, idempotency_key, as_device=as_device)
        return await self._measuring.changed(document_id, changed)


class FallbackReader:
    """Behind a cache: what it did not know, or could not be asked."""

    def __init__(self, inner: SessionReader, telemetry: Telemetry) -> None:
        self._inner = inner
        self._traces = telemetry.traces

    async def get(self, session_id: str) -> Session | None:
        if not self._traces.is_on:
            return await self._inner.get(session_id)
        with self._traces.span("sessile.cache.fallback", {"session.id": shortened(session_id)}):
            return await self._inner.get(session_id)


class Measuring:
    """The writes of one manager, on either lane."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._traces = telemetry.traces
        self._commits = Outcomes.of(telemetry.metrics, "sessile_session_commit_seconds").by_outcome
        self._changes = Outcomes.of(telemetry.metrics, "sessile_document_change_seconds").by_outcome
        self._verdicts = Counters.of(telemetry.metrics, "sessile_document_changes_total").by_value

    async def commit(self, session_id: str, change: Awaitable[Session]) -> Session:
        """Around a change of session data."""
        began = perf_counter()
        with self._traces.span("sessile.session.commit") as span:
            if span is not None:
                span.set("session.id", shortened(session_id))
            try:
                session = await change
            except Exception as error:
                self._end(span, self._commits, write_outcome(error), began)
                raise
            self._end(span, self._commits, "done", began)
            return session

    async def changed(self, document_id: str, change: Awaitable[LoggedChange]) -> LoggedChange:
        """Around one change of a document."""
        began = perf_counter()
        with self._traces.span("sessile.document.change") as span:
            if span is not None:
                span.set("sessile.document.id", shortened(document_id))
                span.set("sessile.changes", 1)
            try:
                logged = await change
            except Exception as error:
                if isinstance(error, ChangeRejected) and error.verdict in self._verdicts:
                    self._verdicts[error.verdict].add()
                self._end(span, self._changes, write_outcome(error), began)
                raise
            self._verdicts[logged.verdict].add()
            self._end(span, self._changes, "done", began)
            return logged

    def submitting(
        self, submit: Callable[[Submission], Coroutine[Any, Any, Outcome]]
    ) -> Callable[[Submission], Coroutine[Any, Any, Outcome]]:
        """`submit`, measured."""

        async def measured(submission: Submission) -> Outcome:
            began = perf_counter()
            with self._traces.span("sessile.document.change") as span:
                if span is not None:
                    span.set("sessile.document.id", shortened(submission.document_id))
                    span.set("sessile.changes", len(submission.changes))
                try:
                    outcome = await submit(submission)
                except Exception as error:
                    self._end(span, self._changes, write_outcome(error), began)
                    raise
                for logged in outcome.logged:
                    self._verdicts[logged.verdict].add()
                told = "done" if outcome.error is None else write_outcome(outcome.error)
                self._end(span, self._changes, told, began)
                return outcome

        return measured

    def _end(self, span: Span | None, outcomes: Mapping[str, Histogram], told: str, began: float) -> None:
        outcomes[told].observe(perf_counter() - began)
        if span is not None:
            span.set("sessile.outcome", told)
