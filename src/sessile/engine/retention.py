"""What is forgotten, when: ended sessions, old audit events, hand-offs and counts. Each verb is one bounded transaction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sessile.model.audit import AuditEvent, AuditStream
from sessile.model.document import Owner
from sessile.ports import Clock, Store, Transaction

_EVENTS_AT_ONCE: Final = 1000


@dataclass(slots=True)  # not frozen: `sessile.runtime.rules` puts what has changed into it
class RetentionRule:
    """How long ended sessions, audit events and passing checkpoints are kept; `batch` rows at a time."""

    ended: timedelta
    audit: timedelta
    checkpoints: timedelta | None
    """None: as many as there may be, however old."""
    batch: int


class RetentionEngine:
    def __init__(self, store: Store, clock: Clock, rule: RetentionRule) -> None:
        self._store = store
        self._clock = clock
        self._rule = rule

    async def forget_sessions(self) -> int:
        """Removes sessions that ended long ago, with the documents that an anonymous one had and nobody can reach any more; how many. Their
        audit events stay as long as those of others."""
        return await self._store.write(self._forget_sessions)

    async def forget_audit(self) -> int:
        """Removes audit events that are too old; how many. What is kept of a chain still verifies."""
        return await self._store.write(self._forget_audit)

    async def forget_passing(self) -> int:
        """Removes hand-offs, counts and legacy credentials that are over, and checkpoints of passing kinds that are too old; how many."""
        return await self._store.write(self._forget_passing)

    def _forget_sessions(self, tx: Transaction) -> int:
        now = self._clock.now()
        over = tx.sessions.ended_before(now - self._rule.ended, self._rule.batch)
        if not over:
            return 0
        documents, streams = list[str](), list[str]()
        for session in over:
            theirs = tx.documents.of_owner(Owner(session_id=session.session_id), status=None)
            documents += [document.document_id for document in theirs]
            streams.append(f"session:{session.session_id}")
        tx.documents.delete(documents)
        tx.sessions.delete([session.session_id for session in over])
        streams += [f"document:{document_id}" for document_id in documents]
        # A chain of which nothing is kept has no old event that would lead `forget_audit` to it.
        closed = [chain for stream in sorted(streams) if (chain := _closed(tx, tx.audit_chain(stream, lock=True)))]
        told = {"sessions": len(over), "documents": len(documents), "streams": len(closed), "digest": _digest(closed)}
        tx.audit([_event("sessions_forgotten", now, **told)])
        return len(over)

    def _forget_audit(self, tx: Transaction) -> int:
        now = self._clock.now()
        before = now - self._rule.audit
        forgotten, closed = 0, list[AuditStream]()
        for stream in tx.old_audit(before, self._rule.batch):
            chain = tx.audit_chain(stream, lock=True)
            if chain is None:
                continue
            shorter = chain
            for event in tx.audit_stream(stream, after=chain.base_position, limit=_EVENTS_AT_ONCE):
                if event.at >= before:
                    break
                shorter = replace(shorter, base_position=event.position, base_hash=event.hash)
                forgotten += 1
            tx.forget_audit(shorter)
            if _closed(tx, shorter) is not None:
                closed.append(shorter)
        if forgotten:
            tx.audit([_event("audit_forgotten", now, events=forgotten, streams=len(closed), digest=_digest(closed))])
        return forgotten

    def _forget_passing(self, tx: Transaction) -> int:
        now, batch = self._clock.now(), self._rule.batch
        forgotten = tx.handoffs.delete_expired(now - timedelta(days=1), batch) + tx.forget_counts(now, batch)
        forgotten += tx.legacy.delete_old(now, batch)
        forgotten += tx.console.forget_credentials(now - timedelta(days=1), batch)
        if self._rule.checkpoints is not None:
            forgotten += tx.documents.delete_old_checkpoints(now - self._rule.checkpoints, batch)
        return forgotten


def _closed(tx: Transaction, chain: AuditStream | None) -> AuditStream | None:
    """The chain, when nothing of it is kept and nothing more can be written to it: then it is closed now."""
    if chain is None or chain.base_position != chain.position or not _is_gone(tx, chain.stream):
        return None
    tx.close_audit(chain.stream)
    return chain


def _is_gone(tx: Transaction, stream: str) -> bool:
    """Nothing more can be written to this chain."""
    kind, _, key = stream.partition(":")
    if kind == "session":
        return tx.sessions.get(key) is None
    return kind == "document" and tx.documents.get(key) is None


def _digest(chains: list[AuditStream]) -> str:
    """What chains that were closed looked like at their ends, for whoever has a copy of them."""
    whole = hashlib.sha256()
    for chain in chains:
        whole.update(f"{chain.stream}\0{chain.position}\0".encode() + chain.hash)
    return whole.hexdigest()


def _event(kind: str, at: datetime, **data: Any) -> AuditEvent:
    return AuditEvent(stream="system", type=kind, at=at, data=data)
