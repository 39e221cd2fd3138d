"""The live feed: Server-Sent Events (WHATWG HTML, section 9.2) with what changed since the last batch.

A feed asks for its next batch when the one before it was taken. So nothing waits for a slow reader, and what it missed comes in one piece.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import StreamingResponse

from sessile.model.errors import InvalidValue, SessileError, StoreUnavailable
from sessile.model.operator_access import OperatorCredential, Right
from sessile.model.session_query import parse_session_query
from sessile.model.wire import iso
from sessile.server.console import wire
from sessile.server.console.table import Call, Route, is_handle
from sessile.server.console.timeline import of_session
from sessile.server.console.windows import AuditTail, SessionsWindow
from sessile.server.realtime.connection import TRANSPORT_EXTENSION
from sessile.server.realtime.events import MEDIA_TYPE, is_server_leaving
from sessile.server.refusals import TooMany
from sessile.web.asgi import Receive, Scope, Send
from sessile.web.problems import NO_STORE

if TYPE_CHECKING:
    from sessile.server.console.console import Console

EVERY_MIN_MS: Final = 250
EVERY_MS: Final = 1000
EVERY_MAX_MS: Final = 60_000
HEARTBEAT_S: Final = 5.0
LOOK_S: Final = 1.0
"""How often it is looked whether the operator's session is still good."""
LIVE_MAX_S: Final = 8 * 3600.0
STALL_S: Final = 30.0
"""A peer that takes nothing for so long is disconnected."""
PER_OPERATOR_MAX: Final = 8
AT_ONCE_MAX: Final = 64
ROWS_MAX: Final = 10_000
_ENTRIES_MAX: Final = 100
_OVERVIEW_S: Final = 2.0
_SESSION_S: Final = 5.0
WATCHED: Final = frozenset({"overview", "sessions", "session", "audit"})
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client asked for."""

    watch: frozenset[str]
    query: str = ""
    newest_first: bool = True
    limit: int = 100
    session_id: str = ""
    every_s: float = EVERY_MS / 1000


def wanted_of(call: Call) -> Wanted:
    """Raises InvalidValue."""
    watch = frozenset((call.text("watch") or "overview").split(","))
    if not watch <= WATCHED:
        raise InvalidValue("/watch", f"has {', '.join(sorted(WATCHED))}, separated by commas")
    session_id = call.text("session") or ""
    if "session" in watch and not is_handle(session_id):
        raise InvalidValue("/session", "is the handle of a session")
    query = call.text("q") or ""
    parse_session_query(query, call.console.manager.clock.now())
    return Wanted(
        watch=watch,
        query=query,
        newest_first=call.one_of("order", "newest", frozenset({"newest", "oldest"})) == "newest",
        limit=call.number("limit", 100, 1, ROWS_MAX),
        session_id=session_id,
        every_s=call.number("every_ms", EVERY_MS, EVERY_MIN_MS, EVERY_MAX_MS) / 1000,
    )


class Feeds:
    """Those that are open at this process, and why one of them ends."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._ended: dict[str, str] = {}

    def begin(self, credential_id: str) -> None:
        """Raises TooMany."""
        if self._open[credential_id] >= PER_OPERATOR_MAX or self._open.total() >= AT_ONCE_MAX:
            raise TooMany(
                f"An operator has at most {PER_OPERATOR_MAX} live feeds, and there are at most {AT_ONCE_MAX}."
            )
        self._open[credential_id] += 1

    def finish(self, credential_id: str) -> None:
        self._open[credential_id] -= 1
        if self._open[credential_id] <= 0:
            del self._open[credential_id]
            self._ended.pop(credential_id, None)

    def end(self, credential_id: str, reason: str) -> None:
        """The operator's session is over: its feeds close with their next batch. Feeds of other processes see it in the database."""
        if credential_id in self._open:
            self._ended[credential_id] = reason

    def ended(self, credential_id: str) -> str | None:
        return self._ended.get(credential_id)

    def __len__(self) -> int:
        return self._open.total()


class Feed:
    """One client's."""

    def __init__(self, console: Console, operator: OperatorCredential, wanted: Wanted) -> None:
        self._console = console
        self._operator = operator
        self._wanted = wanted
        self._number = 0
        self._is_stale = False
        self._changed = console.monitor.listen()
        self._own_changed = console.monitor.listen()
        self._window = SessionsWindow(
            console.oversight,
            console.hub,
            self._changed,
            query=wanted.query,
            limit=wanted.limit,
            newest_first=wanted.newest_first,
        )
        self._tail = AuditTail(console.manager.audit)
        self._told_point = 0
        self._told_session: dict[str, Any] | None = None
        self._told_entries: set[str] | None = None
        self._overview_at = self._session_at = self._heartbeat_at = self._look_at = float("-inf")

    def close(self) -> None:
        self._console.monitor.forget(self._changed)
        self._console.monitor.forget(self._own_changed)

    async def batches(self) -> AsyncIterator[bytes]:
        """Each is what there is to tell, as many events as that takes; until the operator's session ends, the server goes, or live mode has run too long."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._heartbeat_at = began + HEARTBEAT_S
        yield self._event("hello", self._hello())
        while True:
            due = loop.time() + self._wanted.every_s
            reason = "timeout" if loop.time() - began > LIVE_MAX_S else await self._ended()
            if reason is not None:
                yield self._event("end", {"reason": reason})
                return
            batch = await self._batch(loop.time())
            if batch:
                yield batch
            # In steps, so that an end is told within a second also where somebody looks once a minute.
            while (left := due - loop.time()) > 0:
                await asyncio.sleep(min(left, LOOK_S))
                if left > LOOK_S and ((reason := await self._ended()) is not None):
                    yield self._event("end", {"reason": reason})
                    return
                if loop.time() >= self._heartbeat_at:
                    yield self._heartbeat(loop.time())

    def _hello(self) -> dict[str, Any]:
        return {
            "at": iso(self._console.manager.clock.now()),
            "heartbeat_s": HEARTBEAT_S,
            "every_ms": int(self._wanted.every_s * 1000),
            "node_id": self._console.hub.leases.node_id,
        }

    async def _ended(self) -> str | None:
        if self._console.hub.draining or is_server_leaving():
            return "draining"
        credential_id = self._operator.credential_id
        if (reason := self._console.feeds.ended(credential_id)) is not None:
            return reason
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return None
        self._look_at = now + LOOK_S
        try:
            refusal = await self._console.manager.operator_access.look(credential_id)
        except StoreUnavailable:
            return None  # an outage signs nobody out
        return None if refusal is None else refusal.removeprefix("ended:")

    async def _batch(self, now: float) -> bytes:
        told = b""
        try:
            told += await self._news(now)
        except StoreUnavailable:
            if not self._is_stale:
                self._is_stale = True
                told += self._event("stale", {"at": self._at(), "reason": "store_unavailable"})
        except SessileError as error:  # what was asked for cannot be had any more
            told += self._event("stale", {"at": self._at(), "reason": error.code})
        if now >= self._heartbeat_at:
            told += self._heartbeat(now)
        return told

    def _heartbeat(self, now: float) -> bytes:
        self._heartbeat_at = now + HEARTBEAT_S
        return self._event("heartbeat", {"at": self._at(), "lag_ms": self._console.monitor.lag()[0]})

    async def _news(self, now: float) -> bytes:
        parts: list[tuple[str, dict[str, Any]]] = []
        watch = self._wanted.watch
        if self._is_stale:
            self._window.forget()
            self._told_session = self._told_entries = None
            self._overview_at = self._session_at = float("-inf")
        if "overview" in watch and now >= self._overview_at:
            self._overview_at = now + _OVERVIEW_S
            parts.append(("overview", await self._overview()))
        if "sessions" in watch and (news := await self._window.news()) is not None:
            parts.append(news)
        if "session" in watch:
            parts += await self._session(now)
        if "audit" in watch and (audit := await self._audit()) is not None:
            parts.append(("audit", audit))
        if self._is_stale:
            await self._console.manager.ready()
            self._is_stale = False
            parts.insert(0, ("fresh", {"at": self._at()}))
        return b"".join(self._event(name, data) for name, data in parts)

    async def _overview(self) -> dict[str, Any]:
        monitor = self._console.monitor
        monitor.looked_at()
        told = await monitor.overview()
        point = monitor.point
        if point and point["at_s"] != self._told_point:
            self._told_point = point["at_s"]
            told["point"] = point
        return told

    async def _session(self, now: float) -> list[tuple[str, dict[str, Any]]]:
        from sessile.server.console.sessions import body_of_session

        ids, is_all = self._own_changed.take()
        if not (is_all or self._wanted.session_id in ids or now >= self._session_at):
            return []
        self._session_at = now + _SESSION_S
        seen = await self._console.oversight.see([self._wanted.session_id])
        if not seen:
            return []
        parts: list[tuple[str, dict[str, Any]]] = []
        body = await body_of_session(self._console, seen[0], is_live=True)
        if body != self._told_session:
            self._told_session = body
            parts.append(("session", body))
        entries, _, _ = await of_session(self._console, seen[0].session)
        known = self._told_entries
        if known is not None and (new := [entry for entry in entries if entry["id"] not in known]):
            parts.append(("timeline", {"entries": new[:_ENTRIES_MAX]}))
        self._told_entries = {entry["id"] for entry in entries}
        return parts

    async def _audit(self) -> dict[str, Any] | None:
        events, skipped = await self._tail.news()
        return {"events": [wire.event(one) for one in events], "skipped": skipped} if events else None

    def _at(self) -> str:
        return iso(self._console.manager.clock.now())

    def _event(self, name: str, data: dict[str, Any]) -> bytes:
        self._number += 1
        return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), self._number, _ENCODER.encode(data))


class FeedResponse(StreamingResponse):
    """Writes the response itself: a peer that takes nothing is disconnected."""

    def __init__(self, console: Console, operator: OperatorCredential, wanted: Wanted) -> None:
        headers = {"cache-control": NO_STORE, "vary": "Cookie", "x-accel-buffering": "no"}
        super().__init__(iter(()), media_type=MEDIA_TYPE, headers=headers)
        self._console = console
        self._operator = operator
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        feed = Feed(self._console, self._operator, self._wanted)
        writing = asyncio.ensure_future(self._write(feed, scope, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
            feed.close()
            self._console.feeds.finish(self._operator.credential_id)
        if writing.done() and not writing.cancelled() and writing.exception() is not None:
            error = writing.exception()
            if not isinstance(error, OSError | TimeoutError) and error is not None:
                raise error

    async def _write(self, feed: Feed, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for batch in feed.batches():
                async with asyncio.timeout(STALL_S):
                    await send({"type": "http.response.body", "body": batch, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            close_now = scope.get("extensions", {}).get(TRANSPORT_EXTENSION, {}).get("close_now")
            if close_now is not None:
                close_now(0, "")
            raise


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def events(call: Call) -> FeedResponse:
    wanted = wanted_of(call)
    call.console.feeds.begin(call.operator.credential_id)
    return FeedResponse(call.console, call.operator, wanted)


ROUTES: Final = (Route("GET", "/events", Right.READ, events, is_stream=True),)
