"""What a browser kept comes back as ordinary changes, and in no other way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sessile.engine.backups import BackupEngine
from sessile.model.backup import Backup
from sessile.model.document import Verdict
from sessile.model.errors import ChangeRejected, DocumentNotFound, InvalidChange
from sessile.testing.lab import ADA, EVE, PHONE, Bench, Lab, only, put
from sessile.testing.store_contract.base import Contract


def kept(epoch: str, version: int, **values: Any) -> Backup:
    return Backup(ADA.device_id or "", epoch, version, {f"/{name}": value for name, value in values.items()})


def backups(bench: Bench) -> BackupEngine:
    return BackupEngine(bench.store, bench.changes)


class BackupContract(Contract):
    async def test_a_backup_is_a_change_and_the_same_one_again_is_none(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"a": 1, "b": 1})
        document_id, epoch = opened.document.document_id, opened.document.epoch
        logged = await backups(bench).restore(ADA, document_id, kept(epoch, 0, a=2))
        assert logged is not None
        assert (logged.verdict, logged.version) == (Verdict.APPLIED, 1)
        assert await backups(bench).restore(ADA, document_id, kept(epoch, 0, a=2)) == logged
        assert (await bench.documents.get(ADA, document_id)).state == {"a": 2, "b": 1}

    async def test_what_somebody_else_changed_since_is_not_overwritten_silently(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"a": 1})
        document_id, epoch = opened.document.document_id, opened.document.epoch
        await bench.take(PHONE, document_id, 1, 0, put("/a", "newer"))
        await backups(bench).restore(ADA, document_id, kept(epoch, 0, a="older"))
        conflict = only(await bench.documents.conflicts(ADA, document_id))
        assert {conflict.winner, conflict.loser} == {"newer", "older"}
        with pytest.raises(ChangeRejected):
            await backups(bench).restore(ADA, document_id, await _strict(bench, document_id, epoch))

    async def test_an_old_backup_takes_nothing_newer_back(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"a": 1, "b": 1})
        document_id, epoch = opened.document.document_id, opened.document.epoch
        await bench.take(ADA, document_id, 1, 0, put("/a", "newer"))
        await bench.take(PHONE, document_id, 1, 1, put("/b", "newer"))
        same_as_then = await backups(bench).restore(ADA, document_id, kept(epoch, 0, b=1))
        assert same_as_then is None, "what it says of /b was saved then; somebody else's newer value stays"
        assert await backups(bench).restore(ADA, document_id, kept(epoch, 0, a="older")) is None
        found = await bench.documents.get(ADA, document_id)
        assert (found.version, found.state) == (2, {"a": "newer", "b": "newer"})
        assert await bench.documents.conflicts(ADA, document_id) == []

    async def test_a_backup_of_another_log_collides_wherever_it_differs(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"a": 1})).document.document_id
        await bench.take(PHONE, document_id, 1, 0, put("/a", 2))
        await backups(bench).restore(ADA, document_id, kept("another", 1, a="kept"))
        assert len(await bench.documents.conflicts(ADA, document_id)) == 1

    async def test_whose_document_it_is_and_what_a_backup_may_hold_are_looked_at(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"a": 1})
        document_id, epoch = opened.document.document_id, opened.document.epoch
        with pytest.raises(DocumentNotFound):
            await backups(bench).restore(EVE, document_id, kept(epoch, 0, a=2))
        for values in ({}, {"": {"a": 2}}, {"a": 2}, {f"/{n}": n for n in range(201)}):
            with pytest.raises(InvalidChange):
                await backups(bench).restore(ADA, document_id, replace(kept(epoch, 0), values=values))
        assert (await bench.documents.get(ADA, document_id)).version == 0


async def _strict(bench: Bench, document_id: str, epoch: str) -> Backup:
    """A backup of a path where a collision is refused."""
    version = (await bench.documents.get(ADA, document_id)).version
    await bench.take(PHONE, document_id, 2, version, put("/strict/x", 1))
    return Backup(ADA.device_id or "", epoch, version, {"/strict/x": 2})
