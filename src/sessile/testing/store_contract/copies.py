"""Documents made of documents: forks and imports are documents of their own, whole, and nobody else's."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

import pytest

from sessile.model.canonical import digest
from sessile.model.document import Actor, CheckpointKind, Verdict
from sessile.model.errors import (
    ChangeRejected,
    CheckpointNotFound,
    DocumentNotFound,
    ExportDamaged,
    InvalidChange,
    SchemaUnknown,
    SessionEnded,
    VersionConflict,
    VersionNotKept,
)
from sessile.model.session import EndReason
from sessile.testing.lab import ADA, EVE, PHONE, Bench, Lab, failed, only, put, succeeded
from sessile.testing.store_contract.base import Contract
from sessile.testing.store_contract.kinds import FIRST, known

MANUAL = CheckpointKind.MANUAL
HARMS: Final[list[tuple[str, Any]]] = [
    ("document/state/n", "forged"),
    ("document/generation", 7),
    ("document/version", 99),
    ("format", "other"),
    ("log/1", "gone"),
    ("log/0/operations", [{"op": "explode", "path": ""}]),
    ("log/0/operations", [{"op": "set", "path": "/n/x", "value": 1}]),
    ("log/0/created_at", "0001-01-01T00:00:00+14:00"),
    ("log/0/state_hash", "0" * 16),
    ("log/3/operations/0/value", {}),
    ("conflicts/0/path", "no pointer"),
    ("checkpoints/0/version", 99),
    ("checkpoints/0/state", []),
]
"""What is put where in a good export; each makes it a bad one, whether or not its hash is made again."""


class CopyContract(Contract):
    """Fork, export, import."""

    async def test_a_fork_is_a_document_of_its_own(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"n": 0})).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/n", 1))
        checkpoint = await bench.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        await bench.take(ADA, document_id, 2, 1, put("/n", 2))
        source = await bench.documents.get(ADA, document_id)
        forks = [
            await bench.copies.fork(ADA, document_id, "now", None, None),
            await bench.copies.fork(ADA, document_id, "version", 0, None),
            await bench.copies.fork(ADA, document_id, "checkpoint", None, checkpoint.checkpoint_id),
            await bench.copies.fork(Actor.system(), document_id, "by the system", 1, None),
        ]
        assert [(fork.state["n"], fork.version, fork.owner) for fork in forks] == [
            (2, 0, source.owner), (0, 0, source.owner), (1, 0, source.owner), (1, 0, source.owner),
        ]  # fmt: skip
        assert len({source.epoch, *(fork.epoch for fork in forks)}) == 5
        assert await bench.documents.get(ADA, forks[0].document_id) == forks[0]
        await bench.document(actor=ADA)
        logged = await bench.take(ADA, forks[0].document_id, 1, 0, put("/n", 9))
        assert (logged.verdict, logged.version) == (Verdict.APPLIED, 1)
        assert await bench.documents.get(ADA, document_id) == source
        created = only(await bench.audit(f"document:{forks[1].document_id}"))
        assert (created.type, created.data) == (
            "document_created", {"name": "version", "forked_from": document_id, "version": 0},
        )  # fmt: skip
        forked = (await bench.audit(f"document:{document_id}"))[-4:]
        assert [(event.type, event.data["fork_id"]) for event in forked] == [
            ("document_forked", fork.document_id) for fork in forks
        ]

    async def test_a_fork_that_cannot_be_leaves_nothing(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        refused: list[tuple[type[Exception], partial[Any]]] = [
            (DocumentNotFound, partial(bench.copies.fork, EVE, document_id, "x", None, None)),
            (VersionConflict, partial(bench.copies.fork, ADA, document_id, "form", None, None)),
            (InvalidChange, partial(bench.copies.fork, ADA, document_id, "", None, None)),
            (InvalidChange, partial(bench.copies.fork, ADA, document_id, "x", 1, None)),
            (InvalidChange, partial(bench.copies.fork, ADA, document_id, "x", 0, document_id)),
            (CheckpointNotFound, partial(bench.copies.fork, ADA, document_id, "x", None, document_id)),
        ]
        for error, call in refused:
            with pytest.raises(error):
                await call()
        assert len(await bench.documents.list(ADA)) == 1
        assert len(await bench.audit(f"document:{document_id}")) == 1
        session = (await bench.sessions.create("ada")).session
        await bench.sessions.end(session.session_id, EndReason.LOGOUT)
        late = Actor("ada", session.session_id)
        exported = await bench.copies.export(ADA, document_id)
        for call in (
            partial(bench.copies.fork, late, document_id, "x", None, None),
            partial(bench.copies.import_, late, exported, "x"),
        ):
            with pytest.raises(SessionEnded):
                await call()

    async def test_of_forks_at_once_one_has_the_name(self, lab: Lab) -> None:
        first = await lab.open()
        other = await lab.open() if self.is_shared else first
        document_id = (await first.document({"n": 1})).document.document_id
        calls = [
            partial(bench.copies.fork, ADA, document_id, "copy", None, None) for bench in (first, other, first, other)
        ]
        outcomes = await lab.together(*calls)
        assert len(succeeded(outcomes)) == 1
        assert {type(error) for error in failed(outcomes)} == {VersionConflict}
        assert sorted(d.name for d in await first.documents.list(ADA)) == ["copy", "form"]

    async def test_an_import_is_what_was_exported(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = await _rich(bench)
        exported = json.loads(json.dumps(await bench.copies.export(ADA, document_id)))
        made = await bench.copies.import_(EVE, exported, None)
        source = await bench.documents.get(ADA, document_id)
        assert (made.state, made.version, made.generation, made.name) == (
            source.state, source.version, source.generation, source.name,
        )  # fmt: skip
        assert made.owner.user_id == "eve"
        assert made.epoch != source.epoch
        assert await bench.documents.get(EVE, made.document_id) == made
        again = await bench.copies.export(EVE, made.document_id)
        assert _without_ids(again) == _without_ids(exported)
        conflict = only(await bench.documents.conflicts(EVE, made.document_id))
        assert conflict.conflict_id != only(await bench.documents.conflicts(ADA, document_id)).conflict_id
        created = only(await bench.audit(f"document:{made.document_id}"))
        assert created.data == {"name": "form", "imported_version": source.version}

    async def test_an_imported_document_goes_on(self, lab: Lab) -> None:
        bench = await lab.open()
        exported = await bench.copies.export(ADA, await _rich(bench))
        made = await bench.copies.import_(ADA, exported, "again")
        opened = await bench.documents.open(ADA, "again", None)
        assert (opened.device_no, opened.last_seq) == (3, 0), "numbers of its history are not given again"
        conflict = only(opened.conflicts)
        version, generation = made.version, made.generation
        resolve = {"op": "resolve", "conflict_id": conflict.conflict_id, "choice": "value", "value": 7}
        outcome = await bench.changes.change(ADA, made.document_id, [resolve], None, None)
        assert (outcome.verdict, outcome.generation) == (Verdict.APPLIED, generation)
        assert [d.path for d in await bench.history.diff(ADA, made.document_id, version, "now")] == [conflict.path]
        checkpoint = only([c for c in await bench.checkpoints.list(ADA, made.document_id) if c.kind is MANUAL])
        restored = await bench.checkpoints.restore(
            ADA, made.document_id, checkpoint.checkpoint_id, None, None, dry_run=False
        )
        assert restored.document.generation == generation + 1

    async def test_a_damaged_export_is_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        exported = await bench.copies.export(ADA, await _rich(bench))
        for place, value in HARMS:
            for is_resealed in (False, True):
                copy = json.loads(json.dumps(exported))
                _harm(copy, place, value)
                if is_resealed:  # by somebody who knows how the hash is made
                    del copy["hash"]
                    copy["hash"] = digest(copy).hex()
                with pytest.raises(ExportDamaged):
                    await bench.copies.import_(EVE, copy, None)
        copy = json.loads(json.dumps(exported))
        _harm(copy, "log/0/device_no", 9)
        with pytest.raises(ExportDamaged):  # consistent in itself: only the hash tells
            await bench.copies.import_(EVE, copy, None)
        for nonsense in ({}, {"format": "sessile.document.1"}, {"hash": "x", "log": float("nan")}):
            with pytest.raises(ExportDamaged):
                await bench.copies.import_(EVE, nonsense, None)
        assert await bench.documents.list(EVE) == []
        with pytest.raises(DocumentNotFound):
            await bench.copies.export(EVE, (await bench.document()).document.document_id)

    async def test_of_imports_at_once_one_has_the_name(self, lab: Lab) -> None:
        first = await lab.open()
        other = await lab.open() if self.is_shared else first
        exported = await first.copies.export(ADA, await _rich(first))
        outcomes = await lab.together(
            *(partial(bench.copies.import_, EVE, exported, None) for bench in (first, other, first, other))
        )
        assert len(succeeded(outcomes)) == 1
        assert {type(error) for error in failed(outcomes)} == {VersionConflict}

    async def test_an_import_fits_its_kind_and_its_name(self, lab: Lab) -> None:
        free = await lab.open()
        bench = await lab.open(kinds=known(FIRST)) if self.is_shared else free
        if bench is free:
            pytest.skip("one process knows a kind or does not")
        await free.documents.open(ADA, "free", {"step": "two"})
        loose = await free.copies.export(ADA, (await free.documents.open(ADA, "free", None)).document.document_id)
        with pytest.raises(InvalidChange):
            await bench.copies.import_(EVE, loose, "form")
        strict = await bench.copies.export(ADA, (await bench.documents.open(ADA, "form", None)).document.document_id)
        with pytest.raises(SchemaUnknown):
            await free.copies.import_(EVE, strict, None)
        for value, error in (("two", InvalidChange), (13, ChangeRejected)):
            forged = json.loads(json.dumps(strict))
            forged["document"]["state"] = forged["base"]["state"] = {"step": value}
            del forged["hash"]
            forged["hash"] = digest(forged).hex()
            with pytest.raises(error):
                await bench.copies.import_(EVE, forged, None)
        assert (await bench.copies.import_(EVE, strict, None)).schema_name == "intake"

    async def test_what_was_forgotten_is_not_in_an_export(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        for seq in range(1, 9):
            await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
        lab.clock.advance(100_000)
        while await bench.history.compact(10):
            pass
        exported = await bench.copies.export(ADA, document_id)
        assert exported["base"]["version"] == 4
        made = await bench.copies.import_(ADA, exported, "again")
        assert (made.version, made.state) == (8, {"n": 8})
        for call in (
            partial(bench.history.diff, ADA, made.document_id, 3, 8),
            partial(bench.copies.fork, ADA, made.document_id, "x", 3, None),
        ):
            with pytest.raises(VersionNotKept):
                await call()
        assert [d.restored for d in await bench.history.diff(ADA, made.document_id, 4, 8)] == [8]


async def _rich(bench: Bench) -> str:
    """A document with two devices, a checkpoint, a restore and an open conflict."""
    document_id = (await bench.document({"n": 0, "list": [{"id": 1}]})).document.document_id
    await bench.take(ADA, document_id, 1, 0, put("/n", 1))
    checkpoint = await bench.checkpoints.create(ADA, document_id, "one", MANUAL, 2, None)
    await bench.take(ADA, document_id, 2, 1, put("/n", "not a number"))
    await bench.take(ADA, document_id, 3, 2, {"op": "increment", "path": "/n", "by": 1})
    await bench.checkpoints.restore(ADA, document_id, checkpoint.checkpoint_id, None, None, dry_run=False)
    await bench.document(actor=PHONE)
    await bench.take(PHONE, document_id, 1, 3, put("/n", 5))
    return document_id


def _harm(exported: dict[str, Any], place: str, value: Any) -> None:
    *parents, last = (int(key) if key.isdigit() else key for key in place.split("/"))
    target: Any = exported
    for key in parents:
        target = target[key]
    target[last] = value


def _without_ids(exported: dict[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(exported))
    for line in copy["log"]:
        for conflict in line["conflicts"]:
            del conflict["conflict_id"]
    for conflict in copy["conflicts"]:
        del conflict["conflict_id"]
    del copy["hash"], copy["document"]["updated_at"]
    copy["checkpoints"].sort(key=lambda checkpoint: (checkpoint["version"], checkpoint["kind"]))
    return copy
