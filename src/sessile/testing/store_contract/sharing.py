"""Two stores on the same rows, as two processes are: each sees what the other committed, and hears of it by polling."""

from __future__ import annotations

import pytest

from sessile.model.document import CheckpointKind
from sessile.model.errors import SessionEnded, VersionConflict
from sessile.model.events import Event, EventKind
from sessile.model.session import EndReason
from sessile.ports import Transaction
from sessile.testing.lab import ADA, PHONE, Lab, put
from sessile.testing.store_contract.base import Contract


class SharingContract(Contract):
    """What crosses from one store to the other. Skipped where `is_shared` is False."""

    async def test_what_one_store_committed_the_other_sees(self, lab: Lab) -> None:
        self.shared_only()
        here, there = await lab.open(), await lab.open()
        issued = await here.sessions.create("ada")
        document_id = (await here.document({"a": 1})).document.document_id
        assert (await there.sessions.authenticate(issued.token)) == issued.session
        await there.take(PHONE, document_id, 1, 0, put("/a", 2))
        assert (await here.documents.get(ADA, document_id)).state == {"a": 2}
        await there.sessions.end(issued.session.session_id, EndReason.LOGOUT)
        with pytest.raises(SessionEnded):
            await here.sessions.authenticate(issued.token)

    async def test_polling_tells_of_the_others_commits_once_in_order_as_hints(self, lab: Lab) -> None:
        self.shared_only()
        if not self.is_polled:
            return
        here, there = await lab.open(), await lab.open()
        opened = await here.document()
        document_id, epoch = opened.document.document_id, opened.document.epoch
        await there.store.poll()
        there.told.clear()
        await here.take(ADA, document_id, 1, 0, put("/a", 1))
        saved = await here.checkpoints.create(ADA, document_id, "", CheckpointKind.MANUAL, None, None)
        session = (await here.sessions.create("ada")).session
        await here.sessions.end(session.session_id, EndReason.ADMIN)
        assert there.told == [], "nobody is told before it looks"
        await there.store.poll()
        assert there.told == [
            Event(EventKind.DOCUMENT_CHANGED, document_id, 1, epoch=epoch),
            Event(EventKind.CHECKPOINT_SAVED, document_id, 1, saved.checkpoint_id, epoch),
            Event(EventKind.SESSION_ENDED, session.session_id, 2, "admin"),
        ]
        await there.store.poll()
        await there.store.tidy()
        await there.store.poll()
        assert len(there.told) == 3

    async def test_a_store_that_comes_later_is_not_told_of_what_was_before(self, lab: Lab) -> None:
        self.shared_only()
        here = await lab.open()
        session = (await here.sessions.create("ada")).session
        await here.sessions.end(session.session_id, EndReason.ADMIN)
        there = await lab.open()
        await there.store.poll()
        assert there.told == []

    async def test_what_was_rolled_back_is_told_to_nobody(self, lab: Lab) -> None:
        self.shared_only()
        here, there = await lab.open(), await lab.open()
        document_id = (await here.document()).document.document_id
        await there.store.poll()
        there.told.clear()

        def work(tx: Transaction) -> None:
            tx.emit(Event(EventKind.DOCUMENT_CHANGED, document_id, 1))
            raise VersionConflict(None)

        with pytest.raises(VersionConflict):
            await here.store.write(work)
        await there.store.poll()
        assert there.told == []
