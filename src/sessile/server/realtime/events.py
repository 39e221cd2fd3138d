"""The frames of a socket as Server-Sent Events, for networks that let no WebSocket through (WHATWG HTML, section 9.2).

A stream is a `Connection` like any socket: the hello comes with the address, pings are answered here for as long as the peer takes bytes, and
what a client would send goes over HTTP.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from starlette.responses import StreamingResponse

from sessile.model.limits import ADDRESS_HELLO_BYTES_MAX
from sessile.model.session import Session
from sessile.server.realtime import frames
from sessile.server.realtime.codes import CloseCode
from sessile.server.realtime.connection import TRANSPORT_EXTENSION, Connection
from sessile.server.realtime.hub import Hub
from sessile.server.refusals import FrameTooLarge, MalformedFrame
from sessile.web.asgi import Message, Receive, Scope, Send
from sessile.web.problems import NO_STORE

MEDIA_TYPE: Final = "text/event-stream"
LEAVING_LOOK_S: Final = 0.5
_HEADERS: Final = {"cache-control": NO_STORE, "vary": "Cookie", "x-accel-buffering": "no"}
"""nginx would keep the stream back until its buffer is full."""
_FIRST: Final = f": {frames.SUBPROTOCOL}\n\n"
"""A comment: the first byte opens what stands between."""
_PING: Final = '{"type":"ping"'


def checked_hello(text: str) -> str:
    """The hello of an address. Raises MalformedFrame, also for one with a token: addresses are written into logs; UnknownFrameType; and
    FrameTooLarge."""
    if len(text.encode(errors="replace")) > ADDRESS_HELLO_BYTES_MAX:
        raise FrameTooLarge(f"A hello in an address has at most {ADDRESS_HELLO_BYTES_MAX} bytes.")
    if frames.parse_hello(text).token is not None:
        raise MalformedFrame("A token does not belong in an address: send it in the header Authorization.")
    return text


class EventStreams:
    """The streams of one hub. Where a server waits for its requests to end before it tells the application that it is going away, they end by
    themselves."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._open: set[object] = set()
        self._watch: asyncio.Task[None] | None = None

    def response(self, session: Session, hello: str, held: Sequence[Callable[[], None]]) -> EventStream:
        """The answer to a request that may have a stream. `held` is given back when it ends."""
        return EventStream(self, self._hub, session, hello, held)

    def opened(self, stream: object, scope: Scope) -> None:
        self._open.add(stream)
        knows_drain = TRANSPORT_EXTENSION in scope.get("extensions", {})
        if not knows_drain and (self._watch is None or self._watch.done()):
            self._watch = asyncio.get_running_loop().create_task(self._watch_server())

    def closed(self, stream: object) -> None:
        self._open.discard(stream)

    async def _watch_server(self) -> None:
        """Ends when no stream is open."""
        while self._open and not self._hub.draining:
            await asyncio.sleep(LEAVING_LOOK_S)
            if is_server_leaving():
                await self._hub.drain()


def is_server_leaving() -> bool:
    """True when the uvicorn that this process runs was told to stop. It waits for every response before it tells anybody, and an `EventSource`
    never ends one; its handler of SIGTERM is a method of the server, which knows."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True


class EventStream(StreamingResponse):
    """Writes the response itself. A stream that cannot be welcomed any more ends with its close event, as a socket would with its close code."""

    def __init__(
        self, streams: EventStreams, hub: Hub, session: Session, hello: str, held: Sequence[Callable[[], None]]
    ) -> None:
        self._held = held
        super().__init__(iter(()), media_type=MEDIA_TYPE, headers=_HEADERS)
        self._streams = streams
        self._hub = hub
        self._session = session
        self._hello = hello

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        feed = _Feed(self._hello, receive, send)
        connection = Connection(
            self._hub,
            scope,
            feed.receive,
            feed.send,
            session=self._session,
            on_proven=_nothing,
        )
        connection.join(self._session)
        self._hub.round_trips.ignore(connection)
        listening = asyncio.get_running_loop().create_task(feed.listen())
        self._streams.opened(self, scope)
        try:
            if await self._begin(connection, send):
                await connection.run()
        finally:
            for give_back in self._held:
                give_back()
            self._streams.closed(self)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _begin(self, connection: Connection, send: Send) -> bool:
        """The head of the response. False: the peer has left already."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": _FIRST.encode(), "more_body": True})
        except OSError:
            connection.abandon()
            return False
        except asyncio.CancelledError:
            connection.abandon()
            raise
        if self._hub.draining:
            connection.close(CloseCode.DRAIN)
        return True


class _Feed:
    """What a `Connection` takes for a socket."""

    def __init__(self, hello: str, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._say(hello)

    async def receive(self) -> Message:
        return await self._incoming.get()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            told = msgspec.json.encode({"code": message["code"], "reason": message["reason"]})
            await self._write(b"event: close\ndata: %b\n\n" % told, is_last=True)
            return
        text: str = message["text"]
        await self._write(f"data: {text}\n\n".encode())  # JSON as we write it has no line breaks
        if text.startswith(_PING):
            self._say(msgspec.json.encode({"type": "pong", "at": msgspec.json.decode(text)["at"]}).decode())

    async def listen(self) -> None:
        """Until the peer leaves. A GET has nothing else to say."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def _say(self, text: str) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def _write(self, body: bytes, *, is_last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": not is_last})


def _nothing() -> None:
    pass
