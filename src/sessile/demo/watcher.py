"""Looks for gaps whenever somebody changed a report, and writes what it found beside it. Never in the way of who is typing: it writes
paths of its own, and only over what it has read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from sessile.demo.gaps import next_findings
from sessile.demo.report import DERIVED, is_report
from sessile.model.canonical import json_equal
from sessile.model.document import Actor, Document, Operation
from sessile.model.errors import ChangeRejected, DocumentNotFound, SessileError
from sessile.model.events import Event, EventKind
from sessile.model.wire import iso
from sessile.runtime.manager import AsyncSessionManager

logger = logging.getLogger("sessile.demo")

DELAY_S: Final = 0.3
"""Typing makes several changes a second; one look for all of them is enough."""
_PAUSE_AFTER_FAILURE_S: Final = 1.0


class GapWatcher:
    """`run` it as a task. Reports that changed while the server was away are looked at when their owner opens the page (`look`)."""

    def __init__(self, manager: AsyncSessionManager, *, delay_s: float = DELAY_S) -> None:
        self._manager = manager
        self._delay_s = delay_s
        self._waiting: dict[str, None] = {}
        self._is_due = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled."""
        unsubscribe = self._manager.subscribe(self._heard)
        try:
            while True:
                await self._is_due.wait()
                await asyncio.sleep(self._delay_s)
                await self._look_at_waiting()
        finally:
            unsubscribe()

    async def look(self, document_id: str) -> Document:
        """Brings the lists of one report up to date; the report as it was read. Raises DocumentNotFound, StoreUnavailable, and
        ChangeRejected when somebody else wrote the lists meanwhile."""
        documents, system = self._manager.documents, Actor.system()
        document = await documents.get(system, document_id)
        if is_report(document.name) and (operations := self._operations(document)):
            await documents.change(system, document_id, operations)
        return document

    def _operations(self, document: Document) -> list[Operation]:
        now = self._manager.clock.now()
        findings = next_findings(document.state, now.date(), iso(now))
        guards: list[Operation] = []
        writes: list[Operation] = []
        for name in DERIVED:
            found: list[Any] = getattr(findings, name)
            path, is_there, known = f"/{name}", name in document.state, document.state.get(name)
            guards.append({"op": "test", "path": path, **({"equals": known} if is_there else {"exists": False})})
            if not is_there or not json_equal(known, found):
                writes.append({"op": "set", "path": path, "value": found})
        return [*guards, *writes] if writes else []

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind is EventKind.DOCUMENT_RESTORED or (
                event.kind is EventKind.DOCUMENT_CHANGED and any(change.device_no for change in event.changes)
            ):
                self._waiting[event.key] = None
                self._is_due.set()

    async def _look_at_waiting(self) -> None:
        waiting, self._waiting = list(self._waiting), {}
        self._is_due.clear()
        for document_id in waiting:
            try:
                with suppress(DocumentNotFound):  # archived meanwhile
                    await self.look(document_id)
            except SessileError as error:
                await self._failed(document_id, error)

    async def _failed(self, document_id: str, error: SessileError) -> None:
        """Somebody was faster, or the store is away: again. Everything else would fail the same way until the report changes."""
        is_overtaken = isinstance(error, ChangeRejected) and error.detail.get("code") == "test_failed"
        if error.retryable:
            logger.warning(
                "Could not look for gaps, trying again: %s", error.code, extra={"event_name": "demo_look_failed"}
            )
            await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
        elif not is_overtaken:
            logger.warning("Could not look for gaps: %s", error.message, extra={"event_name": "demo_look_failed"})
            return
        self._waiting[document_id] = None
        self._is_due.set()
