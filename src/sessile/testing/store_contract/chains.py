"""The audit log as chains: what verifies, page by page, and after their beginnings were forgotten. That each kind of tampering is found is
tested beside the stores, since no store lets its rows be changed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from sessile.engine import audit
from sessile.engine.audit import AuditReport
from sessile.model.audit import AuditEvent, AuditPage, AuditPlace, AuditStream
from sessile.model.errors import InvalidValue
from sessile.model.session import EndReason
from sessile.ports import Transaction
from sessile.testing.lab import Bench, Lab
from sessile.testing.store_contract.base import Contract


class ChainContract(Contract):
    """Read and verify."""

    async def test_what_was_written_verifies(self, lab: Lab) -> None:
        bench = await lab.open()
        assert await bench.audits.verify(None) == AuditReport(0, 0, [])
        handles = [(await bench.sessions.create(f"user{number}")).session.session_id for number in range(3)]
        for handle in handles:
            await bench.sessions.rotate(handle)
            await bench.sessions.end(handle, EndReason.LOGOUT)
        for roles in (["a"], ["b"], ["é"]):
            await bench.principals.change("ada", None, roles)
        assert await bench.audits.verify(None) == AuditReport(4, 12, [])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(audit, "_STREAMS_AT_ONCE", 2)
            patch.setattr(audit, "_EVENTS_AT_ONCE", 2)
            assert await bench.audits.verify(None) == AuditReport(4, 12, [])
        assert await bench.audits.verify(f"session:{handles[0]}") == AuditReport(1, 3, [])
        assert await bench.audits.verify("session:unknown") == AuditReport(0, 0, [])

    async def test_a_stream_is_read_newest_first_page_by_page(self, lab: Lab) -> None:
        bench = await lab.open()
        for number in range(5):
            await bench.principals.change("ada", {"n": number}, None)
        newest = await bench.audits.events("user:ada", None, 2)
        assert [event.position for event in newest] == [5, 4]
        rest = await bench.audits.events("user:ada", 4, 10)
        assert [event.position for event in rest] == [3, 2, 1]
        assert await bench.audits.events("user:eve", None, 10) == []

    async def test_a_chain_is_told_with_its_ends(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.write(_note, lab, "b", 2)
        await bench.store.write(_note, lab, "a", 1)
        await bench.store.write(_note, lab, "c", 1)
        a, b, c = await bench.store.read(_streams, "", None)
        assert [(chain.stream, chain.position, chain.base_position) for chain in (a, b, c)] == [
            ("a", 1, 0),
            ("b", 2, 0),
            ("c", 1, 0),
        ]
        assert b.hash == (await bench.audit("b"))[-1].hash
        assert await bench.store.read(_streams, "a", 1) == [b]
        assert await bench.store.read(_chain, "b") == b
        assert await bench.store.read(_chain, "d") is None

    async def test_a_chain_without_its_beginning_verifies_and_goes_on(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.write(_note, lab, "b", 5)
        third = (await bench.audit("b"))[2]
        chain = await bench.store.read(_chain, "b")
        assert chain is not None
        shorter = AuditStream("b", chain.position, chain.hash, third.position, third.hash)
        await bench.store.write(_forget, shorter)
        assert [event.position for event in await bench.audit("b")] == [4, 5]
        assert await bench.audits.verify("b") == AuditReport(1, 2, [])
        await bench.store.write(_note, lab, "b", 1)
        assert await bench.audits.verify("b") == AuditReport(1, 3, [])
        last = (await bench.audit("b"))[-1]
        await bench.store.write(_forget, AuditStream("b", 6, last.hash, 6, last.hash))
        assert await bench.audits.verify("b") == AuditReport(1, 0, [])
        await bench.store.write(_note, lab, "b", 1)
        assert await bench.audits.verify("b") == AuditReport(1, 1, [])
        assert [event.position for event in await bench.audit("b")] == [7]
        await bench.store.write(_note, lab, "c", 1)
        await bench.store.write(_close, "b")
        assert [chain.stream for chain in await bench.store.read(_streams, "", None)] == ["c"]

    async def test_all_streams_are_read_in_the_order_of_their_times(self, lab: Lab) -> None:
        bench = await lab.open()
        assert await bench.audits.tail(None, 10) == AuditPage([], None)
        for stream in ("b", "a", "b"):
            await bench.store.write(_note, lab, stream, 2)
            lab.clock.advance(1)
        every = await bench.store.read(_behind, None, 100)
        assert [(event.stream, event.position) for event in every] == [
            ("b", 1), ("b", 2), ("a", 1), ("a", 2), ("b", 3), ("b", 4),
        ]  # fmt: skip
        for index, event in enumerate(every):
            assert await bench.store.read(_behind, AuditPlace.of(event), 2) == every[index + 1 : index + 3]
        last = await bench.audits.tail(None, 3)
        assert list(last.events) == every[3:]
        assert await bench.audits.tail(last.after, 10) == AuditPage([], last.after)
        await bench.store.write(_note, lab, "c", 1)
        assert [event.stream for event in (await bench.audits.tail(last.after, 10)).events] == ["c"]
        with pytest.raises(InvalidValue):
            await bench.audits.tail("not a place", 10)

    async def test_an_export_goes_page_by_page(self, lab: Lab) -> None:
        bench = await lab.open()
        for stream in ("b", "a", "c"):
            await bench.store.write(_note, lab, stream, 3)
            lab.clock.advance(1)
        since, until = lab.clock.now() - timedelta(seconds=2), lab.clock.now() - timedelta(seconds=1)
        for size in (1, 2, 3, 100):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(audit, "_EVENTS_AT_ONCE", size)
                assert await _pages(bench, None, None, None) == [f"{s}{n}" for s in "bac" for n in (1, 2, 3)]
                assert await _pages(bench, None, None, "a") == ["a1", "a2", "a3"]
                assert await _pages(bench, since, until, None) == ["a1", "a2", "a3"]
                assert await _pages(bench, since, until, "a") == ["a1", "a2", "a3"]
                assert await _pages(bench, since, None, "b") == []

    async def test_what_was_noted_elsewhere_is_compared(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.write(_note, lab, "b", 5)
        ends = [AuditStream("b", event.position, event.hash) for event in await bench.audit("b")]
        assert (await bench.audits.verify(None, ends)).faults == []
        other = AuditStream("b", 2, ends[3].hash)
        assert [fault.position for fault in (await bench.audits.verify(None, [other])).faults] == [2]
        assert [fault.position for fault in (await bench.audits.verify("b", [AuditStream("b", 6, b"")])).faults] == [6]
        assert [fault.stream for fault in (await bench.audits.verify(None, [AuditStream("gone", 1, b"")])).faults] == [
            "gone"
        ]
        await bench.store.write(_forget, AuditStream("b", 5, ends[4].hash, 3, ends[2].hash))
        assert (await bench.audits.verify("b", ends)).faults == [], "what retention took is not missed"

    async def test_old_chains_are_named_in_order(self, lab: Lab) -> None:
        bench = await lab.open()
        for stream in ("c", "a", "b"):
            await bench.store.write(_note, lab, stream, 2)
            lab.clock.advance(1)
        assert await bench.store.read(_old, lab, 0, 10) == ["a", "b", "c"]
        assert await bench.store.read(_old, lab, 0, 2) == ["a", "b"]
        assert await bench.store.read(_old, lab, -2, 10) == ["c"]
        assert await bench.store.read(_old, lab, -3, 10) == [], "strictly before"


def _note(tx: Transaction, lab: Lab, stream: str, count: int) -> None:
    tx.audit([AuditEvent(stream=stream, type="tested", at=lab.clock.now(), data={"n": n}) for n in range(count)])


async def _pages(bench: Bench, since: datetime | None, until: datetime | None, stream: str | None) -> list[str]:
    told, after = list[str](), None
    while True:
        page = await bench.audits.page(after, since, until, stream)
        told += [f"{event.stream}{event.position}" for event in page.events]
        if (after := page.after) is None:
            return told


def _behind(tx: Transaction, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
    return tx.audit_behind(place, limit)


def _streams(tx: Transaction, after: str, limit: int | None) -> list[AuditStream]:
    return tx.audit_streams(after=after, limit=limit)


def _chain(tx: Transaction, stream: str) -> AuditStream | None:
    return tx.audit_chain(stream)


def _forget(tx: Transaction, chain: AuditStream) -> None:
    tx.forget_audit(chain)


def _close(tx: Transaction, stream: str) -> None:
    tx.close_audit(stream)


def _old(tx: Transaction, lab: Lab, seconds: float, limit: int) -> list[str]:
    return tx.old_audit(lab.clock.now() + timedelta(seconds=seconds), limit)
