"""Documents of a kind: what does not fit is refused, old states become new ones once, and who does not know a kind only reads."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest

from sessile.model.document import CheckpointKind, LoggedChange, Outcome, Verdict
from sessile.model.errors import (
    ChangeRejected,
    DocumentTooLarge,
    InvalidChange,
    InvalidValue,
    SchemaUnknown,
    SchemaUpgradeFailed,
)
from sessile.model.kind import Kinds
from sessile.model.operations import apply
from sessile.runtime.kinds import DocumentKind, kinds_of
from sessile.testing.lab import ADA, PHONE, Bench, Lab, change, failed, only, put, succeeded
from sessile.testing.store_contract.base import Contract

MANUAL: Final = CheckpointKind.MANUAL
_UPGRADED: Final = "schema_upgraded"


def _whole_step(state: dict[str, Any]) -> None:
    if type(state.get("step", 0)) is not int:
        raise InvalidValue("/step", "a whole number is needed")
    if state.get("step") == 13:
        raise LookupError("the schema itself is at fault")


def _named(state: dict[str, Any]) -> None:
    _whole_step(state)
    if "full_name" not in state:
        raise InvalidValue("/full_name", "is missing")


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    state["full_name"] = state.pop("name")
    return state


FIRST: Final = DocumentKind(
    name="intake",
    schema=_whole_step,
    names=("form", "form-*"),
    default={"step": 1, "name": "Ada"},
    policies={"/mine": "reject"},
    state_bytes_max=1000,
)
SECOND: Final = DocumentKind(name="intake", version=2, schema=_named, names=("form", "form-*"), upgrades={1: _renamed})


def known(*kinds: DocumentKind) -> Kinds:
    """Rules of these kinds, for which no check ever takes time."""
    return kinds_of(kinds, timer=lambda: 0.0)


class KindContract(Contract):
    """Schemas, upgrades, and processes that differ in what they know."""

    async def test_what_does_not_fit_the_kind_is_rejected_with_the_place(self, lab: Lab) -> None:
        bench = await lab.open(kinds=known(FIRST))
        opened = await bench.documents.open(ADA, "form", None)
        document = opened.document
        assert (document.schema_name, document.schema_version) == ("intake", 1)
        assert document.state == {"step": 1, "name": "Ada"}
        document_id = document.document_id
        for seq, value, code, path in ((1, "two", "schema", "/step"), (2, 13, "validator_failed", "")):
            logged = await bench.take(ADA, document_id, seq, 0, put("/step", value), put("/note", "x"))
            assert logged.detail is not None
            assert (logged.verdict, logged.detail["code"], logged.detail["path"]) == (Verdict.REJECTED, code, path)
        assert (await bench.documents.get(ADA, document_id)).state == {"step": 1, "name": "Ada"}
        assert (await bench.take(ADA, document_id, 3, 2, put("/step", 2))).verdict is Verdict.APPLIED
        assert (await bench.take(ADA, document_id, 4, 3, put("/note", "x" * 1000))).verdict is Verdict.REJECTED
        with pytest.raises(ChangeRejected):
            await bench.changes.change(ADA, document_id, [put("/step", "three")], None, None)
        assert (await bench.documents.get(ADA, document_id)).state == {"step": 2, "name": "Ada"}

    async def test_the_policies_of_the_kind_hold(self, lab: Lab) -> None:
        bench = await lab.open(kinds=known(FIRST))
        document_id = (await bench.document()).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/mine", 1))
        assert (await bench.take(PHONE, document_id, 1, 0, put("/mine", 2))).verdict is Verdict.CONFLICT

    async def test_a_document_is_of_the_kind_that_claims_its_name(self, lab: Lab) -> None:
        other = DocumentKind(name="other", schema=_whole_step)
        bench = await lab.open(kinds=known(FIRST, other))
        with pytest.raises(InvalidChange) as fault:
            await bench.documents.open(ADA, "form", {"step": "one"})
        assert fault.value.path == "/default/step"
        with pytest.raises(ChangeRejected):
            await bench.documents.open(ADA, "form", {"step": 13})
        with pytest.raises(DocumentTooLarge):
            await bench.documents.open(ADA, "form", {"note": "x" * 1000})
        with pytest.raises(SchemaUnknown):
            await bench.documents.open(ADA, "x", None, "nobody knows")
        with pytest.raises(InvalidChange):
            await bench.documents.open(ADA, "form-2", None, "other")
        free = (await bench.documents.open(ADA, "notes", None)).document
        assert free.schema_name == ""
        with pytest.raises(InvalidChange):
            await bench.documents.rename(ADA, free.document_id, "form-2")
        with pytest.raises(InvalidChange):
            await bench.documents.open(ADA, "notes", None, "other")
        with pytest.raises(InvalidChange):
            await bench.copies.fork(ADA, free.document_id, "form-2", None, None)
        assert (await bench.documents.open(ADA, "mine", None, "other")).document.schema_name == "other"

    async def test_an_old_state_is_shown_in_the_new_version_and_nothing_is_written(self, lab: Lab) -> None:
        old, new = await self._two_processes(lab)
        document_id = (await old.document()).document.document_id
        shown = await new.documents.get(ADA, document_id)
        assert (shown.state, shown.schema_version, shown.version) == ({"step": 1, "full_name": "Ada"}, 2, 0)
        assert (await new.documents.open(ADA, "form", None)).document.state == shown.state
        assert only(await new.documents.list(ADA)).state == shown.state
        assert (await new.documents.since(ADA, document_id, None, None)).document.state == shown.state
        assert (await old.documents.get(ADA, document_id)).state == {"step": 1, "name": "Ada"}
        assert await new.documents.log(ADA, document_id, None, 10) == []

    async def test_the_first_write_upgrades_by_a_line_of_its_own(self, lab: Lab) -> None:
        old, new = await self._two_processes(lab)
        document_id = (await old.document()).document.document_id
        await old.take(ADA, document_id, 1, 0, put("/note", "kept"))
        before = await old.documents.get(ADA, document_id)
        new.told.clear()
        logged = await new.take(ADA, document_id, 2, 1, put("/step", 2))
        assert (logged.verdict, logged.version) == (Verdict.APPLIED, 3)
        delta = await new.documents.since(ADA, document_id, before.epoch, 1)
        assert [(c.version, c.device_no, c.device_id, c.seq) for c in delta.changes] == [
            (2, 0, None, None), (3, 1, ADA.device_id, 2),
        ]  # fmt: skip
        upgrade = delta.changes[0]
        assert upgrade.detail == {"code": _UPGRADED, "message": "", "from": 1, "to": 2}
        told = only([event for event in new.told if event.changes]).changes
        assert [(c.version, c.operations) for c in told] == [(c.version, c.operations) for c in delta.changes]
        followed = before.state
        for line in delta.changes:
            followed = apply(followed, line.operations).state
        document = await new.documents.get(ADA, document_id)
        assert followed == document.state == {"step": 2, "note": "kept", "full_name": "Ada"}
        assert (document.schema_version, document.version) == (2, 3)
        await new.take(ADA, document_id, 3, 3, put("/step", 3))
        assert len(await new.documents.log(ADA, document_id, None, 10)) == 4, "upgraded once"

    async def test_server_code_bases_its_change_on_the_upgraded_state(self, lab: Lab) -> None:
        old, new = await self._two_processes(lab)
        document_id = (await old.document()).document.document_id
        logged = await new.changes.change(ADA, document_id, [put("/full_name", "Ada L.")], None, "once")
        assert (logged.verdict, logged.conflicts, logged.base_version) == (Verdict.APPLIED, [], 1)
        again = await new.changes.change(ADA, document_id, [put("/full_name", "Ada L.")], None, "once")
        assert again.version == logged.version

    async def test_who_was_shown_the_upgraded_state_does_not_collide_with_it(self, lab: Lab) -> None:
        old, new = await self._two_processes(lab)
        document_id = (await old.document()).document.document_id
        await old.take(ADA, document_id, 1, 0, put("/note", 1))
        await new.document(actor=PHONE)
        test = {"op": "test", "version_at_most": 1}
        for actor, seq, base in ((ADA, 2, 1), (PHONE, 1, 1)):
            logged = await new.take(actor, document_id, seq, base, *([test] if actor is ADA else []), put("/step", 1))
            assert logged.verdict in {Verdict.APPLIED, Verdict.NOOP}
            assert logged.conflicts == []
        edited = await new.take(PHONE, document_id, 2, 1, put("/full_name", "Ada L."))
        assert (edited.verdict, edited.conflicts) == (Verdict.APPLIED, [])
        earlier = await new.take(ADA, document_id, 3, 0, put("/full_name", "A."))
        assert [conflict.path for conflict in earlier.conflicts] == ["/full_name"]
        late = await new.take(PHONE, document_id, 3, 1, test, put("/step", 9))
        assert late.detail is not None
        assert (late.verdict, late.detail["code"]) == (Verdict.CONFLICT, "test_failed")

    async def test_an_upgrade_that_fails_leaves_the_old_state_readable(self, lab: Lab) -> None:
        old = await lab.open(kinds=known(FIRST))
        document_id = (await old.documents.open(ADA, "form", {"step": 1})).document.document_id
        made = await old.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        none = DocumentKind(name="intake", version=2, schema=_named)
        unfit = DocumentKind(name="intake", version=2, schema=_named, upgrades={1: dict})
        for kind in (SECOND, none, unfit):
            new = await lab.open(kinds=known(kind))
            assert (await new.documents.get(ADA, document_id)).state == {"step": 1}
            outcome = await new.send(ADA, document_id, change(ADA, 1, 0, put("/step", 2)))
            assert (outcome.logged, type(outcome.error)) == ([], SchemaUpgradeFailed)
            for refused in (
                partial(new.changes.change, ADA, document_id, [put("/step", 2)], None, None),
                partial(new.checkpoints.restore, ADA, document_id, made.checkpoint_id, None, None, dry_run=False),
            ):
                with pytest.raises(SchemaUpgradeFailed):
                    await refused()
        assert await old.documents.log(ADA, document_id, None, 10) == []
        assert (await old.take(ADA, document_id, 1, 0, put("/step", 2))).verdict is Verdict.APPLIED

    async def test_who_does_not_know_the_kind_only_reads(self, lab: Lab) -> None:
        old, new = await self._two_processes(lab)
        document_id = (await new.documents.open(ADA, "form", {"full_name": "Ada"})).document.document_id
        checkpoint = await new.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        stranger = await lab.open()
        for bench in (old, stranger):
            assert (await bench.documents.get(ADA, document_id)).state == {"full_name": "Ada"}
            assert (await bench.documents.since(ADA, document_id, None, None)).snapshot
            outcome = await bench.send(ADA, document_id, change(ADA, 1, 0, put("/step", 2)))
            assert (outcome.logged, type(outcome.error)) == ([], SchemaUnknown)
            for refused in (
                partial(bench.changes.change, ADA, document_id, [put("/step", 2)], None, None),
                partial(
                    bench.checkpoints.restore, ADA, document_id, checkpoint.checkpoint_id, None, None, dry_run=False
                ),
            ):
                with pytest.raises(SchemaUnknown):
                    await refused()
        assert (await new.documents.get(ADA, document_id)).version == 0
        logged = await new.take(ADA, document_id, 1, 0, put("/step", 2))
        replay = await stranger.take(ADA, document_id, 1, 0, put("/step", 2))
        assert replay == logged, "what was decided already is told by anybody"

    async def test_a_restore_brings_an_old_checkpoint_up_to_date(self, lab: Lab) -> None:
        old, new = await self._two_processes(lab)
        document_id = (await old.document()).document.document_id
        first = await old.checkpoints.create(ADA, document_id, "first", MANUAL, None, None)
        await old.take(ADA, document_id, 1, 0, put("/step", 2))
        preview = await new.checkpoints.restore(ADA, document_id, first.checkpoint_id, None, None, dry_run=True)
        assert [d.path for d in preview.differences] == ["/step"]
        restored = await new.checkpoints.restore(ADA, document_id, first.checkpoint_id, None, 1, dry_run=False)
        assert restored.document.state == {"step": 1, "full_name": "Ada"}
        assert (restored.document.version, restored.document.schema_version) == (3, 2)
        assert restored.before is not None
        assert (restored.before.state, restored.before.schema_version) == ({"step": 2, "name": "Ada"}, 1)
        log = await new.documents.log(ADA, document_id, None, 10)
        assert [(c.version, c.generation, (c.detail or {}).get("code")) for c in log] == [
            (3, 1, None), (2, 0, _UPGRADED), (1, 0, None),
        ]  # fmt: skip
        bad = await new.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        stricter = await lab.open(
            kinds=known(DocumentKind(name="intake", version=3, schema=_never, upgrades={1: _renamed, 2: dict}))
        )
        with pytest.raises(SchemaUpgradeFailed):
            await stricter.checkpoints.restore(ADA, document_id, bad.checkpoint_id, None, None, dry_run=False)

    async def test_a_partial_restore_that_does_not_fit_is_refused(self, lab: Lab) -> None:
        bench = await lab.open(kinds=known(SECOND))
        document_id = (await bench.documents.open(ADA, "form", {"full_name": "Ada"})).document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/step", 1))
        loose = await lab.open(kinds=known(DocumentKind(name="intake", version=2)))
        await loose.take(ADA, document_id, 2, 1, put("/step", "odd"))
        odd = await loose.checkpoints.create(ADA, document_id, "", MANUAL, None, None)
        await loose.take(ADA, document_id, 3, 2, put("/step", 3))
        for paths in (None, ["/step"]):
            with pytest.raises(ChangeRejected) as refused:
                await bench.checkpoints.restore(ADA, document_id, odd.checkpoint_id, paths, None, dry_run=False)
            assert refused.value.detail["code"] == "schema"
        assert (await bench.documents.get(ADA, document_id)).version == 3

    async def test_an_upgrade_in_the_middle_of_traffic_happens_once(self, lab: Lab) -> None:
        if not self.is_shared:
            pytest.skip("one process cannot be of two versions")
        old, new = await self._two_processes(lab)
        opened = await old.document()
        document_id = opened.document.document_id
        devices = [ADA, PHONE]
        await old.document(actor=PHONE)

        async def write(bench: Bench, number: int) -> list[Outcome]:
            actor = devices[number]
            outcomes: list[Outcome] = []
            for seq in range(1, 9):
                line = change(actor, seq, 0, put(f"/d{number}_{seq}", seq))
                outcomes.append(await bench.send(actor, document_id, line))
                if outcomes[-1].error is not None:
                    break
            return outcomes

        results = await lab.together(partial(write, old, 0), partial(write, new, 1))
        assert failed(results) == []
        outcomes = [outcome for result in succeeded(results) for outcome in result]
        accepted = [line for outcome in outcomes for line in outcome.logged]
        refused = [outcome.error for outcome in outcomes if outcome.error is not None]
        assert {type(error) for error in refused} <= {SchemaUnknown}, (
            "of the old process, and only for want of the kind"
        )
        assert all(line.verdict is Verdict.APPLIED for line in accepted)
        document = await new.documents.get(ADA, document_id)
        log = (await new.documents.log(ADA, document_id, None, 100))[::-1]
        assert [line.version for line in log] == list(range(1, len(accepted) + 2))
        assert len([line for line in log if _is_upgrade(line)]) == 1
        state = opened.document.state
        for line in log:
            state = apply(state, line.operations).state
        assert state == document.state
        assert {key for key in state if key.startswith("d")} == {
            str(line.operations[0]["path"])[1:] for line in accepted
        }
        assert (state["full_name"], document.schema_version) == ("Ada", 2)
        missing = await new.send(
            ADA,
            document_id,
            *(change(ADA, seq, 0, put(f"/d0_{seq}", seq)) for seq in range(1, 9)),
        )
        assert [line.verdict for line in missing.logged] == [Verdict.APPLIED] * 8, "what was refused is sent again"

    async def _two_processes(self, lab: Lab) -> tuple[Bench, Bench]:
        """Two versions of one application on the same rows."""
        if not self.is_shared:
            pytest.skip("one process cannot be of two versions")
        return await lab.open(kinds=known(FIRST)), await lab.open(kinds=known(SECOND))


def _is_upgrade(line: LoggedChange) -> bool:
    return (line.detail or {}).get("code") == _UPGRADED


def _never(_state: dict[str, Any]) -> None:
    raise InvalidValue("", "nothing fits")
