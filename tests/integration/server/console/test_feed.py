"""The live feed: what it tells, how seldom, and how it ends. The peer here is ASGI itself, so that it can stop reading."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sessile.model.operator_access import OperatorEnd, Role
from sessile.model.session import EndReason
from sessile.server.console import feed as feed_module
from tests.integration.server.console.bench import COOKIE, Bench, Operator, console


class Reader:
    """Takes events one by one. `pause` stops taking: the server's send waits, as behind a full socket."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.status = 0
        self.sent_bytes = 0
        self.batches = 0
        self._left = asyncio.Event()
        self._may_take = asyncio.Event()
        self._may_take.set()
        self.is_over = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self._may_take.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.batches += bool(message.get("body"))
        self.sent_bytes += len(message.get("body", b""))
        for block in message.get("body", b"").decode().split("\n\n"):
            if block.startswith("event: "):
                lines = dict(line.split(": ", 1) for line in block.split("\n"))
                self.events.put_nowait((lines["event"], json.loads(lines["data"])))
        if not message.get("more_body"):
            self.is_over.set()

    def pause(self) -> None:
        self._may_take.clear()

    def go_on(self) -> None:
        self._may_take.set()

    def leave(self) -> None:
        self._left.set()

    async def refused_with(self, status: int) -> None:
        """Returns when the whole answer is there, and is that one."""
        await asyncio.wait_for(self.is_over.wait(), 20)
        assert self.status == status

    async def next(self, name: str) -> Any:
        """The data of the next event of that name; others are passed over."""
        async with asyncio.timeout(20):
            while True:
                found, data = await self.events.get()
                if found == name:
                    return data


@asynccontextmanager
async def reading(bench: Bench, operator: Operator, query: str) -> AsyncIterator[Reader]:
    reader = Reader()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https",
        "path": "/api/console/events", "raw_path": b"/api/console/events", "root_path": "", "query_string": query.encode(),
        "client": ("192.0.2.7", 1), "server": ("ops.example", 443),
        "headers": [
            (b"host", b"ops.example"), (b"sec-fetch-site", b"same-origin"), (b"accept", b"text/event-stream"),
            (b"cookie", f"{COOKIE}={operator.http.cookies[COOKIE]}".encode()),
        ],
    }  # fmt: skip
    task = asyncio.create_task(bench.service(scope, reader.receive, reader.send))
    try:
        yield reader
    finally:
        reader.go_on()
        reader.leave()
        await asyncio.wait_for(task, 20)


async def test_only_what_changed_travels() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        ids = [(await bench.manager.create_session(f"u{number}")).session.session_id for number in range(5)]
        async with reading(bench, operator, "watch=sessions&q=state:live&order=oldest&every_ms=250") as reader:
            hello = await reader.next("hello")
            assert (hello["every_ms"], hello["heartbeat_s"]) == (250, 5)
            reset = await reader.next("sessions_reset")
            assert (reset["total"], {row["session_id"] for row in reset["sessions"]}) == (5, set(ids))
            bench.clock.advance(5)
            await bench.manager.extend_session(ids[0])
            news = await reader.next("sessions")
            assert (news["added"], news["removed"]) == ([], [])
            assert [set(row) for row in news["changed"]] == [{"session_id", "last_seen_at", "expires_at", "version"}]
            await bench.manager.destroy_session(ids[1], reason=EndReason.ADMIN)
            told = await reader.next("sessions")
            if not told["removed"]:  # first how it is now, then that it is not meant any more
                assert told["changed"][0]["state"] == "ended"
                told = await reader.next("sessions")
            assert (told["removed"], told["total"]) == ([ids[1]], 4)


async def test_a_burst_is_one_batch() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        ids = [(await bench.manager.create_session("ada")).session.session_id for _ in range(20)]
        async with reading(bench, operator, "watch=sessions&every_ms=250") as reader:
            await reader.next("sessions_reset")
            before = reader.batches
            bench.clock.advance(5)
            for handle in ids:
                for _ in range(10):
                    await bench.manager.extend_session(handle)
            news = await reader.next("sessions")
            assert {row["session_id"] for row in news["changed"]} <= set(ids)
            assert reader.batches - before <= 4, "200 changes are not 200 batches"


async def test_who_does_not_read_is_told_in_one_piece_later() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        handle = (await bench.manager.create_session("ada")).session.session_id
        async with reading(bench, operator, "watch=sessions&every_ms=250") as reader:
            await reader.next("sessions_reset")
            reader.pause()
            await asyncio.sleep(0.3)
            sent = reader.sent_bytes
            for _ in range(300):
                bench.clock.advance(1)
                await bench.manager.extend_session(handle)
            await asyncio.sleep(0.3)
            assert reader.sent_bytes == sent
            reader.go_on()
            versions: list[int] = []
            while not versions or versions[-1] < 301:
                versions += [row["version"] for row in (await reader.next("sessions"))["changed"] if "version" in row]
            assert len(versions) <= 4, "nothing waited for the slow reader"


@pytest.mark.parametrize("way", ["signed_out", "revoked", "expired:idle", "draining"])
async def test_it_ends_with_the_operators_session(way: str) -> None:
    async with console(console_idle_timeout_s=60) as bench:
        operator = await bench.sign_in()
        async with reading(bench, operator, "watch=overview&every_ms=60000") as reader:
            await reader.next("overview")
            if way == "signed_out":
                assert (await operator.send("DELETE", "/session")).status_code == 204
            elif way == "revoked":  # by another process
                (known,) = await bench.manager.operator_access.credentials()
                await bench.manager.operator_access.end(known.credential_id, OperatorEnd.REVOKED, by="root")
            elif way == "expired:idle":
                bench.clock.advance(61)
            else:
                await bench.service.drain()
            assert await reader.next("end") == {"reason": way}
            await asyncio.wait_for(reader.is_over.wait(), 20)


async def test_a_feed_is_no_activity() -> None:
    async with console(console_idle_timeout_s=60) as bench:
        operator = await bench.sign_in()
        (before,) = await bench.manager.operator_access.credentials()
        async with reading(bench, operator, "watch=overview&every_ms=250") as reader:
            bench.clock.advance(30)
            await reader.next("overview")
            await reader.next("heartbeat")
            (known,) = await bench.manager.operator_access.credentials()
            assert known.idle_expires_at == before.idle_expires_at


async def test_one_session_its_timeline_and_the_audit_log() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        handle = (await bench.manager.create_session("ada")).session.session_id
        async with reading(bench, operator, f"watch=session,audit&session={handle}&every_ms=250") as reader:
            first = await reader.next("session")
            assert (first["session"]["session_id"], "documents" in first) == (handle, False)
            await bench.manager.extend_session(handle)
            timeline = await reader.next("timeline")
            assert [one["name"] for one in timeline["entries"]] == ["session_extended"]
            await bench.manager.destroy_session(handle)
            while "session_ended" not in (told := [e["type"] for e in (await reader.next("audit"))["events"]]):
                assert told
            assert (await operator.json(f"/sessions/{handle}"))["session"]["state"] == "ended"


async def test_an_outage_is_told_and_its_end_begins_anew(tmp_path: Any) -> None:
    async with console(database_url=f"sqlite:///{tmp_path}/sessile.db") as bench:
        operator = await bench.sign_in()
        await bench.manager.create_session("ada")
        async with reading(bench, operator, "watch=sessions&every_ms=250") as reader:
            await reader.next("sessions_reset")
            store = bench.manager._store
            await store.close()
            bench.service.console.monitor.on_events_missed()  # type: ignore[union-attr]
            assert (await reader.next("stale"))["reason"] == "store_unavailable"
            await store.open()
            await reader.next("fresh")
            assert (await reader.next("sessions_reset"))["total"] == 1


async def test_there_are_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PER_OPERATOR_MAX", 1)
    async with console() as bench:
        operator, other = await bench.sign_in(), await bench.sign_in(Role.READ_ONLY, "eve")
        async with reading(bench, operator, "watch=overview") as first:
            await first.next("hello")
            async with reading(bench, operator, "watch=overview") as second:
                await second.refused_with(429)
            async with reading(bench, other, "watch=overview") as third:
                await third.next("hello")
        async with reading(bench, operator, "watch=overview") as again:
            await again.next("hello")
        for wrong in ("watch=everything", "watch=session", "every_ms=1", "limit=0", "q=colour:red"):
            async with reading(bench, operator, wrong) as refused:
                await refused.refused_with(422)
        assert bench.service.console is not None
        assert len(bench.service.console.feeds) == 0
