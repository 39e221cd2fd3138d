"""How far the audit log was delivered: what waits, by time and as a whole, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sessile.engine.delivery import DeliveryEngine
from sessile.model.audit import AuditEvent
from sessile.ports import Transaction
from sessile.testing.lab import Lab
from sessile.testing.store_contract.base import Contract


class DeliveryContract(Contract):
    """The rows behind `audit_file`, `audit_syslog` and `audit_webhook_url`."""

    async def test_what_a_sink_has_not_is_pending(self, lab: Lab) -> None:
        bench = await lab.open()
        start = lab.clock.now()
        late = start + timedelta(seconds=100)
        await bench.store.write(_note, "b", start, 3)
        await bench.store.write(_note, "a", late, 2)
        assert await bench.store.read(_pending, "file", None, 10) == {"a": 0, "b": 0}
        assert list(await bench.store.read(_pending, "file", start, 10)) == ["b", "a"], "who waits longest is the first"
        assert await bench.store.read(_pending, "file", late, 10) == {"a": 0}
        assert await bench.store.read(_pending, "file", start, 1) == {"b": 0}
        await bench.store.write(_put, "file", {"a": 2, "b": 1})
        assert await bench.store.read(_pending, "file", start, 10) == {"b": 1}
        await bench.store.write(_put, "file", {"b": 3})
        assert await bench.store.read(_pending, "file", None, 10) == {}
        assert await bench.store.read(_pending, "syslog", None, 10) == {"a": 0, "b": 0}, "each sink for itself"
        # It committed last, and says that it happened first: what a mark on the time alone would miss.
        await bench.store.write(_note, "c", start - timedelta(seconds=50), 1)
        assert await bench.store.read(_pending, "file", start, 10) == {}
        assert await bench.store.read(_pending, "file", None, 10) == {"c": 0}

    async def test_with_a_chain_its_deliveries_go(self, lab: Lab) -> None:
        bench = await lab.open()
        await bench.store.write(_note, "a", lab.clock.now(), 1)
        await bench.store.write(_put, "file", {"a": 1})
        await bench.store.write(_forget, "a")
        await bench.store.write(_note, "a", lab.clock.now(), 1)
        assert await bench.store.read(_pending, "file", None, 10) == {"a": 0}

    async def test_a_users_stream_that_begins_anew_while_it_is_delivered(self, lab: Lab) -> None:
        bench = await lab.open()
        engine = DeliveryEngine(bench.store, lab.clock)
        await bench.store.write(_note, "user:ada", lab.clock.now(), 2)
        batch = await engine.next_batch("file", None, 10)
        await bench.store.write(_forget, "user:ada")
        await bench.store.write(_note, "user:ada", lab.clock.now(), 1)
        assert await engine.keep("file", "me", 60, batch.positions)
        (again,) = (await engine.next_batch("file", None, 10)).events
        assert (again.position, again.hash != batch.events[0].hash) == (1, True)
        assert await engine.keep("file", "me", 60, {"user:ada": 1})
        assert (await engine.next_batch("file", None, 10)).positions == {}

    async def test_one_at_a_time_delivers(self, lab: Lab) -> None:
        first = await lab.open()
        second = await lab.open() if self.is_shared else first
        mine, theirs = (DeliveryEngine(bench.store, lab.clock) for bench in (first, second))
        await first.store.write(_note, "a", lab.clock.now(), 3)
        assert await mine.claim("file", "me", 60)
        assert not await theirs.claim("file", "they", 60)
        assert await theirs.claim("syslog", "they", 60)
        lab.clock.advance(61)
        assert await theirs.claim("file", "they", 60)
        assert not await mine.keep("file", "me", 60, {"a": 3}), "it was away for too long"
        assert await theirs.keep("file", "they", 60, {"a": 2})
        assert [event.position for event in (await mine.next_batch("file", None, 10)).events] == [3]
        await theirs.release("file", "they")
        assert await mine.claim("file", "me", 60)


def _note(tx: Transaction, stream: str, at: datetime, count: int) -> None:
    tx.audit([AuditEvent(stream=stream, type="noted", at=at) for _ in range(count)])


def _pending(tx: Transaction, sink: str, since: datetime | None, limit: int) -> dict[str, int]:
    return tx.deliveries.pending(sink, since, limit)


def _put(tx: Transaction, sink: str, positions: Mapping[str, int]) -> None:
    tx.deliveries.put(sink, positions)


def _forget(tx: Transaction, stream: str) -> None:
    chain = tx.audit_chain(stream, lock=True)
    assert chain is not None
    tx.forget_audit(type(chain)(stream, chain.position, chain.hash, chain.position, chain.hash))
    tx.close_audit(stream)
