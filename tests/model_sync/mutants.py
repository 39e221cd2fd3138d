"""Planted errors. Each is a mistake that somebody could make in good faith, and each must be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sessile.client.core import DocumentCore
from sessile.client.effects import Acknowledged, Effect, Pending, RenewIdentity
from sessile.client.records import Frame
from sessile.engine.changes import ChangeEngine
from sessile.model.document import LoggedChange
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.documents import MemoryDocumentRows
from sessile.stores.memory.store import MemoryTransaction, Tables
from tests.model_sync.backend import Backend
from tests.model_sync.device import Box, Device
from tests.model_sync.world import Budgets, Rules


class NoUniqueKeyRows(MemoryDocumentRows):
    """(device, seq) is not unique in the table."""

    def insert_changes(self, changes: Sequence[LoggedChange]) -> None:
        for change in changes:
            self._logs.put(change.document_id, (*self._log(change.document_id), change))


class NoUniqueKeyStore(MemoryStore):
    async def write(self, work: Callable[..., Any], *args: Any) -> Any:
        def with_loose_rows(tx: MemoryTransaction) -> Any:
            tx.documents.__class__ = NoUniqueKeyRows
            return work(tx, *args)

        return await super().write(with_loose_rows)


class NoUniqueKeyEngine(ChangeEngine):
    """What a device sends is new, whatever its number."""

    def _take(self, tx: Any, work: Any, change: Any, actor: Any) -> LoggedChange:
        device = self._device(tx, work, change, actor, self._clock.now())
        if device is not None and change.seq <= device.last_seq:
            work.devices[device.device_id] = replace(device, last_seq=change.seq - 1)
        return super()._take(tx, work, change, actor)


class NoSeqCheckEngine(ChangeEngine):
    """A device's numbers may have gaps."""

    def _take(self, tx: Any, work: Any, change: Any, actor: Any) -> LoggedChange:
        device = self._device(tx, work, change, actor, self._clock.now())
        if device is not None and change.seq > device.last_seq:
            work.devices[device.device_id] = replace(device, last_seq=change.seq - 1)
        return super()._take(tx, work, change, actor)


class AcceptsGaps(DocumentCore):
    """An update is applied wherever the device stands."""

    def update(self, frame: Frame) -> list[Effect]:
        if frame["from"] > self.version and frame["epoch"] == self.epoch:
            return super().update({**frame, "from": self.version})
        return super().update(frame)


class AppliesTwice(DocumentCore):
    """An update that is known already is applied once more."""

    def update(self, frame: Frame) -> list[Effect]:
        if frame["changes"] and frame["epoch"] == self.epoch and frame["to"] <= self.version:
            self.version = frame["from"]
        return super().update(frame)


class DropsAtAck(DocumentCore):
    """A pending change is dropped when it is acknowledged, not when the confirmed state has it."""

    def ack(self, frame: Frame) -> list[Effect]:
        effects = super().ack(frame)
        self._set_pending(change for change in self.pending if change.answer is None)
        return effects


class IgnoresHeads(DocumentCore):
    """What a ping says about the head is not looked at."""

    def head(self, epoch: str, version: int) -> list[Effect]:
        return []


class TrimsAtNack(DocumentCore):
    """A refused change is taken for a decided one."""

    def nack(self, frame: Frame) -> list[Effect]:
        effects = super().nack(frame)
        device_id = self._device_id or ""
        return [
            *effects,
            Acknowledged(device_id, max(change.seq or 0 for change in self.pending) if self.pending else 0),
        ]


class NeverRewinds(DocumentCore):
    """A refusal is noted and nothing is sent again."""

    def nack(self, frame: Frame) -> list[Effect]:
        super().nack(frame)
        return []


def device_of(core: type[DocumentCore]) -> type[Device]:
    return type(f"Device{core.__name__}", (Device,), {"core_type": core})


class DropsAtSend(Device):
    drops_at_send = True


class MistakesProgressForLoss(Device):
    """A refusal below what the outbox still holds is taken for a server that has lost data; but another process may have had its acks.
    (This design was in both clients until the walks found it.)"""

    def receive(self, frame: Frame, box: Box) -> tuple[Box, list[Pending]]:
        if frame["type"] == "nack":
            stored = box.after(self.device_id, 0, 1)
            if stored and (stored[0].seq or 0) > frame["expected_seq"]:
                return self._perform([RenewIdentity()], box)
        return super().receive(frame, box)


class KeepsPlace(Device):
    keeps_position_in_outbox = True


@dataclass(frozen=True)
class Mutant:
    """`budgets` are small ones in which the error can be found; the correct protocol holds in the same."""

    name: str
    budgets: Budgets
    found_as: str
    """What the violation says: it must be found for what it is."""
    device: type[Device] = Device
    rules: Rules = field(default_factory=Rules)
    engine: Callable[..., ChangeEngine] = ChangeEngine
    store: Callable[[Tables], MemoryStore] = MemoryStore
    boxes: tuple[int, ...] = (0, 1)
    """The outbox of each device; the same number twice is two processes on one."""
    begins_connected: bool = True
    """False: the connecting is explored too."""
    is_found_by_walks: bool = False
    """It needs more steps than an exhaustive search gets to."""

    def backend(self) -> Backend:
        return Backend(self.engine, self.store)


MUTANTS = [
    Mutant(
        "ack before commit",
        Budgets((1, 0), kill_server=1),
        "an acknowledged change is not in the log",
        rules=Rules(acks_before_commit=True),
    ),
    Mutant(
        "fan-out before commit",
        Budgets((1, 0), kill_server=1),
        "a device shows a version that was never committed",
        rules=Rules(tells_before_commit=True),
    ),
    Mutant(
        "no unique key",
        Budgets((1, 0), cut=1),
        "a change is in the log twice",
        engine=NoUniqueKeyEngine,
        store=NoUniqueKeyStore,
    ),
    Mutant(
        "no check of a device's sequence",
        Budgets((2, 0), refuse_commit=1),
        "a device's changes are not in order",
        engine=NoSeqCheckEngine,
    ),
    Mutant(
        "no check of an update's place",
        Budgets((2, 0), lose_news=1),
        "a device's state is not that of its version",
        device=device_of(AcceptsGaps),
    ),
    Mutant(
        "an update twice",
        Budgets((1, 0), lose_news=1),
        "a device's state is not that of its version",
        device=device_of(AppliesTwice),
    ),
    Mutant(
        "subscribe after reading",
        Budgets((1, 0)),
        "a device stays behind",
        rules=Rules(subscribes_before_reading=False),
        begins_connected=False,
    ),
    Mutant(
        "pings without heads",
        Budgets((1, 0), lose_news=1),
        "a device stays behind",
        rules=Rules(pings_carry_heads=False),
    ),
    Mutant(
        "heads not looked at", Budgets((1, 0), lose_news=1), "a device stays behind", device=device_of(IgnoresHeads)
    ),
    Mutant(
        "outbox emptied at sending",
        Budgets((1, 0), cut=1),
        "a change vanished from the device that made it",
        device=DropsAtSend,
    ),
    Mutant(
        "nothing sent again on a new connection",
        Budgets((1, 0), cut=1),
        "a change that was made never reached the log",
        device=KeepsPlace,
    ),
    Mutant(
        "pending dropped at the ack",
        Budgets((1, 0)),
        "a change vanished from the device that made it",
        device=device_of(DropsAtAck),
    ),
    Mutant(
        "refused taken for decided",
        Budgets((1, 0), refuse_commit=1),
        "an acknowledged change is not in the log",
        device=device_of(TrimsAtNack),
    ),
    Mutant(
        "refused and not sent again",
        Budgets((1, 0), refuse_commit=1),
        "a change that was made never reached the log",
        device=device_of(NeverRewinds),
    ),
    Mutant(
        "progress taken for loss",
        Budgets((2, 2), refuse_commit=2),
        "a change vanished from the device that made it",
        device=MistakesProgressForLoss,
        boxes=(0, 0),
        is_found_by_walks=True,
    ),
]
