"""One document as a state machine without I/O and without a clock: confirmed state, pending changes, position, and rules 1 to 6 of
protocol/README.md. Frames go in; what is to be sent, stored and told comes out as effects, in order.

The browser client has the same core (clients/browser/src/core.ts). `tests/model_sync` explores this one together with the real engine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from sessile.client.effects import (
    Acknowledged,
    ConflictOpened,
    Effect,
    Pending,
    RenewIdentity,
    RequestSync,
    Rewind,
    Settled,
    SnapshotTaken,
    SyncReason,
    Updated,
)
from sessile.client.records import Answer, Frame, answer_from, conflict_from
from sessile.model.canonical import json_equal, state_hash
from sessile.model.document import Conflict, Operation, State, Verdict
from sessile.model.operations import OperationFault, apply

RETRY_DELAY_S: Final = 1.0
_PATIENCE_PINGS: Final = 2
"""A request for what is missing that is unanswered after this many pings is made again."""


class DocumentCore:
    """`initial` is shown until the document has been seen. Nothing here waits; every method returns what is to be done."""

    def __init__(self, initial: State | None = None) -> None:
        self.document_id: str | None = None
        self.device_no: int | None = None
        self.epoch: str | None = None
        self.version = 0
        self.generation = 0
        self.confirmed: State | None = None
        self.diverged = False
        """The last hash did not match; a snapshot has been asked for."""
        self.is_current = False
        """True when a delta or snapshot has come on this connection and nothing is known to be missing."""
        self.pending: tuple[Pending, ...] = ()
        self._initial: State = initial or {}
        self._device_id: str | None = None
        self._own_numbers: dict[int, str] = {}
        self._unheard: tuple[Pending, ...] = ()
        """Changes that a snapshot contains, as far as their numbers say, and that nobody has answered yet. They are out of the view, but
        only the answer says that it was this change that had the number: an outbox may have been copied."""
        self._conflicts: dict[str, Conflict] = {}
        self._syncing = False
        self._sync_pings = 0
        self._last_gap: int | None = None
        self._told: frozenset[str] = frozenset()
        """Changes whose end was told already, so that it is told once."""
        self._view: State | None = None

    @property
    def state(self) -> State:
        """The confirmed state with the pending changes on top (rule 3). A change that does not fit is left out, not lost: its verdict
        is the server's to give."""
        if self._view is None:
            state: State = self.confirmed if self.confirmed is not None else self._initial
            for change in self.pending:
                if self.confirmed is not None and change.generation is not None and change.generation < self.generation:
                    continue
                try:
                    state = apply(state, change.operations).state
                except OperationFault:
                    continue
            self._view = state
        return self._view

    @property
    def conflicts(self) -> list[Conflict]:
        """Open ones, without those that a pending `resolve` is about to close."""
        operations = (operation for change in self.pending for operation in change.operations)
        closing = {operation["conflict_id"] for operation in operations if operation["op"] == "resolve"}
        return [conflict for conflict in self._conflicts.values() if conflict.conflict_id not in closing]

    @property
    def unanswered(self) -> list[Pending]:
        return [change for change in self.pending if change.answer is None]

    @property
    def has_unheard(self) -> bool:
        """True while the end of a change depends on `held`, or on an answer that comes to this process."""
        return bool(self._unheard)

    @property
    def position(self) -> tuple[str, int] | None:
        return (self.epoch, self.version) if self.epoch is not None else None

    # -- what the application and the outbox say --------------------------------------------------------------------

    def draft(self, nonce: str, operations: Sequence[Operation]) -> Pending:
        """A change made here, in the view at once and not stored yet."""
        generation = self.generation if self.confirmed is not None else None
        change = Pending(nonce=nonce, operations=operations, base_version=self.version, generation=generation)
        self._set_pending((*self.pending, change))
        return change

    def stored(self, change: Pending) -> None:
        """A change as the outbox holds it, with device and seq."""
        if change.seq is None or change.device_id is None:
            raise ValueError("the outbox numbers what it stores")
        if any(other.nonce == change.nonce and _is_same(other, change) for other in self._unheard):
            return
        self._unheard = tuple(other for other in self._unheard if other.nonce != change.nonce)
        known = next((other for other in self.pending if other.nonce == change.nonce), None)
        rest = [other for other in self.pending if other.nonce != change.nonce]
        if known is not None and _is_same(known, change):
            change = replace(change, answer=known.answer)
        rest.insert(_place(rest, change), change)
        self._set_pending(rest)

    def held(self, nonces: Collection[str]) -> list[Effect]:
        """What the outbox holds. A change that has left it without an answer here was acknowledged to another process on the same one."""
        gone = [change for change in self._unheard if change.nonce not in nonces]
        self._unheard = tuple(change for change in self._unheard if change.nonce in nonces)
        return self._end(gone)

    def replace_stored(self, changes: Sequence[Pending]) -> list[Effect]:
        """After a new identity: what the outbox holds now; answered changes and drafts stay. What has left the outbox meanwhile has been
        acknowledged, to another process on the same one."""
        held = {change.nonce for change in changes}
        gone = [c for c in self.pending if c.seq is not None and c.answer is None and c.nonce not in held]
        effects = [*self._end(gone), *self.held(held)]
        self._set_pending(change for change in self.pending if change.seq is None or change.answer is not None)
        for change in changes:
            self.stored(change)
        return effects

    def forget(self, nonce: str) -> None:
        """Takes back a draft that could not be stored."""
        self._set_pending(change for change in self.pending if change.nonce != nonce)

    # -- what the connection says -----------------------------------------------------------------------------------

    def disconnected(self) -> None:
        self._syncing = False
        self._last_gap = None
        self.is_current = False

    def opened(self, frame: Frame, device_id: str, acknowledged: int) -> list[Effect]:
        """The server opened the document for this device. A delta or a snapshot follows by itself (rule 4).

        `acknowledged` is the seq up to which everything of this device had been acknowledged before the server was asked. A server that
        knows less has lost it (a database restored from a backup), and this numbering cannot go on.
        """
        if self.document_id is not None and self.document_id != frame["document_id"]:
            self._start_over()
        self.document_id = frame["document_id"]
        self.device_no = frame["device_no"]
        self._device_id = device_id
        self._own_numbers = {**self._own_numbers, frame["device_no"]: device_id}
        self._syncing = True
        self._sync_pings = 0
        return [RenewIdentity()] if frame["last_seq"] < acknowledged else []

    def snapshot(self, frame: Frame) -> list[Effect]:
        """`initial_state`."""
        self._syncing = False
        self.is_current = True
        effects: list[Effect] = []
        is_new_log = frame["epoch"] != self.epoch
        if is_new_log:
            # Answers of another log say nothing about this one, and what was answered has left the outbox: it ends here.
            answered = [change for change in self.pending if change.answer is not None]
            self._set_pending(change for change in self.pending if change.answer is None)
            effects += self._end(answered)
        known = self._conflicts
        opened = [conflict_from(raw, frame["document_id"]) for raw in frame["conflicts"]]
        self._conflicts = {conflict.conflict_id: conflict for conflict in opened}
        self._adopt(frame["epoch"], frame["version"], frame["generation"], frame["state"])
        # Asking for another snapshot would only bring the same one: a difference is shown, not chased.
        self.diverged = state_hash(frame["state"]) != frame["hash"]
        effects.append(SnapshotTaken())
        effects += [ConflictOpened(conflict) for conflict in opened if conflict.conflict_id not in known]
        return [*effects, *self._cover(frame["last_seq"]), *self._settle()]

    def update(self, frame: Frame) -> list[Effect]:
        """`state_update` (rule 2): applied only where it fits exactly."""
        if self.confirmed is None or frame["epoch"] != self.epoch:
            return self._sync("epoch", with_position=False)
        if frame["from"] != self.version:
            return [] if frame["to"] <= self.version else self._sync("gap", with_position=True)
        state, effects, matches = self.confirmed, list[Effect](), True
        for change in frame["changes"]:
            try:
                if change["verdict"] == Verdict.APPLIED:
                    state = apply(state, change["operations"]).state
            except OperationFault:
                matches = False  # the server could apply it, so this state is not the server's
                break
            effects += self._note(change, frame["document_id"])
            if "hash" in change and state_hash(state) != change["hash"]:
                matches = False
                break
        self._syncing = False
        if not matches:
            self.diverged = True
            return [*effects, *self._sync("hash", with_position=False)]
        self.is_current = True
        self._adopt(frame["epoch"], frame["to"], frame["generation"], state)
        return [*effects, Updated(frame["changes"]), *self._settle()]

    def ack(self, frame: Frame) -> list[Effect]:
        """Cumulative: below the frame's seq everything is committed, whether or not this frame repeats its verdict."""
        device_id = self._device_id
        if device_id is None:
            return []
        self._last_gap = None
        named = {raw["seq"]: answer_from(raw) for raw in frame["verdicts"]}
        for change in (*self._unheard, *self.pending):
            if change.device_id == device_id and change.seq is not None and change.seq <= frame["seq"]:
                named.setdefault(change.seq, Answer(seq=change.seq, version=None, verdict=None))
        self._answer(device_id, named)
        return [Acknowledged(device_id, frame["seq"]), *self._settle()]

    def nack(self, frame: Frame) -> list[Effect]:
        """Rule 5. Nothing is concluded from a seq that the outbox does not hold any more: another process on the same outbox may have
        sent it and got its ack while this refusal was on its way."""
        if frame["reason"] == "identity_reused":
            return [RenewIdentity()]
        expected = frame["expected_seq"]
        if frame["reason"] != "gap":
            return [Rewind(expected - 1, frame.get("retry_after_ms", RETRY_DELAY_S * 1000) / 1000)]
        repeated = self._last_gap == expected  # frames in flight are refused one by one: the first refusal rewinds
        self._last_gap = expected
        return [Rewind(expected - 1, RETRY_DELAY_S if repeated else 0.0)]

    def head(self, epoch: str, version: int) -> list[Effect]:
        """The head that a ping carries (rule 6)."""
        if self._syncing:
            self._sync_pings += 1
            if self._sync_pings < _PATIENCE_PINGS:
                return []
        if (epoch, version) == self.position and self.is_current:
            return []
        self._syncing = False
        return (
            self._sync("gap", with_position=True) if epoch == self.epoch else self._sync("epoch", with_position=False)
        )

    def request_sync(self, reason: SyncReason) -> list[Effect]:
        """Asks for what is missing, for example because the application wants to be sure."""
        self._syncing = False
        return self._sync(reason, with_position=True)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _sync(self, reason: SyncReason, *, with_position: bool) -> list[Effect]:
        self.is_current = False
        if self._syncing:
            return []
        self._syncing = True
        self._sync_pings = 0
        return [RequestSync(reason, self.position if with_position else None)]

    def _adopt(self, epoch: str, version: int, generation: int, state: State) -> None:
        self.epoch = epoch
        self.version = version
        self.generation = generation
        self.confirmed = state
        self._view = None

    def _start_over(self) -> None:
        """The name belongs to another document now: its state is foreign, the unanswered changes are still the person's."""
        self.epoch = None
        self.version = 0
        self.confirmed = None
        self._conflicts = {}
        self._own_numbers = {}
        self._view = None

    def _note(self, change: Frame, document_id: str) -> list[Effect]:
        """A line of the log: an own change is covered and answered by it, conflicts come and go."""
        own = self._own_numbers.get(change["device_no"]) if change["seq"] is not None else None
        if own is not None and self._is_ours(own, change):
            self._answer(own, {change["seq"]: answer_from(change, conflicts_are_records=True)})
        gone = set(change.get("resolved") or ())
        opened = [conflict_from(raw, document_id) for raw in change.get("conflicts") or ()]
        paths = {
            conflict.path for conflict in opened
        }  # one open conflict per path: a later loser takes the record's place
        kept = {key: c for key, c in self._conflicts.items() if key not in gone and c.path not in paths}
        self._conflicts = {**kept, **{conflict.conflict_id: conflict for conflict in opened}}
        return [ConflictOpened(conflict) for conflict in opened]

    def _is_ours(self, device_id: str, line: Frame) -> bool:
        """False when the number is ours and the change is not: somebody works with a copy of the outbox. In the log a `resolve` is
        followed by what it caused."""
        for mine in (*self._unheard, *self.pending):
            if mine.device_id == device_id and mine.seq == line["seq"]:
                return json_equal(list(mine.operations), list(line["operations"])[: len(mine.operations)])
        return True

    def _cover(self, last_seq: int) -> list[Effect]:
        """A snapshot has everything of this device up to `last_seq`: out of the view with it."""
        gone = [change for change in self.pending if self._is_up_to(change, last_seq)]
        if gone:
            self._unheard += tuple(change for change in gone if change.answer is None)
            self._set_pending(change for change in self.pending if not self._is_up_to(change, last_seq))
        return self._end(change for change in gone if change.answer is not None)

    def _is_up_to(self, change: Pending, last_seq: int) -> bool:
        return change.device_id == self._device_id and change.seq is not None and change.seq <= last_seq

    def _answer(self, device_id: str, answers: dict[int, Answer]) -> None:
        def answered(change: Pending) -> Pending:
            if change.device_id != device_id or change.seq is None or change.seq not in answers:
                return change
            is_open = (
                change.answer is None or change.answer.version is None
            )  # a line of the log says more than a cumulative ack
            return replace(change, answer=answers[change.seq]) if is_open else change

        self.pending = tuple(answered(change) for change in self.pending)
        self._unheard = tuple(answered(change) for change in self._unheard)

    def _settle(self) -> list[Effect]:
        """The end of changes that are answered and whose version the confirmed state has reached: it contains them."""
        ended = [change for change in self.pending if change.answer is not None and self._is_reached(change.answer)]
        contained = {
            change.nonce for change in ended if change.answer is not None and change.answer.version is not None
        }
        if contained:
            self._set_pending(change for change in self.pending if change.nonce not in contained)
        heard = [change for change in self._unheard if change.answer is not None]
        self._unheard = tuple(change for change in self._unheard if change.answer is None)
        return self._end([*heard, *ended])

    def _is_reached(self, answer: Answer) -> bool:
        return answer.version is None or answer.version <= self.version

    def _end(self, changes: Iterable[Pending]) -> list[Effect]:
        """Tells the end of each, once. One that stays pending is remembered, so that it is not told again when it goes."""
        effects: list[Effect] = []
        present = {change.nonce for change in self.pending}
        for change in changes:
            if change.nonce not in self._told:
                answer = change.answer or Answer(seq=change.seq or 0, version=None, verdict=None)
                effects.append(Settled(change.nonce, answer, change.operations))
                self._told |= {change.nonce}
        self._told &= present
        return effects

    def _set_pending(self, pending: Iterable[Pending]) -> None:
        self.pending = tuple(pending)
        self._view = None


def _is_same(left: Pending, right: Pending) -> bool:
    return (left.device_id, left.seq) == (right.device_id, right.seq)


def _place(rest: Sequence[Pending], change: Pending) -> int:
    """Ahead of every draft, behind all that the same device made before, after whatever another identity left to send."""
    for index, other in enumerate(rest):
        if other.seq is None or (other.device_id == change.device_id and other.seq > (change.seq or 0)):
            return index
    return len(rest)
