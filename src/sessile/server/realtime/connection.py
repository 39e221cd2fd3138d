"""One socket's life: hello, frames, pings, and every way it can end.

Four tasks work for a socket: a reader, the writer (`Outbox.run`), the answers to changes (`Submissions.run`) and the keeper, which
pings and looks after the session. The first that ends, or a call of `close`, ends the socket.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from sessile.model.document import Actor
from sessile.model.errors import (
    SessileError,
    SessionEnded,
    SessionError,
    SessionExpired,
    SessionNotFound,
    StoreUnavailable,
)
from sessile.model.limits import FIRST_FRAME_BYTES_MAX, FRAME_BYTES_MAX
from sessile.model.session import EndReason, Session, Standing
from sessile.server.realtime import frames, messages
from sessile.server.realtime.attendance import Attendance, report_of
from sessile.server.realtime.codes import CloseCode
from sessile.server.realtime.commands import Commands
from sessile.server.realtime.hub import Hub
from sessile.server.realtime.keeper import Keeper
from sessile.server.realtime.news import News
from sessile.server.realtime.outbox import DirectOutbox, Outbox, SlowConsumer
from sessile.server.realtime.presence import device_label
from sessile.server.realtime.submissions import Submissions
from sessile.server.realtime.subscription import Subscription
from sessile.server.refusals import FrameTooLarge, MalformedFrame, UnknownFrameType
from sessile.web.asgi import Message, Receive, Scope, Send, header_values
from sessile.web.binding import is_admitted

_log = logging.getLogger("sessile.server")

FAULTS_MAX: Final = 10
"""Malformed frames a socket may send; the next one closes it."""
CLOSE_TIMEOUT_S: Final = 1.0
TRANSPORT_EXTENSION: Final = "sessile.transport"
"""Under `sessile serve` the scope offers `close_now(code, reason)`, which does not wait for a peer that has stopped reading, and for a socket
its `wire` (`sessile.server.realtime.wire.Wire`, or None)."""


class Disconnected(Exception):
    """The peer is gone."""


class Connection:
    """`session` is what the cookie gave, or None: then the hello must bring a token, for the session `named_session` where the address
    named one. `on_proven` is called when the peer has shown who it is."""

    actor: Actor
    """Set with the welcome. `device_id` and `term` (of the tab that leads its browser, if it has one) are what the hello says."""
    device_id: str
    term: int | None = None

    def __init__(
        self,
        hub: Hub,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        session: Session | None,
        named_session: str | None = None,
        on_proven: Callable[[], None],
    ) -> None:
        self.hub = hub
        self.documents = hub.documents
        self.connection_id = secrets.token_hex(8)
        self.subscriptions: dict[str, Subscription] = {}
        self._transport: Mapping[str, Any] = scope.get("extensions", {}).get(TRANSPORT_EXTENSION, {})
        self.outbox = self._made_outbox()
        self.news = News(self.outbox)
        self.submissions = Submissions(hub, self.outbox)
        self.attendance = Attendance(hub.leases)
        self.last_received_at = 0.0
        self.awaits_peer = False
        """True while the reader waits for the peer; False while it is busy and silence proves nothing."""
        self._receive = receive
        self._send = send
        self._session = session
        self._has_cookie = session is not None
        self._joined_session_id: str | None = None
        self._scope = scope
        self._named_session = named_session
        self._on_proven = on_proven
        self._faults = 0
        self._busy = asyncio.Lock()
        """Held while a frame is worked on: a drain lets it finish."""
        self._is_looking = self._needs_refresh = False
        self._tasks: set[asyncio.Future[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[tuple[CloseCode, tuple[str, ...]] | None] = (
            asyncio.get_running_loop().create_future()
        )
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._commands = Commands(self)
        hub.connections.add(self)

    def _made_outbox(self) -> Outbox:
        stall_timeout_s = self.hub.stall_timeout_s
        wire = self._transport.get("wire")
        if wire is None:
            return Outbox(self._send_text, on_drained=self._drained, stall_timeout_s=stall_timeout_s)
        return DirectOutbox(wire, self.hub.flusher, on_drained=self._drained, stall_timeout_s=stall_timeout_s)

    @property
    def session(self) -> Session:
        """The session as last read. Only there once the peer has been identified."""
        assert self._session is not None, "the peer has not been identified"
        return self._session

    # -- life -----------------------------------------------------------------

    async def run(self) -> None:
        """From the accepted handshake to the closed socket. Never raises for anything the peer does."""
        writer = self._watch_writer()
        self._reader = self._watch(self._converse())
        closing: tuple[CloseCode, tuple[str, ...]] | None = None
        try:
            closing = await self._closing
        finally:
            self._leave()
            for task in self._tasks - {writer}:
                task.cancel()
            if closing is None:
                writer.cancel()
            else:
                await self._say_goodbye(writer, *closing)
            self.outbox.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._end()

    def abandon(self) -> None:
        """Instead of `run`, when the handshake did not come about."""
        self._leave()
        self.outbox.close()
        self._end()

    def close(self, code: CloseCode, *last: str) -> None:
        """Ends the socket: what is queued is dropped, `last` is sent, then the close code. The first call counts."""
        if not self._closing.done():
            self._closing.set_result((code, last))

    def end(self, reason: str, clock: str | None = None) -> None:
        """The session has ended; `clock` is the one that ended it, where one did."""
        session_id = self._joined_session_id or ""
        is_expired = reason == EndReason.EXPIRED
        if is_expired and clock is None and self._session is not None:  # swept: the record tells which clock it was
            clock = "idle" if self._session.can_extend else "absolute"
        code = CloseCode.SESSION_EXPIRED if is_expired else CloseCode.SESSION_ENDED
        self.close(code, messages.session_ended(session_id, reason, clock))

    def end_for(self, error: SessionError) -> None:
        """The session is not usable any more, as a look at it showed."""
        if isinstance(error, SessionEnded):
            self.end(error.reason)
        elif isinstance(error, SessionExpired):
            self.end(EndReason.EXPIRED, error.clock)
        else:
            self.end("unknown")

    def session_changed(self, *, refresh: bool = False) -> None:
        """Somebody changed the session: the page is told, unless it now belongs to somebody else. `refresh`: it is to get a new token."""
        self._needs_refresh = self._needs_refresh or refresh
        if not self._is_looking:
            self._is_looking = True
            self.spawn(self._look_at_session())

    def send_documents(self) -> None:
        """Somebody asked that this page gets its documents whole once more, whatever it has."""
        for subscription in tuple(self.subscriptions.values()):
            subscription.reload()

    async def drain(self, goaway: str) -> None:
        """Goaway, no further frame read, everything in flight answered, then close 4000."""
        self.outbox.push(goaway)
        async with self._busy:
            self.awaits_peer = False
            if self._reader is not None:
                self._reader.cancel()
        await self.submissions.idle()
        await self.outbox.flushed()
        self.close(CloseCode.DRAIN)
        await asyncio.shield(self._over)  # others may wait for it, too

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that ends with the socket."""
        self._watch(work, is_essential=False)

    # -- what commands and hub use ---------------------------------------------

    def subscribe(self, document_id: str) -> Subscription:
        channel = self.hub.channel(document_id)
        if not channel.subscriptions:
            channel.around.look()
        subscription = Subscription(self, channel, self.actor)
        channel.subscriptions.add(subscription)
        self.subscriptions[document_id] = subscription
        return subscription

    def forget(self, document_id: str) -> None:
        """Drops a subscription, if there is one."""
        subscription = self.subscriptions.pop(document_id, None)
        if subscription is not None:
            subscription.channel.subscriptions.discard(subscription)
            self.attendance.leave(subscription)
            self.hub.release(subscription.channel)

    def lost(self, subscription: Subscription, error: SessileError) -> None:
        if self.subscriptions.get(subscription.document_id) is subscription:
            self.forget(subscription.document_id)
            self.outbox.push(messages.error(error, subscription.document_id))

    async def note_activity(self) -> None:
        """Moves the idle deadline. When the store is away it stays where it was; the next change moves it."""
        try:
            await self.hub.manager.touch_session(self.session)
        except StoreUnavailable:
            _log.info(
                "a touch of session %s waits for the store",
                self.session.session_id,
                extra={"event_name": "touch_waits"},
            )

    # -- reading ----------------------------------------------------------------

    async def _converse(self) -> None:
        """The reader: hello first, then frame by frame. Raises Disconnected when the peer is gone."""
        if not await self._welcome():
            return
        self.submissions.start(self._watch)
        self._watch(Keeper(self).run())
        while not self._closing.done():
            frame = await self._next_frame()
            if frame is not None:
                async with self._busy:
                    await self._run(frame)

    async def _run(self, frame: frames.ClientFrame) -> None:
        try:
            await self._commands.run(frame)
        except StoreUnavailable as error:
            if isinstance(frame, frames.Subscribe):
                self.close(
                    CloseCode.UNAVAILABLE
                )  # half subscribed is no state to stay in; the client comes back and resumes
            else:
                await self.outbox.put(messages.error(error, frame.ref))
        except MalformedFrame as error:
            await self._fault(error)
        except SessileError as error:
            await self.outbox.put(messages.error(error, frame.ref))

    async def _next_frame(self) -> frames.ClientFrame | None:
        """The next frame, or None when what came was none (the peer has been told)."""
        message = await self._next_message()
        text = message.get("text")
        if text is None:
            await self._fault(MalformedFrame("Frames are JSON text."))
            return None
        if _bytes_above(text, FRAME_BYTES_MAX):
            self.close(
                CloseCode.TOO_LARGE, messages.error(FrameTooLarge(f"A frame has at most {FRAME_BYTES_MAX} bytes."))
            )
            return None
        try:
            return frames.parse_frame(text)
        except (MalformedFrame, UnknownFrameType) as error:
            await self._fault(error)
            return None

    async def _next_message(self) -> Message:
        self.awaits_peer = True
        message = await self._receive()
        self.awaits_peer = False
        if message["type"] != "websocket.receive":
            raise Disconnected
        self.last_received_at = asyncio.get_running_loop().time()
        return message

    async def _fault(self, error: MalformedFrame | UnknownFrameType) -> None:
        self._faults += 1
        if self._faults > FAULTS_MAX:
            self.close(CloseCode.PROTOCOL_ERROR, messages.error(error, error.ref))
        else:
            await self.outbox.put(messages.error(error, error.ref))

    # -- hello --------------------------------------------------------------------

    async def _welcome(self) -> bool:
        """Waits for the hello and answers it. False: the socket is being closed."""
        hello = await self._hello()
        if hello is None or not await self._identify(hello):
            return False
        manager, settings = self.hub.manager, self.hub.settings
        user_agent = next(iter(header_values(self._scope["headers"], b"user-agent")), "")
        label = device_label(hello.device.label if hello.device is not None else None, user_agent)
        self.attendance.begin(self.session, hello.device_id, label=label, visible=hello.visible, tabs=hello.tabs)
        self.hub.note_device(self.session, report_of(self.session, hello.device_id, hello.device, user_agent))
        self.actor = Actor(user_id=self.session.user_id, session_id=self.session.session_id, device_id=hello.device_id)
        try:
            platform, refused = await self._commands.platform(hello.platform_id)
            documents = await self._commands.open(hello.documents)
            await self.outbox.put(
                messages.welcome(
                    self.connection_id,
                    self.session,
                    platform,
                    manager.clock.now(),
                    ping_interval_s=settings.ping_interval_s,
                    ping_timeout_s=settings.ping_timeout_s,
                    documents=documents,
                )
            )
            if refused is not None:
                await self.outbox.put(messages.error(refused))
            self.hub.maintenance.greet(self)
            await self._commands.load()
        except StoreUnavailable:
            self.close(CloseCode.UNAVAILABLE)
            return False
        return True

    async def _hello(self) -> frames.Hello | None:
        try:
            async with asyncio.timeout(self.hub.settings.hello_timeout_s):
                message = await self._next_message()
        except TimeoutError:
            self.close(CloseCode.HELLO_TIMEOUT)
            return None
        text = message.get("text")
        most = FRAME_BYTES_MAX if self._has_cookie else FIRST_FRAME_BYTES_MAX
        if text is not None and _bytes_above(text, most):
            self.close(CloseCode.TOO_LARGE, messages.error(FrameTooLarge(f"The first frame has at most {most} bytes.")))
            return None
        try:
            return frames.parse_hello(text)
        except (MalformedFrame, UnknownFrameType) as error:
            self.close(CloseCode.PROTOCOL_ERROR, messages.error(error, error.ref))
            return None

    async def _identify(self, hello: frames.Hello) -> bool:
        """Finds the session: the cookie's, or the token's. False: the socket is being closed, with a code that says why."""
        session = self._session
        try:
            if session is None:
                session = await self._authenticate(hello.token)
        except StoreUnavailable:
            self.close(CloseCode.UNAVAILABLE)
            return False
        except SessionNotFound as error:
            self.close(CloseCode.UNAUTHENTICATED, messages.error(error))
            return False
        except SessionError as error:
            self.end_for(error)
            return False
        self._session = session
        self._on_proven()
        self.join(session)
        if isinstance(hello.user_id, str | None) and hello.user_id != session.user_id:
            self.close(CloseCode.WRONG_USER)
        self.device_id, self.term = hello.device_id, hello.term
        await self.hub.maintenance.ready()
        if not await self.hub.maintenance.lets_in(session):
            self.close(CloseCode.DRAIN, self.hub.maintenance.goaway())
        return not self._closing.done() and self.hub.fence(self)

    async def _authenticate(self, token: str | None) -> Session:
        if token is None:
            raise SessionNotFound
        session = await self.hub.manager.authenticate(token)
        is_ours = session.standing is not Standing.SUPERSEDED and self._named_session in (None, session.session_id)
        if not is_ours or not await is_admitted(self.hub.manager, self._scope, session):
            raise SessionNotFound
        return session

    def join(self, session: Session) -> None:
        """Puts the socket under its session; closes it when the session has ended meanwhile."""
        if self._joined_session_id is None:
            self._joined_session_id = session.session_id
            ended = self.hub.join(self, session.session_id)
            if ended is not None:
                self.end(ended)

    # -- ending -------------------------------------------------------------------

    async def _look_at_session(self) -> None:
        self._is_looking = False  # what changes from here on is looked at again
        refresh, self._needs_refresh = self._needs_refresh, False
        if await self.refresh_session():
            self.outbox.push(messages.session_changed(self.session.session_id, refresh=refresh))

    async def tell_handoff(self, handoff_id: str) -> None:
        """What became of a code that this session offers; a page that does not hear it asks."""
        try:
            handoff = await self.hub.manager.handoffs.status(self.session.session_id, handoff_id)
        except SessileError as error:
            _log.info("the news of a hand-off was not passed on: %s", error.code, extra={"event_name": "news_untold"})
            return
        self.outbox.push(messages.handoff_changed(handoff))

    async def refresh_session(self) -> bool:
        """Reads the session anew. False: it is over (the socket is being closed) or cannot be looked at just now."""
        try:
            session = await self.hub.manager.get_session(self.session.session_id)
        except StoreUnavailable:
            return False
        except SessionError as error:
            self.end_for(error)
            return False
        if session.user_id != self.session.user_id:
            self.close(CloseCode.WRONG_USER, messages.session_changed(session.session_id))
            return False
        self._session = session
        return True

    def look_again(self) -> None:
        """News may have been lost: is the session still what it was?"""
        if self._joined_session_id is not None:
            self.spawn(self._look_again())

    async def _look_again(self) -> None:
        await self.refresh_session()

    def _drained(self) -> None:
        for subscription in tuple(self.subscriptions.values()):
            subscription.catch_up()

    def _leave(self) -> None:
        for document_id in tuple(self.subscriptions):
            self.forget(document_id)
        self.attendance.end()
        self.hub.leave(self, self._joined_session_id)

    def _watch(self, work: Coroutine[Any, Any, None], *, is_essential: bool = True) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._essential_ended if is_essential else self._ended)
        return task

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _watch_writer(self) -> asyncio.Future[None]:
        writer = self.outbox.start()
        self._tasks.add(writer)
        writer.add_done_callback(self._essential_ended)
        return writer

    def _essential_ended(self, task: asyncio.Future[None]) -> None:
        self._ended(task)
        if not task.cancelled() and not self._closing.done():
            self._closing.set_result(None)

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, Disconnected | OSError):
            return  # OSError is what ASGI servers raise for a send after the disconnect (ASGI spec 2.4)
        if isinstance(error, SlowConsumer):
            self.close(CloseCode.SLOW_CONSUMER)
            return
        _log.error("socket %s failed", self.connection_id, exc_info=error, extra={"event_name": "socket_failed"})
        self.close(CloseCode.INTERNAL)

    async def _say_goodbye(self, writer: asyncio.Future[None], code: CloseCode, last: tuple[str, ...]) -> None:
        """Sends the last frames and the close, or cuts a peer off that takes neither."""
        self.outbox.finish(*last)
        await asyncio.wait({writer}, timeout=CLOSE_TIMEOUT_S)
        is_stuck = not writer.done()
        writer.cancel()
        reason = code.name.lower()
        close_now = self._transport.get("close_now")
        if is_stuck and close_now is not None:
            close_now(int(code), reason)
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
        except (TimeoutError, OSError):
            _log.info("socket %s did not take its close", self.connection_id, extra={"event_name": "socket_unclosed"})
            if close_now is not None:
                close_now(int(code), reason)

    async def _send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})


def _bytes_above(text: str, most: int) -> bool:
    return len(text) > most or (len(text) * 4 > most and not text.isascii() and len(text.encode()) > most)
