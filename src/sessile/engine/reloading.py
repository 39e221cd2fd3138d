"""Settings that are read again while a process runs: who is to do it, and the audit events that it was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sessile.model.audit import AuditEvent
from sessile.ports import Clock, Random, Store, Transaction

_ROW: Final = "settings_asked"
_REASON_LENGTH_MAX: Final = 1000


class ReloadEngine:
    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random

    async def ask(self) -> str:
        """Every process that looks (`asked`) is to read its settings again; the name of this call."""
        name = self._random.token_bytes(8).hex()
        await self._store.write(_ask, name)
        return name

    async def asked(self) -> str | None:
        """The name of the last call."""
        return await self._store.read(_asked)

    async def note_reloaded(self, process: str, changed: Mapping[str, Sequence[Any]], waiting: Sequence[str]) -> None:
        """Which settings are others now in a process, and which will be after its next start."""
        await self._note(
            "settings_reloaded",
            process,
            changed={name: list(values) for name, values in changed.items()},
            waiting=list(waiting),
        )

    async def note_refused(self, process: str, reason: str) -> None:
        """What a process read was no configuration: it goes on with the one it had."""
        await self._note("settings_refused", process, reason=reason[:_REASON_LENGTH_MAX])

    async def _note(self, kind: str, process: str, **data: Any) -> None:
        event = AuditEvent(stream="system", type=kind, at=self._clock.now(), data={"process": process, **data})
        await self._store.write(_audit, event)


def _ask(tx: Transaction, name: str) -> None:
    tx.put_instance(_ROW, name)


def _asked(tx: Transaction) -> str | None:
    return tx.instance(_ROW)


def _audit(tx: Transaction, event: AuditEvent) -> None:
    tx.audit([event])
