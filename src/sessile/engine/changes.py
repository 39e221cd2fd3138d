"""Changes: a batch of them is judged and written in one transaction. A single change is a batch of one, by the same function.

Order inside a batch is order of arrival. Document rows are locked in id order. Verdicts, conflicts, device marks, idempotency keys and
the state are written together; only a fault of the infrastructure fails a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec
from msgspec import structs

from sessile.engine.documents import register_device
from sessile.engine.heads import Heads, PoliciesOf, Work, read_after
from sessile.engine.kinds import brought_up_to_date, touched_at
from sessile.engine.ownership import admit
from sessile.model import token as tokens
from sessile.model.document import (
    Actor,
    Change,
    DocumentDevice,
    LoggedChange,
    Operation,
    Outcome,
    Submission,
    Verdict,
)
from sessile.model.errors import (
    DocumentNotFound,
    IdentityReused,
    SequenceGap,
    SessileError,
    rejection,
)
from sessile.model.events import Event, EventKind
from sessile.model.expiry import check_alive
from sessile.model.kind import NO_KINDS, Kinds
from sessile.model.limits import REPLAY_CHANGES_MAX
from sessile.model.merge import Touch, judge, operations_hash
from sessile.model.pointer import parse
from sessile.model.session import Lifetime
from sessile.ports import Clock, Random, Store, Transaction


class ChangeEngine:
    """`versions_kept`: how many versions of a log are not forgotten, at least."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        policies_of: PoliciesOf,
        kinds: Kinds = NO_KINDS,
        versions_kept: int = REPLAY_CHANGES_MAX,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._heads = Heads(kinds, policies_of, versions_kept)

    async def submit(self, batch: Sequence[Submission]) -> list[Outcome]:
        """Outcomes in the order of the batch, after the commit. Raises StoreUnavailable when nothing is known to be committed."""
        try:
            outcomes, works = await self._store.write(self._submit, batch)
        except BaseException:
            self._heads.forget([submission.document_id for submission in batch])
            raise
        self._heads.keep(works)
        return outcomes

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
        """A change by server code. With an idempotency key, a repetition returns the first one's line of the log. `as_device`: on behalf of the
        actor's device, which never conflicts with itself.

        Raises ChangeRejected when the verdict is neither applied nor noop.
        """
        writer = actor if as_device else replace(actor, device_id=None)
        logged = await self._store.write(self._change, writer, document_id, operations, base_version, idempotency_key)
        if logged.verdict in (Verdict.REJECTED, Verdict.CONFLICT):
            raise rejection(str(logged.verdict), dict(logged.detail or {}))
        return logged

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _submit(self, tx: Transaction, batch: Sequence[Submission]) -> tuple[list[Outcome], list[Work]]:
        bases: dict[str, int] = {}
        for submission in batch:
            for change in submission.changes:
                bases[submission.document_id] = min(
                    change.base_version, bases.get(submission.document_id, change.base_version)
                )
        handles = {s.actor.session_id for s in batch if s.actor.session_id is not None}
        ids = sorted({submission.document_id for submission in batch})
        with_state = not self._heads.knows(ids)
        sessions, rows = tx.hold(sorted(handles), ids, with_state=with_state)
        oldest = {document_id: bases.get(document_id, row.version) for document_id, row in rows.items()}
        works = self._heads.load(tx, rows, oldest, with_state=with_state)
        outcomes = [
            self._submit_one(tx, submission, works.get(submission.document_id), sessions) for submission in batch
        ]
        self._save(tx, [work for work in works.values() if work.logged])
        return outcomes, list(works.values())

    def _submit_one(
        self, tx: Transaction, submission: Submission, work: Work | None, sessions: Mapping[str, Lifetime]
    ) -> Outcome:
        document_id, actor = submission.document_id, submission.actor
        if work is None or not actor.may_open(work.row.owner):
            return Outcome(document_id, "", (), DocumentNotFound())
        logged: list[LoggedChange] = []
        try:
            session = sessions.get(actor.session_id or "")
            if session is not None:
                check_alive(session, self._clock.now())
            for change in submission.changes:
                logged.append(self._take(tx, work, change, actor))  # noqa: PERF401 - what came before an error stays
        except SessileError as error:
            return Outcome(document_id, work.row.epoch, logged, error)
        return Outcome(document_id, work.row.epoch, logged)

    def _change(
        self,
        tx: Transaction,
        actor: Actor,
        document_id: str,
        operations: Sequence[Operation],
        base_version: int | None,
        idempotency_key: str | None,
    ) -> LoggedChange:
        admit(tx, actor, self._clock.now())
        document = tx.documents.get(document_id)
        if document is None or not actor.may_open(document.owner):
            raise DocumentNotFound
        if idempotency_key is not None:
            known = tx.documents.change_by_key(document_id, idempotency_key)
            if known is not None:
                return known
        now = tx.documents.get_many([document_id], lock=True)[document_id]
        base = now.version if base_version is None else base_version
        around = tx.documents.surroundings({document_id: read_after(now, base)})
        work = self._heads.load_one(now, base, around[document_id])
        if work.unknown is None:  # what is based on now is based on the upgraded state
            self._bring_up_to_date(work, self._clock.now())
        change = Change(
            operations=operations,
            base_version=work.head.document.version if base_version is None else base_version,
            generation=now.generation,
            device_id=actor.device_id,
            idempotency_key=idempotency_key,
        )
        logged = self._take(tx, work, change, actor)
        if work.logged:
            self._save(tx, [work])
        return logged

    def _take(self, tx: Transaction, work: Work, change: Change, actor: Actor) -> LoggedChange:
        """The stored verdict of a replay, or a new one. Raises SequenceGap, IdentityReused, SchemaUnknown, SchemaUpgradeFailed."""
        now = self._clock.now()
        device = self._device(tx, work, change, actor, now)
        if device is not None and change.seq is not None:
            if change.seq <= device.last_seq:
                return self._replay(tx, work, change, device)
            if change.seq != device.last_seq + 1:
                raise SequenceGap(device.last_seq + 1)
        if work.unknown is not None:
            raise work.unknown
        self._bring_up_to_date(work, now)
        conflicts_before = {conflict.conflict_id: conflict for conflict in work.head.conflicts.values()}
        logged = judge(work.head, change, device=device, session_id=actor.session_id, now=now, new_id=self._new_id)
        work.logged.append(logged)
        for conflict in logged.conflicts:
            work.conflicts[conflict.conflict_id] = conflict
        for conflict_id in logged.resolved:
            work.conflicts[conflict_id] = replace(conflicts_before[conflict_id], status="resolved")
        if device is not None and change.seq is not None:
            self._mark(work, device, change.seq, actor, now)
            work.by_seq[device.device_id, change.seq] = logged
        work.lag_bytes += len(msgspec.json.encode(change.operations))
        return logged

    def _bring_up_to_date(self, work: Work, now: datetime) -> None:
        """An old document is upgraded by a line of its own in the log, so that every client follows."""
        document, line = brought_up_to_date(work.rules, work.head.document, now)
        if line is None:
            return
        work.head.document, work.head.size_bytes = document, len(msgspec.json.encode(document.state))
        work.head.upgraded_at = line.version
        work.head.touches.extend(Touch(touched_at(line), None, 0, parse(path), value) for path, value in line.before)
        work.logged.append(line)
        work.lag_bytes += work.head.size_bytes

    def _device(
        self, tx: Transaction, work: Work, change: Change, actor: Actor, now: datetime
    ) -> DocumentDevice | None:
        if change.device_id is None:
            return None
        device = work.devices.get(change.device_id)
        if device is None:
            device = register_device(tx, work.row, replace(actor, device_id=change.device_id), now)
            if device is not None:
                work.devices[change.device_id] = device
        return device

    def _replay(self, tx: Transaction, work: Work, change: Change, device: DocumentDevice) -> LoggedChange:
        seq = change.seq or 0
        stored = work.by_seq.get((device.device_id, seq)) or tx.documents.change_of_device(
            work.row.document_id, device.device_id, seq
        )
        if stored is None:  # compacted away: it is known to have had a verdict, and that is all that is needed
            return LoggedChange(
                document_id=work.row.document_id,
                version=work.head.document.version,
                generation=work.head.document.generation,
                base_version=change.base_version,
                operations=(),
                verdict=Verdict.NOOP,
                detail={"code": "known", "message": "This change was taken long ago."},
                device_id=device.device_id,
                device_no=device.device_no,
                seq=seq,
                created_at=self._clock.now(),
            )
        if stored.operations_hash != operations_hash(change):
            raise IdentityReused(device.last_seq + 1)
        return stored

    def _mark(self, work: Work, device: DocumentDevice, seq: int, actor: Actor, now: datetime) -> None:
        """Moves the device's mark on; it is the primary one now."""
        for other in work.devices.values():
            if other.is_primary and other.device_id != device.device_id:
                work.devices[other.device_id] = structs.replace(other, is_primary=False)
                work.moved.add(other.device_id)
        work.devices[device.device_id] = structs.replace(
            device, last_seq=seq, is_primary=True, session_id=actor.session_id or device.session_id, last_active_at=now
        )
        work.moved.add(device.device_id)

    def _save(self, tx: Transaction, works: Sequence[Work]) -> None:
        tx.documents.record([work.progress() for work in works])
        for work in works:
            tx.emit(
                Event(
                    EventKind.DOCUMENT_CHANGED,
                    work.row.document_id,
                    work.head.document.version,
                    epoch=work.row.epoch,
                    changes=tuple(work.logged),
                )
            )

    def _new_id(self) -> str:
        return tokens.uuid7(self._clock.now(), self._random.token_bytes(10))
