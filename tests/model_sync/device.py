"""A client in the model: the real core and the real flow, an outbox of plain tuples, and a user who makes changes.

The outbox is the one part that is written again here, because a file cannot be copied at every step of a search; the real one has its
own tests (tests/unit/client) and is used by the soak.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sessile.client.core import DocumentCore
from sessile.client.effects import Acknowledged, Effect, Pending, RenewIdentity, RequestSync, Rewind, Settled
from sessile.client.flow import Flow
from sessile.model.document import Operation

Frame = Mapping[str, Any]


@dataclass(frozen=True)
class Box:
    """An outbox; several devices of the model may be processes on one."""

    device_id: str
    entries: tuple[Pending, ...] = ()
    next_seq: int = 1
    renewals: int = 0

    def add(self, draft: Pending) -> tuple[Box, Pending]:
        entry = replace(draft, device_id=self.device_id, seq=self.next_seq)
        return replace(self, entries=(*self.entries, entry), next_seq=self.next_seq + 1), entry

    def continue_after(self, device_id: str, last_seq: int) -> Box:
        return replace(self, next_seq=max(self.next_seq, last_seq + 1)) if device_id == self.device_id else self

    @property
    def acknowledged(self) -> int:
        return (self.entries[0].seq or 0) - 1 if self.entries else self.next_seq - 1

    def after(self, device_id: str, seq: int, limit: int) -> list[Pending]:
        return [entry for entry in self.entries if entry.device_id == device_id and (entry.seq or 0) > seq][:limit]

    def acknowledge(self, device_id: str, through: int) -> tuple[Box, list[Pending]]:
        gone = [entry for entry in self.entries if entry.device_id == device_id and (entry.seq or 0) <= through]
        return replace(self, entries=tuple(entry for entry in self.entries if entry not in gone)), gone

    def renew(self, device_id: str) -> Box:
        if device_id != self.device_id:
            return self
        renewed = f"{self.device_id.split('+')[0]}+{self.renewals + 1}"
        entries = tuple(
            replace(entry, device_id=renewed, seq=number) for number, entry in enumerate(self.entries, start=1)
        )
        return Box(renewed, entries, len(entries) + 1, self.renewals + 1)


class Device:
    """`core_type` is for planted errors. Frames that it wants to send are in `up` until the world takes them."""

    core_type: type[DocumentCore] = DocumentCore
    drops_at_send = False
    keeps_position_in_outbox = False
    """Planted: a new connection goes on behind what the last one sent."""

    def __init__(self, box_no: int) -> None:
        self.box_no = box_no
        self.core = self.core_type()
        self.flow = Flow()
        self.device_id = ""
        """The one that the present connection speaks for."""
        self.acknowledged = 0
        """Up to which seq everything had been acknowledged when that connection began."""
        self.up: tuple[Frame, ...] = ()
        self.wants_restart = False
        self.settled: frozenset[str] = frozenset()
        self.alive_nonces: frozenset[str] = frozenset()
        """Changes made since this process started: it must show them."""

    def clone(self) -> Device:
        other = copy.copy(self)
        other.core, other.flow = _clone(self.core), _clone(self.flow)
        return other

    def restarted(self) -> Device:
        """The process after a kill: only the outbox is left."""
        return type(self)(self.box_no)

    # -- the user and the outbox ------------------------------------------------------------------------------------

    def edit(self, box: Box, nonce: str, operations: Sequence[Operation]) -> Box:
        box, entry = box.add(self.core.draft(nonce, operations))
        self.core.stored(entry)
        self.alive_nonces |= {nonce}
        return box

    def load(self, box: Box) -> None:
        for entry in box.entries:
            self.core.stored(entry)

    def _settle(self, effects: Sequence[Effect]) -> None:
        self.settled |= {effect.nonce for effect in effects if isinstance(effect, Settled)}

    def send(self, box: Box, limit: int) -> Box:
        """One frame of changes, if there is something to send."""
        generation = self.core.generation if self.core.confirmed is not None else None
        changes = self.flow.next_frame(
            box.after(self.device_id, self.flow.sent, min(limit, self.flow.room)), generation
        )
        if changes:
            self.up += ({"type": "change", "changes": changes},)
            if self.drops_at_send:
                box = replace(box, entries=tuple(e for e in box.entries if (e.seq or 0) > self.flow.sent))
        return box

    def may_send(self, box: Box) -> bool:
        has_generation = self.core.confirmed is not None
        following = box.after(self.device_id, self.flow.sent, 1)
        return bool(self.flow.room and following and (has_generation or following[0].generation is not None))

    # -- the connection ---------------------------------------------------------------------------------------------

    def connect(self, box: Box) -> Frame:
        self.device_id = box.device_id
        self.acknowledged = box.acknowledged
        self.wants_restart = False
        self.up = ()
        return {"type": "hello", "device_id": box.device_id, "position": self.core.position}

    def disconnected(self) -> None:
        sent = self.flow.sent
        self.flow.close()
        if self.keeps_position_in_outbox:
            self.flow.sent = sent
        self.core.disconnected()
        self.up = ()

    def receive(self, frame: Frame, box: Box) -> tuple[Box, list[Pending]]:
        """The outbox after the frame, and what left it as acknowledged."""
        match frame["type"]:
            case "opened":
                effects = self.core.opened(frame, self.device_id, self.acknowledged)
                if not effects:
                    sent = self.flow.sent
                    self.flow.open()
                    if self.keeps_position_in_outbox:
                        self.flow.sent = sent
                    box = box.continue_after(self.device_id, frame["last_seq"])
            case "initial_state":
                effects = [*self.core.snapshot(frame), *self._held(box)]
            case "state_update":
                effects = self.core.update(frame)
            case "ack":
                effects = self.core.ack(frame)
            case "nack":
                effects = self.core.nack(frame)
            case "ping":
                if box.device_id != self.device_id:
                    effects = [RenewIdentity()]  # another process on this outbox has taken a new one
                else:
                    head = frame["heads"].get("d")
                    effects = [*(self.core.head(*head) if head is not None else []), *self._held(box)]
            case other:
                raise AssertionError(f"the model has no frame {other}")
        return self._perform(effects, box)

    def _held(self, box: Box) -> list[Effect]:
        return self.core.held({entry.nonce for entry in box.entries}) if self.core.has_unheard else []

    def _perform(self, effects: Sequence[Effect], box: Box) -> tuple[Box, list[Pending]]:
        gone: list[Pending] = []
        for effect in effects:
            match effect:
                case RequestSync(_, position):
                    self.up += ({"type": "request_sync", "position": position},)
                case Acknowledged(device_id, through):
                    self.flow.acknowledged(through)
                    box, acknowledged = box.acknowledge(device_id, through)
                    gone += acknowledged
                case Rewind(after, _):
                    self.flow.rewind(after)
                case RenewIdentity():
                    box = box.renew(self.device_id)
                    self.flow.close()
                    self.wants_restart = True
                    self._settle(self.core.replace_stored(box.entries))
                case Settled():
                    self._settle([effect])
                case _:
                    pass  # told to the application
        return box, gone


def _clone(part: Any) -> Any:
    """A copy of an object whose parts are immutable or are replaced, never changed."""
    return copy.copy(part)
