"""PostgreSQL is killed, restarted, cut: cannot look is StoreUnavailable, what was acknowledged is there, and no restart of ours is needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from sessile.model.document import CheckpointKind
from sessile.model.errors import InvalidValue, SessionNotFound, StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.model.session import EndReason
from sessile.ports import Store, Transaction
from sessile.runtime.lane import drive
from sessile.stores.sql import patience, postgres
from sessile.stores.sql.postgres import AsyncPostgresStore, BlockingPostgresStore
from sessile.stores.sql.postgres_news import payloads
from sessile.testing.fault_proxy import FaultProxy
from sessile.testing.lab import ADA, Bench, put
from sessile.testing.servers import PostgresServer
from tests.integration.postgres.conftest import opened

# SQLAlchemy lets go of a connection whose very first statement fails without closing it.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function Connection.__del__:pytest.PytestUnraisableExceptionWarning"
)
T = TypeVar("T")
TOLD_WITHIN_S = 5.0


async def until_told(bench: Bench) -> None:
    """Returns when the store has told something. Raises TimeoutError."""
    told = asyncio.Event()
    leave = bench.store.subscribe(lambda _events: told.set())
    if not bench.told:
        await asyncio.wait_for(told.wait(), TOLD_WITHIN_S)
    leave()


def test_a_killed_server_is_an_outage_and_nothing_acknowledged_is_lost(server: PostgresServer, bench: Bench) -> None:
    issued = drive(bench.sessions.create("ada"))
    document_id = drive(bench.document({"a": 1})).document.document_id
    for round_number in range(1, 4):
        drive(bench.take(ADA, document_id, round_number, 0, put("/a", round_number)))
        server.kill()
        for refused in (
            lambda: bench.sessions.authenticate(issued.token),
            lambda: bench.sessions.create("eve"),
            lambda: bench.documents.get(ADA, document_id),
        ):
            with pytest.raises(StoreUnavailable):
                drive(refused())
        server.start()
        assert _again(lambda: drive(bench.sessions.authenticate(issued.token))).session_id == issued.session.session_id
        found = drive(bench.documents.get(ADA, document_id))
        assert (found.version, found.state) == (round_number, {"a": round_number})
    with pytest.raises(SessionNotFound):
        drive(bench.sessions.get("01900000-0000-7000-8000-000000000000"))


def test_a_pool_whose_server_was_restarted_costs_nobody_a_refusal(server: PostgresServer, bench: Bench) -> None:
    issued = drive(bench.sessions.create("ada"))
    server.kill()
    server.start()
    assert drive(bench.sessions.authenticate(issued.token)).user_id == "ada"
    assert drive(bench.sessions.create("eve")).session.user_id == "eve"


def _again(call: Callable[[], T]) -> T:
    """A pool may hold connections that died with the server: one refusal each, and then it works."""
    for _ in range(10):
        try:
            return call()
        except StoreUnavailable:
            continue
    return call()


async def test_the_asyncio_lane_sees_the_same_outage(server: PostgresServer, url: str) -> None:
    bench = await opened(url)
    issued = await bench.sessions.create("ada")
    server.kill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await bench.sessions.authenticate(issued.token)
    with pytest.raises(StoreUnavailable):
        await bench.sessions.end(issued.session.session_id, EndReason.LOGOUT)
    server.start()
    assert (await bench.sessions.authenticate(issued.token)).user_id == "ada", (
        "a dead pool costs nobody a second refusal"
    )
    await bench.store.close()


def test_a_network_that_died_without_a_word_is_not_waited_for_for_ever(
    server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ANSWER_TIMEOUT_S", 0.3)
    with FaultProxy("127.0.0.1", server.port) as network:
        store = BlockingPostgresStore(server.url(url.rpartition("/")[2], port=network.port))
        drive(store.open())
        assert drive(store.read(lambda tx: tx.instance("ready"))) is None
        network.faults.half_open()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            drive(store.read(lambda tx: tx.instance("ready")))
        assert 0.3 < time.monotonic() - began < 2
        network.faults.heal()
        assert _again(lambda: drive(store.read(lambda tx: tx.instance("ready")))) is None
        drive(store.close())


async def test_while_one_tries_a_silent_database_the_others_are_refused_at_once(
    server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_CONNECT_TIMEOUT_S", 2)
    with FaultProxy("127.0.0.1", server.port) as network:
        store = AsyncPostgresStore(server.url(url.rpartition("/")[2], port=network.port))
        await store.open()
        network.faults.reset()  # who was connected notices
        network.faults.half_open()  # who connects anew does not
        await refused_within(store, 5)
        trying = asyncio.create_task(refused_within(store, 5))
        await asyncio.sleep(0.1)
        for _ in range(20):
            assert await refused_within(store, 5) < 1, "somebody else is trying it"
        await trying
        network.faults.heal()
        assert await store.read(lambda tx: tx.instance("ready")) is None, (
            "the first who tries after that is let through"
        )
        await asyncio.gather(*(store.read(lambda tx: tx.instance("ready")) for _ in range(20)))
        await store.close()


def test_so_it_is_in_the_blocking_lane(server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_CONNECT_TIMEOUT_S", 2)
    with FaultProxy("127.0.0.1", server.port) as network, ThreadPoolExecutor() as threads:
        store = BlockingPostgresStore(server.url(url.rpartition("/")[2], port=network.port))
        drive(store.open())
        drive(store.close())  # nobody is connected
        network.faults.half_open()
        asyncio.run(refused_within(store, 5))
        trying = threads.submit(asyncio.run, refused_within(store, 5))
        time.sleep(0.1)
        for _ in range(20):
            assert asyncio.run(refused_within(store, 5)) < 1
        trying.result()
        network.faults.heal()
        assert drive(store.read(lambda tx: tx.instance("ready"))) is None
        drive(store.close())


async def refused_within(store: Store, longest_s: float) -> float:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.read(lambda tx: tx.instance("ready"))
    took_s = time.monotonic() - began
    assert took_s < longest_s
    return took_s


def _stopped_in_the_middle(connection: Connection) -> None:
    """As a process that is stopped, or cut off, between two statements for longer than the server waits for it."""
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
    time.sleep(0.3)


def test_a_transaction_that_the_server_gave_up_is_an_outage(bench: Bench) -> None:
    with pytest.raises(StoreUnavailable):
        drive(bench.store.transact(_stopped_in_the_middle))
    assert drive(bench.sessions.create("ada")).session.user_id == "ada"


async def test_so_it_is_in_the_asyncio_lane(url: str) -> None:
    bench = await opened(url)
    with pytest.raises(StoreUnavailable):
        await bench.store.transact(_stopped_in_the_middle)
    assert (await bench.sessions.create("ada")).session.user_id == "ada"
    await bench.store.close()


async def test_what_a_process_holds_that_is_cut_off_is_soon_free(server: PostgresServer, url: str) -> None:
    """Whoever waits for its locks gets them, instead of an error."""
    with FaultProxy("127.0.0.1", server.port) as proxy:
        cut = await opened(url.replace(f":{server.port}/", f":{proxy.port}/"))
        other = await opened(url)
        session_id = (await other.sessions.create("ada")).session.session_id

        def work(tx: Transaction) -> None:
            tx.sessions.get(session_id, lock=True)
            proxy.faults.half_open()
            tx.instance("never")

        holding = asyncio.create_task(cut.store.write(work))
        while "half_open" not in proxy.counts.faults:  # noqa: ASYNC110 - nobody tells when it hits something
            await asyncio.sleep(0.01)
        assert await other.sessions.end(session_id, EndReason.LOGOUT)
        proxy.faults.heal()
        with pytest.raises(StoreUnavailable):
            await holding
        for bench in (cut, other):
            await bench.store.close()


async def test_closing_waits_for_what_goes_on_without_whoever_asked_for_it(url: str) -> None:
    bench = await opened(url)
    slow = asyncio.create_task(
        bench.store.transact(lambda connection: connection.execute(text("SELECT pg_sleep(0.3)")))
    )
    await asyncio.sleep(0.05)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert len(asyncio.all_tasks()) > 1
    await bench.store.close()
    assert len(asyncio.all_tasks()) == 1


async def test_an_application_may_take_its_time(url: str) -> None:
    """In a unit of work of its own."""
    bench = await opened(url)
    told = await bench.store.transact(
        lambda connection: connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    )
    assert told == "1min"
    await bench.store.close()


async def test_news_of_another_process_comes_by_itself(url: str) -> None:
    here, there = await opened(url), await opened(url)
    session = (await here.sessions.create("ada")).session
    await here.sessions.end(session.session_id, EndReason.ADMIN)
    await until_told(there)
    assert there.told == [Event(EventKind.SESSION_ENDED, session.session_id, 2, "admin")]
    assert here.told == there.told, "one's own is told once, by the commit"
    await here.store.close()
    await there.store.close()


async def test_a_connection_for_news_that_is_lost_is_made_anew(url: str) -> None:
    here, there = await opened(url), await opened(url)
    session = (await here.sessions.create("ada")).session
    await here.store.transact(
        lambda connection: connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen%'")
        )
    )
    await asyncio.sleep(0)

    async def tell() -> None:
        while not there.told:
            await here.store.write(lambda tx: tx.emit(Event(EventKind.SESSION_CHANGED, session.session_id, 9)))
            await asyncio.sleep(0.1)

    await asyncio.wait_for(tell(), TOLD_WITHIN_S)
    await here.store.close()
    await there.store.close()


def test_a_large_commit_is_told_in_pieces_that_the_database_takes() -> None:
    events = [Event(EventKind.DOCUMENT_CHANGED, f"{n:036}", n, epoch="e" * 36) for n in range(1000)]
    told = payloads("me", events)
    assert len(told) > 1
    assert all(len(payload.encode()) < 8000 for payload in told)
    assert sum(payload.count("document_changed") for payload in told) == 1000
    assert payloads("me", []) == []


def test_transactions_that_lock_crosswise_both_come_to_an_end(url: str) -> None:
    async def body() -> None:
        bench = await opened(url, pool_timeout_s=60)
        ids = [(await bench.sessions.create("ada")).session.session_id for _ in range(2)]

        def cross(order: list[str], tx: Transaction) -> int:
            for session_id in order:
                tx.sessions.get(session_id, lock=True)
                tx.instance("a", "wait")  # a statement between the two, so that both hold one
            return len(order)

        calls = [bench.store.write(partial(cross, order)) for order in (ids, ids[::-1]) * 2]
        assert await asyncio.gather(*calls) == [2] * 4
        await bench.store.close()

    asyncio.run(body())


def test_what_postgresql_cannot_keep_is_a_clear_error(bench: Bench) -> None:
    document_id = drive(bench.document({})).document.document_id
    for refused in (
        lambda: bench.sessions.create("a\x00b"),
        lambda: bench.checkpoints.create(ADA, document_id, "a\x00b", CheckpointKind.MANUAL, None, None),
        lambda: bench.changes.change(ADA, document_id, [put("/a", 1)], None, "a\x00b"),
    ):
        with pytest.raises(InvalidValue):
            drive(refused())
    drive(bench.changes.change(ADA, document_id, [put("/a", "a\x00b")], None, None))
    assert drive(bench.documents.get(ADA, document_id)).state == {"a": "a\x00b"}, "a state is kept as it is"
