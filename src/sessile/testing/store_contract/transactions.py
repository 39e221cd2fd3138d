"""Units of work: all or nothing, told after the commit, and never an outage that looks like "there is nothing"."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sessile.model.audit import AuditEvent, fault_of
from sessile.model.document import LoggedChange, Verdict
from sessile.model.errors import SessionCreationError, VersionConflict
from sessile.model.events import Event, EventKind
from sessile.model.platform import PlatformEntry
from sessile.model.session import Principal, Session
from sessile.ports import Store, Transaction
from sessile.testing.lab import ADA, Lab, change, put
from sessile.testing.shows import shows, shows_security
from sessile.testing.store_contract.base import Contract


class _Refused(Exception):
    """Raised by work that changes its mind."""


class TransactionContract(Contract):
    """Rows, rollback, events, audit chains, leases, small values."""

    async def test_a_transaction_sees_its_own_writes(self, lab: Lab) -> None:
        bench = await lab.open()

        def work(tx: Transaction) -> tuple[str, list[str]]:
            tx.instance("colour", "green")
            tx.audit([_event(lab)])
            seen = tx.instance("colour")
            assert seen is not None
            return seen, [event.type for event in tx.audit_stream("system")]

        assert await bench.store.write(work) == ("green", ["tested"])

    async def test_missing_is_none_or_empty_and_never_an_error(self, lab: Lab) -> None:
        bench = await lab.open()
        nothing = "01900000-0000-7000-8000-000000000000"

        def work(tx: Transaction) -> list[Any]:
            return [
                tx.sessions.get(nothing),
                tx.sessions.principal("nobody"),
                tx.documents.get(nothing),
                tx.documents.by_name(ADA.owner, "nothing"),
                tx.documents.change_of_device(nothing, nothing, 1),
                tx.documents.change_by_key(nothing, "key"),
                tx.documents.device(nothing, nothing),
                tx.documents.checkpoint(nothing, nothing),
                tx.documents.checkpoint_by_request(nothing, "request"),
                tx.documents.log_base(nothing),
                tx.instance("nothing"),
            ]

        def lists(tx: Transaction) -> list[Any]:
            rows = tx.documents
            return [
                tx.sessions.of_user("nobody", lab.clock.now()),
                tx.sessions.expired(lab.clock.now(), 10),
                list(tx.sessions.get_many([nothing])),
                list(tx.sessions.get_many([])),
                list(rows.get_many([nothing])),
                list(rows.get_many([])),
                rows.of_owner(ADA.owner),
                rows.needing_checkpoint(lab.clock.now(), 10),
                rows.changes(nothing, after=0),
                rows.recent_changes(nothing, before=None, limit=10),
                rows.devices(nothing),
                rows.open_conflicts(nothing),
                rows.checkpoints(nothing),
                tx.audit_stream("nothing"),
                tx.recent_audit("nothing", before=None, limit=10),
                rows.needing_compaction(0, lab.clock.now(), 10),
            ]

        assert await bench.store.read(work) == [None] * 11
        assert await bench.store.read(lists) == [[]] * 16

    async def test_an_error_rolls_everything_back_and_comes_through(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = await bench.sessions.create("ada", data=b'{"kept":1}')
        opened = await bench.document({"kept": 1})
        before = await _dump(bench.store, issued.session.session_id, opened.document.document_id)
        bench.told.clear()

        def work(tx: Transaction) -> None:
            session, document = _rows(tx, issued.session.session_id, opened.document.document_id)
            tx.sessions.update(replace(session, data=b"{}", version=9))
            tx.sessions.put_principal(Principal("ada", {"name": "somebody else"}))
            tx.documents.update([replace(document, state={}, version=9, state_version=9)], with_state=[True])
            tx.audit([_event(lab)])
            tx.instance("colour", "red")
            tx.lease("sweep", "me", lab.clock.now(), lab.clock.now() + timedelta(seconds=60))
            tx.emit(Event(EventKind.SESSION_CHANGED, session.session_id, 9))
            raise _Refused

        with pytest.raises(_Refused):
            await bench.store.write(work)
        assert await _dump(bench.store, issued.session.session_id, opened.document.document_id) == before
        assert bench.told == []
        assert await bench.store.read(lambda tx: tx.instance("colour")) is None
        assert await bench.audit("system") == []
        assert await bench.store.write(_lease, lab, "sweep", "somebody else") is True

    async def test_a_read_writes_nothing(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.read(lambda tx: tx.instance("colour", "green"))
        assert await bench.store.read(lambda tx: tx.instance("colour")) is None
        assert bench.told == []

    async def test_listeners_are_told_after_the_commit_with_what_was_committed(self, lab: Lab) -> None:
        bench = await lab.open()
        opened = await bench.document()
        order: list[str] = []
        bench.store.subscribe(lambda events: order.extend(f"told {event.version}" for event in events))
        bench.told.clear()

        def work(tx: Transaction) -> None:
            tx.emit(Event(EventKind.SESSION_CHANGED, "01900000-0000-7000-8000-000000000000", 3))
            order.append("work is over")

        await bench.store.write(work)
        logged = await bench.take(ADA, opened.document.document_id, 1, 0, put("/a", 1))
        assert order == ["work is over", "told 3", "told 1"]
        told = bench.told[-1]
        assert (told.kind, told.key, told.version) == (EventKind.DOCUMENT_CHANGED, opened.document.document_id, 1)
        assert (told.epoch, list(told.changes)) == (opened.document.epoch, [logged])

    async def test_whoever_unsubscribed_is_not_told(self, lab: Lab) -> None:
        bench = await lab.open()
        told: list[Event] = []
        stop = bench.store.subscribe(told.extend)
        await bench.store.write(_emit)
        stop()
        await bench.store.write(_emit)
        assert len(told) == 1

    async def test_a_store_is_not_told_its_own_commits_again_by_polling(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.poll()
        await bench.store.write(_emit)
        await bench.store.poll()
        await bench.store.tidy()
        await bench.store.poll()
        assert len(bench.told) == 1

    @shows_security("C-10")
    async def test_audit_streams_are_chained_each_by_itself(self, lab: Lab) -> None:
        bench = await lab.open()
        for _ in range(3):
            await bench.store.write(lambda tx: tx.audit([_event(lab), _event(lab, "user:ada")]))
        events = await bench.audit("system")
        assert [event.position for event in events] == [1, 2, 3]
        previous = b""
        for event in events:
            assert event.previous_hash == previous
            assert fault_of(event, event.position, previous) is None
            previous = event.hash
        others = await bench.audit("user:ada")
        assert others[0].hash != events[0].hash
        assert others[0].data == {"why": "contract"}

    async def test_a_lease_has_one_holder_until_it_lapses(self, lab: Lab) -> None:
        bench = await lab.open()
        assert await bench.store.write(_lease, lab, "sweep", "first") is True
        assert await bench.store.write(_lease, lab, "sweep", "second") is False
        assert await bench.store.write(_lease, lab, "other", "second") is True
        lab.clock.advance(59)
        assert await bench.store.write(_lease, lab, "sweep", "second") is False
        assert await bench.store.write(_lease, lab, "sweep", "first") is True, "a holder renews its own"
        lab.clock.advance(60)
        assert await bench.store.write(_lease, lab, "sweep", "second") is True, "at the instant itself it has lapsed"
        assert await bench.store.write(_lease, lab, "sweep", "first") is False

    async def test_a_value_of_the_installation_is_written_once(self, lab: Lab) -> None:
        bench = await lab.open()
        assert await bench.store.write(lambda tx: tx.instance("key", "first")) == "first"
        assert await bench.store.write(lambda tx: tx.instance("key", "second")) == "first"
        assert await bench.store.read(lambda tx: tx.instance("key")) == "first"

    @shows_security("V-3")
    async def test_a_session_id_that_is_taken_is_refused(self, lab: Lab) -> None:
        bench = await lab.open()
        issued = await bench.sessions.create("ada", data=b'{"mine":1}')
        impostor = replace(issued.session, user_id="eve", token_hash=b"x" * 32, data=b"{}")
        with pytest.raises(SessionCreationError):
            await bench.store.write(lambda tx: tx.sessions.insert(impostor))
        assert (await bench.sessions.authenticate(issued.token)).user_id == "ada"

    @shows("A12")
    async def test_a_session_comes_back_as_it_was_written(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.platforms.sync("ada", [PlatformEntry(platform_id="p-1", name="Shop")])
        issued = await bench.sessions.create(
            "ada", data=b'{"a":1}', public={"name": "Ada", "n": None}, device={"label": "Föhn"}, platform_id="p-1"
        )
        rotated = await bench.sessions.rotate(issued.session.session_id)
        assert await bench.sessions.get(issued.session.session_id) == rotated.session

    @pytest.mark.parametrize("clash", ["version", "seq", "key"])
    async def test_version_seq_and_key_are_unique_in_the_store_itself(self, lab: Lab, clash: str) -> None:
        bench = await lab.open()
        opened = await bench.document()
        first = _line(lab, opened.document.document_id)
        same = {
            "version": replace(first, seq=2, idempotency_key=None),
            "seq": replace(first, version=2, idempotency_key=None),
            "key": replace(first, version=2, seq=None, device_id=None),
        }[clash]
        await bench.store.write(lambda tx: tx.documents.insert_changes([first]))
        with pytest.raises(VersionConflict):
            await bench.store.write(lambda tx: tx.documents.insert_changes([same]))
        with pytest.raises(VersionConflict):
            await bench.store.write(lambda tx: tx.documents.insert_changes([replace(first, version=3, seq=3), first]))
        log = await bench.store.read(lambda tx: tx.documents.changes(opened.document.document_id, after=0))
        assert [logged.version for logged in log] == [1], "an insert that fails leaves nothing, not even its first row"

    async def test_a_closed_store_can_be_opened_again_with_what_it_had(self, lab: Lab) -> None:
        self.shared_only()
        bench = await lab.open()
        opened = await bench.document({"a": 1})
        await bench.send(ADA, opened.document.document_id, change(ADA, 1, 0, put("/a", 2)))
        await lab.close()
        again = await lab.open()
        assert (await again.documents.get(ADA, opened.document.document_id)).state == {"a": 2}


def _event(lab: Lab, stream: str = "system") -> AuditEvent:
    return AuditEvent(stream=stream, type="tested", at=lab.clock.now(), data={"why": "contract"})


def _emit(tx: Transaction) -> None:
    tx.emit(Event(EventKind.SESSION_CHANGED, "01900000-0000-7000-8000-000000000000", 1))


def _lease(tx: Transaction, lab: Lab, name: str, holder: str) -> bool:
    return tx.lease(name, holder, lab.clock.now(), lab.clock.now() + timedelta(seconds=60))


def _rows(tx: Transaction, session_id: str, document_id: str) -> tuple[Session, Any]:
    session, document = tx.sessions.get(session_id, lock=True), tx.documents.get(document_id)
    assert session is not None
    return session, document


async def _dump(store: Store, session_id: str, document_id: str) -> list[Any]:
    return await store.read(
        lambda tx: [tx.sessions.get(session_id), tx.sessions.principal("ada"), tx.documents.get(document_id)]
    )


def _line(lab: Lab, document_id: str) -> LoggedChange:
    return LoggedChange(
        document_id=document_id,
        version=1,
        generation=0,
        base_version=0,
        operations=[put("/a", 1)],
        verdict=Verdict.APPLIED,
        device_id=ADA.device_id,
        device_no=1,
        seq=1,
        idempotency_key="key",
        created_at=lab.clock.now(),
    )
