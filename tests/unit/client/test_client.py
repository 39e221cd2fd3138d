"""The client against the real service, in one event loop."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sessile import AsyncSessionManager, Settings
from sessile.client import Backoff, Client, NotConnected, Outbox, OutboxUnavailable, SyncStatus
from sessile.client import events as told
from sessile.model.document import ABSENT, Actor
from sessile.model.errors import (
    ChangeRejected,
    CheckpointNotFound,
    DocumentTooLarge,
    InvalidChange,
    SessionEnded,
    VersionConflict,
)
from sessile.model.limits import FIRST_FRAME_BYTES_MAX
from sessile.server.app import create_app
from sessile.server.serving import make_server
from sessile.testing import shows

QUICK = Backoff(first_max_s=0.01, base_s=0.01, cap_s=0.05)


@dataclass
class Service:
    url: str
    manager: AsyncSessionManager
    port: int

    async def client(self, user: str = "ann", *, outbox: Outbox | None = None, **more: Any) -> Client:
        token = (await self.manager.create_session(user)).token
        return Client(self.url, token=token, outbox=outbox, backoff=QUICK, **more)


@asynccontextmanager
async def serving(database: Path | None = None, *, port: int = 0) -> AsyncIterator[Service]:
    url = "memory://" if database is None else f"sqlite:///{database}"
    manager = AsyncSessionManager(Settings(database_url=url, drain_timeout_s=1))
    service = create_app(manager, standalone=True)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = make_server(
        service, host="127.0.0.1", port=port, drain=service.drain, on_started=lambda _host, at: started.set_result(at)
    )
    running = asyncio.create_task(server.serve())
    try:
        at = await started
        yield Service(f"http://127.0.0.1:{at}/", manager, at)
    finally:
        server.should_exit = True
        await running


@shows("G01", "G02", "G03", "I01", "python")
async def test_changes_come_to_every_device_in_one_order() -> None:
    async with serving() as service, await service.client() as first, await service.client() as second:
        here, there = await first.document("intake", default={"n": 0}), await second.document("intake")
        changes = await asyncio.gather(*(document.increment("/n") for document in (here, there) * 25))
        for change in changes:
            await change.durable
        await asyncio.gather(here.synchronized(), there.synchronized())
        assert here.state == there.state == {"n": 50}
        assert [change.seq for change in changes[::2]] == list(range(1, 26))


@shows("I02", "python")
async def test_every_kind_of_change() -> None:
    async with serving() as service, await service.client() as client:
        document = await client.document("intake")
        await document.set("/a/b", 1)
        await document.merge("/a", {"c": 2, "b": None})
        await document.increment("/n", 2.5)
        await document.append("/list", {"id": "x"})
        await document.insert("/list", {"id": "y"}, None)
        await document.move("/list", "y", "x")
        await document.append("/list", {"id": "z"})
        await document.remove_item("/list", "x")
        await document.set("/gone", 1)
        last = await document.remove("/gone")
        expected = {"a": {"c": 2}, "n": 2.5, "list": [{"id": "y"}, {"id": "z"}]}
        assert document.state == expected
        await last.durable
        assert document.confirmed == expected


async def test_a_refused_change_raises_and_leaves_the_state() -> None:
    async with serving() as service, await service.client() as client:
        document = await client.document("intake", default={"a": "text"})
        change = await document.increment("/a")
        with pytest.raises(ChangeRejected) as refused:
            await change.durable
        assert refused.value.detail["code"] == "not_a_number"
        assert change.answer is not None
        assert change.answer.is_refused
        assert document.state == {"a": "text"}
        with pytest.raises(ChangeRejected):  # as often as one likes
            await change.durable


async def test_what_the_protocol_cannot_carry_is_refused_at_once() -> None:
    async with serving() as service, await service.client() as client:
        document = await client.document("intake")
        with pytest.raises(InvalidChange, match="NaN"):
            await document.set("/a", float("nan"))
        assert document.pending_count == 0
        with pytest.raises(DocumentTooLarge):
            client.open("large", default={"a": "x" * 100_000})


@shows("G07", "python")
async def test_a_collision_is_kept_and_resolved() -> None:
    async with serving() as service, await service.client() as first, await service.client() as second:
        here, there = await first.document("intake", default={"a": 0}), await second.document("intake")
        detected: asyncio.Queue[told.ConflictDetected] = asyncio.Queue()
        second.on(told.ConflictDetected, detected.put_nowait)
        one, two = await asyncio.gather(here.set("/a", "here"), there.set("/a", "there"))
        await asyncio.gather(one.durable, two.durable)
        async with asyncio.timeout(5):
            conflict = (await detected.get()).conflict
        assert {conflict.winner, conflict.loser} == {"here", "there"}
        assert conflict.base in (0, ABSENT)
        await (await there.resolve(conflict.conflict_id, value="both")).durable
        await asyncio.gather(here.synchronized(), there.synchronized())
        assert (here.conflicts, there.conflicts) == ([], [])
        await (await here.set("/later", 1)).durable
        await there.synchronized()
        assert here.state["a"] == there.state["a"] == "both"


@shows("G04", "I03", "I05", "python")
async def test_checkpoints_and_ways_back() -> None:
    async with serving() as service, await service.client() as client:
        document = await client.document("intake", default={"a": 1, "b": 1})
        checkpoint = await document.checkpoint("begin", request_id="r1")
        assert await document.checkpoint("again", request_id="r1") == checkpoint
        await document.set("/a", 2)
        await document.set("/b", 2)
        preview = await document.preview(checkpoint.checkpoint_id)
        assert [(it.path, it.current, it.restored) for it in preview] == [("/a", 2, 1), ("/b", 2, 1)]
        with pytest.raises(VersionConflict):
            await document.restore(checkpoint.checkpoint_id, version=1)
        restored = await document.restore(checkpoint.checkpoint_id, paths=["/b"])
        await (await document.set("/c", 3)).durable
        assert document.state == {"a": 2, "b": 1, "c": 3}
        assert [it.label for it in await document.checkpoints() if it.kind == "manual"] == ["begin"]
        assert restored.before_checkpoint_id in {it.checkpoint_id for it in await document.checkpoints()}
        with pytest.raises(CheckpointNotFound):
            await document.restore("01900000-0000-7000-8000-000000000000")


async def delivered(client: Client) -> None:
    """Returns when the outbox is empty: the confirmed state may come before the ack."""
    async with asyncio.timeout(5):
        while await client.outbox.waiting():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.005)


@shows("I06", "G05", "python")
async def test_work_goes_on_without_a_server_and_arrives_later(tmp_path: Path) -> None:
    async with serving(tmp_path / "s.db") as service:
        client = await service.client(outbox=Outbox(tmp_path / "box.sqlite3"))
        async with client:
            await (await (await client.document("intake")).set("/a", 1)).durable
            await delivered(client)
            port = service.port
    async with client_again(client, tmp_path) as offline:
        document = offline.open("intake")
        change = await document.set("/b", 2)
        assert document.sync_status is SyncStatus.SAVED_LOCALLY
        assert document.state == {"b": 2}
        with pytest.raises(NotConnected):
            await document.checkpoint()
        async with serving(tmp_path / "s.db", port=port):
            answer = await change.durable
            assert answer.version == 2
            assert document.state == {"a": 1, "b": 2}


def client_again(client: Client, folder: Path) -> Client:
    """The next process with the same token and outbox."""
    return Client(
        client._http_url, token=client._credential._source, outbox=Outbox(folder / "box.sqlite3"), backoff=QUICK
    )


async def test_what_an_earlier_process_left_is_sent_although_nobody_opens_the_document(tmp_path: Path) -> None:
    async with serving(tmp_path / "s.db") as service:
        token = (await service.manager.create_session("ann")).token
        unreachable = "http://127.0.0.1:9/"
        async with Client(unreachable, token=token, outbox=Outbox(tmp_path / "box.sqlite3"), backoff=QUICK) as early:
            await early.open("intake", default={"x": 1}).set("/a", 1)
        async with Client(service.url, token=token, outbox=Outbox(tmp_path / "box.sqlite3"), backoff=QUICK) as client:
            settled: asyncio.Queue[told.ChangeSettled] = asyncio.Queue()
            client.on(told.ChangeSettled, settled.put_nowait)
            async with asyncio.timeout(5):
                event = await settled.get()
            assert event.name == "intake"
            assert client.documents == []
        opened = await service.manager.documents.open(Actor(user_id="ann"), "intake")
        assert opened.document.state == {"x": 1, "a": 1}


async def test_a_copied_outbox_takes_an_identity_of_its_own(tmp_path: Path) -> None:
    """Two machines from one image: the second is told that its numbers are taken, and nothing of either is lost."""
    async with serving(tmp_path / "s.db") as service:
        async with await service.client(outbox=Outbox(tmp_path / "one.sqlite3")) as client:
            await (await (await client.document("intake")).set("/a", 1)).durable
            await delivered(client)
        shutil.copy(tmp_path / "one.sqlite3", tmp_path / "two.sqlite3")
        first = await service.client(outbox=Outbox(tmp_path / "one.sqlite3"))
        second = await service.client(outbox=Outbox(tmp_path / "two.sqlite3"))
        async with first, second:
            here = await first.document("intake")
            there = await second.document("intake")
            change, copied = await here.set("/b", "first"), await there.set("/c", "second")
            await asyncio.gather(change.durable, copied.durable)
            await asyncio.gather(here.synchronized(), there.synchronized())
            await (await here.set("/d", 1)).durable
            assert {key: here.state[key] for key in "abc"} == {"a": 1, "b": "first", "c": "second"}
            assert (await first.outbox.identity()).device_id != (await second.outbox.identity()).device_id


async def test_a_server_that_went_back_to_an_old_copy_gets_what_is_unanswered(tmp_path: Path) -> None:
    database, copy = tmp_path / "s.db", tmp_path / "copy.db"
    async with serving(database) as service:
        port = service.port
        client = await service.client(outbox=Outbox(tmp_path / "box.sqlite3"))
        async with client:
            await (await (await client.document("intake")).set("/a", 1)).durable
            await delivered(client)
        _back_up(database, copy)
        async with client_again(client, tmp_path) as again:
            document = await again.document("intake")
            await (await document.set("/lost", 1)).durable
            await delivered(again)
    _go_back(database, copy)
    async with serving(database, port=port), client_again(client, tmp_path) as later:
        document = await later.document("intake")
        assert document.state == {"a": 1}
        await (await document.set("/b", 2)).durable
        assert document.confirmed == {"a": 1, "b": 2}


def _go_back(database: Path, copy: Path) -> None:
    for leftover in database.parent.glob(f"{database.name}*"):
        leftover.unlink()
    _back_up(copy, database)


def _back_up(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as from_, sqlite3.connect(target) as to:
        from_.backup(to)
    from_.close()
    to.close()


async def test_more_documents_than_a_first_frame_holds() -> None:
    default = {"text": "x" * 1000}
    async with serving() as service:
        client = await service.client()
        documents = [client.open(f"document {number}", default=default) for number in range(12)]
        assert len(documents) * len(default["text"]) > FIRST_FRAME_BYTES_MAX
        async with client, asyncio.timeout(10):
            await asyncio.gather(*(document.synchronized() for document in documents))
            late = await client.document("another", default=default)
            assert late.state == default


async def test_a_change_that_cannot_be_stored_is_not_made() -> None:
    async with serving() as service, await service.client() as client:
        document = await client.document("intake")
        await client.outbox.close()
        with pytest.raises(OutboxUnavailable):
            await document.set("/a", 1)
        assert document.state == {}
        assert document.pending_count == 0


async def test_a_cancelled_caller_does_not_take_the_change_back() -> None:
    async with serving() as service, await service.client() as client:
        document = await client.document("intake")
        caller = asyncio.create_task(document.set("/a", 1))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await (await document.set("/b", 2)).durable
        assert document.confirmed == {"a": 1, "b": 2}


@shows("G06", "python")
async def test_presence_shows_who_else_is_here() -> None:
    async with serving() as service, await service.client(label="desk") as first:
        document = await first.document("intake")
        seen: asyncio.Queue[told.PresenceChanged] = asyncio.Queue()
        first.on(told.PresenceChanged, seen.put_nowait)
        async with await service.client(label="phone") as second, asyncio.timeout(5):
            await second.document("intake")
            while {device.label for device in document.devices} != {"desk", "phone"}:
                await seen.get()


async def test_an_end_is_told_with_its_reason() -> None:
    async with serving() as service:
        issued = await service.manager.create_session("ann")
        async with Client(service.url, token=issued.token, backoff=QUICK) as client:
            document = await client.document("intake")
            ended: asyncio.Queue[told.SessionEnded] = asyncio.Queue()
            client.on(told.SessionEnded, ended.put_nowait)
            await service.manager.destroy_session(issued.session.session_id)
            async with asyncio.timeout(5):
                assert (await ended.get()).reason == "logout"
            assert document.sync_status is SyncStatus.NEEDS_AUTH
            with pytest.raises(SessionEnded):
                await document.synchronized()
            assert client.session is None


async def test_a_listener_that_fails_hinders_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_event: told.Event) -> None:
        raise RuntimeError("a fault of the application")

    async with serving() as service, await service.client() as client:
        client.on(told.Event, broken)
        document = await client.document("intake")
        await (await document.set("/a", 1)).durable
    assert "a fault of the application" in caplog.text


async def test_a_client_that_cannot_open_its_outbox_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "box.sqlite3").write_text("this is no database" * 100, encoding="utf-8")
    client = Client("http://127.0.0.1:9/", token="unused", outbox=Outbox(tmp_path / "box.sqlite3"))
    before = asyncio.all_tasks()
    document = client.open("intake")
    with pytest.raises(OutboxUnavailable):
        await client.__aenter__()
    assert asyncio.all_tasks() == before
    assert document.pending_count == 0
