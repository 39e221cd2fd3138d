"""Documents as rows: whose they are, their names, positions, logs, and states too large to be written with every change."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from sessile.model.document import Actor, Opened, Verdict
from sessile.model.errors import (
    AuthenticationRequired,
    DocumentNotFound,
    DocumentTooLarge,
    InvalidChange,
    SessionNotFound,
    VersionConflict,
)
from sessile.model.limits import REPLAY_CHANGES_MAX, STATE_BYTES_MAX
from sessile.model.operations import apply
from sessile.testing.lab import ADA, EVE, PHONE, RULES, Bench, Lab, change, put
from sessile.testing.store_contract.base import Contract

NAMES_REFUSED = ["", "x" * 201, "a\nb", "\x00", "\ud800"]


class DocumentContract(Contract):
    """Open, read, follow, rename, archive."""

    async def test_opening_makes_a_document_once(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.documents.open(ADA, "form", {"a": [1, 2.5, None, True, {"ü": "€"}]})
        assert (first.created, first.device_no, first.last_seq, first.document.version) == (True, 1, 0, 0)
        again = await bench.documents.open(ADA, "form", {"b": 1})
        assert (again.created, again.document) == (False, first.document)
        by_id = await bench.documents.open_by_id(ADA, first.document.document_id)
        assert by_id == again
        assert await bench.documents.get(ADA, first.document.document_id) == first.document

    async def test_devices_are_numbered_in_the_order_they_come(self, lab: Lab) -> None:
        bench = await lab.open()
        first = await bench.document()
        assert (await bench.document(actor=PHONE)).device_no == 2
        assert (await bench.documents.open_by_id(ADA, first.document.document_id)).device_no == 1
        without = await bench.document(actor=Actor(user_id="ada"))
        assert (without.device_no, without.created) == (0, False)

    async def test_somebody_elses_document_is_not_found(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"secret": 1})).document.document_id
        visitor = Actor(session_id="01900000-0000-7000-8000-000000000000")
        for stranger in (EVE, visitor, Actor()):
            for refused in (
                partial(bench.documents.get, stranger, document_id),
                partial(bench.documents.open_by_id, stranger, document_id),
                partial(bench.documents.since, stranger, document_id, None, None),
                partial(bench.documents.log, stranger, document_id, None, 10),
                partial(bench.documents.conflicts, stranger, document_id),
                partial(bench.documents.rename, stranger, document_id, "mine"),
                partial(bench.documents.archive, stranger, document_id),
                partial(bench.changes.change, stranger, document_id, [put("/a", 1)], None, None),
            ):
                with pytest.raises(DocumentNotFound):
                    await refused()
        for outcome in (
            await bench.send(EVE, document_id, change(EVE, 1, 0, put("/a", 1))),
            await bench.send(ADA, "01900000-0000-7000-8000-000000000000", change(ADA, 1, 0, put("/a", 1))),
        ):
            assert isinstance(outcome.error, DocumentNotFound)
        assert (await bench.documents.get(Actor.system(), document_id)).state == {"secret": 1}

    async def test_users_and_sessions_have_names_of_their_own(self, lab: Lab) -> None:
        bench = await lab.open()
        session = (await bench.sessions.create(None)).session
        visitor = Actor(session_id=session.session_id)
        ids = {(await bench.documents.open(actor, "form", {})).document.document_id for actor in (ADA, EVE, visitor)}
        assert len(ids) == 3
        assert len(await bench.documents.list(ADA)) == len(await bench.documents.list(visitor)) == 1

    async def test_a_session_that_does_not_exist_owns_no_document(self, lab: Lab) -> None:
        bench = await lab.open()
        with pytest.raises(SessionNotFound):
            await bench.documents.open(Actor(session_id="01900000-0000-7000-8000-000000000000"), "form", {})

    async def test_the_list_has_active_documents_latest_activity_first(self, lab: Lab) -> None:
        bench = await lab.open()
        opened: list[Opened] = []
        for name in ("one", "two", "three"):
            opened.append(await bench.documents.open(ADA, name, {}))
            lab.clock.advance(1)
        await bench.take(ADA, opened[0].document.document_id, 1, 0, put("/a", 1))
        await bench.documents.archive(ADA, opened[1].document.document_id)
        listed = await bench.documents.list(ADA)
        assert [(d.name, d.state) for d in listed] == [("one", {"a": 1}), ("three", {})]

    async def test_a_name_that_is_taken_is_refused_and_an_archived_one_is_free(self, lab: Lab) -> None:
        bench = await lab.open()
        one = (await bench.documents.open(ADA, "one", {"n": 1})).document.document_id
        two = (await bench.documents.open(ADA, "two", {"n": 2})).document.document_id
        with pytest.raises(VersionConflict):
            await bench.documents.rename(ADA, two, "one")
        assert (await bench.documents.get(ADA, two)).name == "two"
        await bench.documents.archive(ADA, one)
        await bench.documents.archive(ADA, one)
        assert (await bench.documents.rename(ADA, two, "one")).state == {"n": 2}
        assert (await bench.documents.open(ADA, "one", {})).document.document_id == two
        assert (await bench.documents.get(ADA, one)).state == {"n": 1}, "nothing is deleted"
        audited = [event.type for event in await bench.audit(f"document:{two}")]
        assert audited == ["document_created", "document_renamed"]

    async def test_the_store_itself_refuses_a_second_document_of_the_same_name(self, lab: Lab) -> None:
        bench = await lab.open()
        document = (await bench.document()).document
        twin = replace(document, document_id="01900000-0000-7000-8000-000000000001")
        with pytest.raises(VersionConflict):
            await bench.store.write(lambda tx: tx.documents.insert(twin))
        assert len(await bench.documents.list(ADA)) == 1

    @pytest.mark.parametrize("name", NAMES_REFUSED, ids=ascii)
    async def test_a_bad_name_is_refused(self, lab: Lab, name: str) -> None:
        bench = await lab.open()
        with pytest.raises(InvalidChange):
            await bench.documents.open(ADA, name, {})
        assert await bench.documents.list(ADA) == []

    async def test_a_default_that_cannot_be_kept_is_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        with pytest.raises(InvalidChange):
            await bench.documents.open(ADA, "form", {"a": float("inf")})
        with pytest.raises(DocumentTooLarge):
            await bench.documents.open(ADA, "form", {"a": "x" * STATE_BYTES_MAX})
        assert await bench.documents.list(ADA) == []

    async def test_a_position_gives_contiguous_changes_or_a_snapshot(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"n": 0})
        document_id, epoch = opened.document.document_id, opened.document.epoch
        for seq in (1, 2, 3):
            await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
        delta = await bench.documents.since(ADA, document_id, epoch, 1)
        assert (delta.snapshot, delta.from_version) == (False, 1)
        assert [(c.version, c.operations) for c in delta.changes] == [(2, [put("/n", 2)]), (3, [put("/n", 3)])]
        nothing_new = await bench.documents.since(ADA, document_id, epoch, 3)
        assert (nothing_new.snapshot, nothing_new.from_version, list(nothing_new.changes)) == (False, 3, [])
        for known in ((None, None), (epoch, None), ("other", 1), (epoch, 4), (epoch, -1)):
            snapshot = await bench.documents.since(ADA, document_id, *known)
            assert (snapshot.snapshot, snapshot.from_version, snapshot.document.state) == (True, 3, {"n": 3}), known

    async def test_a_position_too_far_back_gives_a_snapshot(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"n": 0})
        document_id, epoch = opened.document.document_id, opened.document.epoch
        many = [change(ADA, seq, seq - 1, put("/n", seq)) for seq in range(1, REPLAY_CHANGES_MAX + 2)]
        await bench.send(ADA, document_id, *many)
        assert (await bench.documents.since(ADA, document_id, epoch, 0)).snapshot is True
        delta = await bench.documents.since(ADA, document_id, epoch, 1)
        assert (delta.snapshot, len(delta.changes)) == (False, REPLAY_CHANGES_MAX)

    async def test_the_log_is_paged_newest_first(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document()).document.document_id
        for seq in range(1, 6):
            await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
        assert [c.version for c in await bench.documents.log(ADA, document_id, None, 2)] == [5, 4]
        assert [c.version for c in await bench.documents.log(ADA, document_id, 4, 2)] == [3, 2]
        assert [c.version for c in await bench.documents.log(ADA, document_id, 1, 2)] == []

    async def test_a_large_state_lags_behind_its_log_and_is_read_at_its_version(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"text": "x" * 20_000})
        document_id = opened.document.document_id
        for seq in range(1, 131):
            await bench.take(ADA, document_id, seq, seq - 1, put("/n", seq))
            if seq in (1, 99, 100, 101, 130):
                await _check_state(bench, document_id, seq)
        row = await bench.store.read(lambda tx: tx.documents.get(document_id))
        assert row is not None
        assert (row.version, row.state_version, row.state["n"]) == (130, 100, 100)
        renamed = await bench.documents.rename(ADA, document_id, "other")
        assert (renamed.version, renamed.state["n"]) == (130, 130)
        await _check_state(bench, document_id, 130)
        assert [d.state["n"] for d in await bench.documents.list(ADA)] == [130]

    async def test_the_state_is_the_log_applied(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document({"a": {"b": 1}})
        document_id = opened.document.document_id
        await bench.take(ADA, document_id, 1, 0, put("/a/c", 2), {"op": "increment", "path": "/n", "by": 3})
        await bench.take(ADA, document_id, 2, 1, {"op": "append", "path": "/l", "item": {"id": 1}})
        await bench.take(ADA, document_id, 3, 2, {"op": "increment", "path": "/l", "by": 1})
        await bench.take(ADA, document_id, 4, 3, {"op": "merge", "path": "", "value": {"a": {"b": None}}})
        state = opened.document.state
        for logged in await bench.store.read(lambda tx: tx.documents.changes(document_id, after=0)):
            if logged.verdict is Verdict.APPLIED:
                state = apply(state, logged.operations).state
        assert state == (await bench.documents.get(ADA, document_id)).state == {"a": {"c": 2}, "n": 3, "l": [{"id": 1}]}

    async def test_an_archived_document_is_listed_apart_and_comes_back_while_its_name_is_free(self, lab: Lab) -> None:
        bench = await lab.open()
        document_id = (await bench.document({"a": 1})).document.document_id
        await bench.documents.archive(ADA, document_id)
        assert await bench.documents.list(ADA) == []
        assert [document.document_id for document in await bench.documents.list(ADA, archived=True)] == [document_id]
        with pytest.raises(DocumentNotFound):
            await bench.documents.unarchive(EVE, document_id)
        back = await bench.documents.unarchive(ADA, document_id)
        assert (back.status, back.state) == ("active", {"a": 1})
        assert await bench.documents.unarchive(ADA, document_id) == back, "again changes nothing"
        assert await bench.documents.list(ADA, archived=True) == []
        assert [event.type for event in await bench.audit(f"document:{document_id}")] == [
            "document_created", "document_archived", "document_unarchived",
        ]  # fmt: skip
        await bench.documents.archive(ADA, document_id)
        await bench.document({"a": 2})
        with pytest.raises(VersionConflict):
            await bench.documents.unarchive(ADA, document_id)

    async def test_what_was_made_anonymously_is_claimed_once_and_by_its_own_session(self, lab: Lab) -> None:
        bench = await lab.open(replace(RULES, claim_on_login=False))
        session_id = (await bench.sessions.create(None)).session.session_id
        draft = await bench.documents.open(Actor(session_id=session_id), "form", {"a": 1})
        taken = await bench.document({"a": 2})
        with pytest.raises(AuthenticationRequired):
            await bench.documents.claim(Actor(session_id=session_id))
        await bench.sessions.login(session_id, "ada")
        ada = Actor(user_id="ada", session_id=session_id)
        with pytest.raises(AuthenticationRequired):
            await bench.documents.claim(Actor(user_id="eve", session_id=session_id))
        claimed = await bench.documents.claim(ada)
        assert [(one.document_id, one.name, one.state) for one in claimed] == [
            (draft.document.document_id, "form (2)", {"a": 1})
        ]
        assert await bench.documents.claim(ada) == []
        names = {document.name: document.document_id for document in await bench.documents.list(ada)}
        assert names == {"form": taken.document.document_id, "form (2)": draft.document.document_id}


async def _check_state(bench: Bench, document_id: str, version: int) -> None:
    for document in (
        await bench.documents.get(ADA, document_id),
        (await bench.documents.open_by_id(ADA, document_id)).document,
        (await bench.documents.since(ADA, document_id, None, None)).document,
    ):
        assert (document.version, document.state.get("n"), len(document.state["text"])) == (version, version, 20_000)
