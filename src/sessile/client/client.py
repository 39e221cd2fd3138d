"""The client: one socket, the outbox, the documents, and who is here."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from sessile.client import events
from sessile.client.addresses import addresses
from sessile.client.api import Api
from sessile.client.backoff import Backoff
from sessile.client.connection import Connection
from sessile.client.credential import Credential, OnToken, Token
from sessile.client.document import Document
from sessile.client.emitter import Emitter
from sessile.client.endings import Ended, FinalCode, failure_of
from sessile.client.errors import (
    ClientClosed,
    ConnectionLost,
    ConnectionRefused,
    NotConnected,
    OutboxUnavailable,
)
from sessile.client.events import ConnectionStatus, Event
from sessile.client.flow import FRAME_BYTES_AIM
from sessile.client.outbox import Outbox, new_id
from sessile.client.outbox_file import Identity
from sessile.client.problems import error_from
from sessile.client.records import Frame
from sessile.client.requests import Requests
from sessile.client.sender import stop
from sessile.client.transport import Transport
from sessile.model.change_format import check_value
from sessile.model.document import State
from sessile.model.errors import (
    DocumentTooLarge,
    SessileError,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
)
from sessile.model.limits import DOCUMENTS_PER_SOCKET_MAX, FIRST_FRAME_BYTES_MAX
from sessile.model.token import parse as parse_token

logger = logging.getLogger("sessile.client")

E = TypeVar("E", bound=Event)
PROTOCOL: Final = 1


class Client:
    """Connects to the service at `url` (`https://example.com/`, wherever Sessile is mounted) for as long as it is open:

        async with Client(url, token=token, outbox=Outbox("agent.sqlite3")) as client:
            intake = await client.document("intake", default={"answers": {}})
            change = await intake.set("/answers/name", "Ann")
            await change.durable

    The connection comes and goes by itself. Changes can always be made; what is not acknowledged stays in the outbox and is sent when the
    client is opened the next time. `token` goes into the first frame and into a header, never into an address, and is in no repr and no
    log; `on_token` hears of each one that takes its place. `platform_id` puts this client on another platform than its session.
    `attempts_max` tries in a row without a connection and the client stops; by default it never does.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token,
        on_token: OnToken | None = None,
        outbox: Outbox | None = None,
        label: str | None = None,
        platform_id: str | None = None,
        attempts_max: int | None = None,
        backoff: Backoff | None = None,
        seed: int | None = None,
    ) -> None:
        self._http_url, socket_url = addresses(url)
        self.outbox = outbox or Outbox()
        self.session: Mapping[str, Any] | None = None
        """As the server has shown it last; None while it is not known or over."""
        self.failure: SessileError | None = None
        """Why the client has stopped trying; None while it goes on."""
        self._credential = Credential(token, on_token)
        self._label = label
        self._platform_id = platform_id
        transport = Transport(self._http_url, credential=self._credential, platform_id=platform_id)
        self.api = Api(transport, self._credential, self)
        """The verbs over HTTP: the session, the user's other sessions and documents, hand-off."""
        self._tab_id = new_id()
        self._is_visible = self._told_visible = True
        self._documents: dict[str, Document] = {}
        self._errands: set[str] = set()
        """Documents that nobody opened here: they have something to send from earlier."""
        self._requests = Requests(self.send)
        self._emitter = Emitter()
        self._identity: Identity | None = None
        self._ended: Ended | None = None
        self._is_closed = False
        self._status_changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._connection = Connection(
            socket_url,
            self,
            random=random.Random(seed),  # noqa: S311 - spreads reconnections over time, guards nothing
            backoff=backoff or Backoff(),
            attempts_max=attempts_max,
        )

    def __repr__(self) -> str:
        return f"Client({self._http_url!r}, status={self.connection_status})"

    async def __aenter__(self) -> Self:
        """Opens the outbox and begins to connect; does not wait for the connection. Raises OutboxUnavailable, ConfigurationError."""
        if self._is_closed or self._running is not None:
            raise ClientClosed("A client is opened once.")
        try:
            await self._look_into_outbox()
        except BaseException:
            await self.close()
            raise
        self._running = asyncio.create_task(self._connection.run(), name="sessile-client")
        return self

    async def _look_into_outbox(self) -> None:
        await self.outbox.open()
        self._identity = await self.outbox.identity()
        for name, default in await self.outbox.waiting():
            if name not in self._documents:
                self._errands.add(name)
                self._add(name, default)
        for document in tuple(self._documents.values()):
            await document.load()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends everything. What is not acknowledged stays in the outbox; whoever waits for it gets ClientClosed."""
        if self._is_closed:
            return
        self._is_closed = True
        self.failure = ClientClosed()
        await stop(self._running)
        for task in tuple(self._tasks):
            await stop(task)
        await self.api.close()
        self._requests.reject_all(self.failure)
        for document in self._documents.values():
            document.stopped(self.failure)
            try:
                await document.close()
            except OutboxUnavailable as problem:
                logger.warning(
                    "%s: acknowledged changes stay in the outbox and will be sent once more: %s",
                    document.name,
                    problem,
                    extra={"event_name": "client_outbox_kept"},
                )
        await self.outbox.close()
        self._emitter.close()

    # -- documents --------------------------------------------------------------------------------------------------

    async def document(self, name: str, *, default: State | None = None) -> Document:
        """The document with this name, opened or created with `default`; returns when there is a state. Raises what the server refuses it
        with, and the error for which the client has stopped trying. Does not end by itself while the server is away."""
        document = self.open(name, default=default)
        await document.ready()
        return document

    def open(self, name: str, *, default: State | None = None) -> Document:
        """The same at once, without waiting for a state: changes made meanwhile are queued. Raises InvalidChange or DocumentTooLarge for
        a default that cannot be sent, ClientClosed."""
        if self._is_closed:
            raise ClientClosed
        self._errands.discard(name)
        known = self._documents.get(name)
        if known is not None:
            return known
        if default is not None:
            default = check_value(dict(default), "/default")
            if len(msgspec.json.encode(default)) > FRAME_BYTES_AIM:
                raise DocumentTooLarge(
                    f"A default state has at most {FRAME_BYTES_AIM} bytes; make larger ones with changes."
                )
        document = self._add(name, default)
        if self._running is not None:
            joining = asyncio.create_task(self._join(document), name=f"sessile-join-{name}")
            self._tasks.add(joining)
            joining.add_done_callback(self._joined)
        return document

    @property
    def documents(self) -> list[Document]:
        """Those that are open here."""
        return [document for name, document in self._documents.items() if name not in self._errands]

    def _add(self, name: str, default: State | None) -> Document:
        document = self._documents[name] = Document(self, name, default)
        return document

    async def _subscribe(self, document: Document) -> None:
        wanted = await document.wanted()
        if self._connection.is_open:
            self._connection.send({"type": "subscribe", "request_id": new_id(), "documents": [wanted]})

    async def _join(self, document: Document) -> None:
        await document.load()
        await self._subscribe(document)

    # -- connection -------------------------------------------------------------------------------------------------

    @property
    def connection_status(self) -> ConnectionStatus:
        return self._connection.current

    @property
    def is_connected(self) -> bool:
        return self._connection.is_open

    async def connected(self) -> None:
        """Returns when there is a connection. Raises the error for which the client has stopped trying."""
        while not self._connection.is_open:
            if self.failure is not None:
                raise self.failure
            self._status_changed.clear()
            await self._status_changed.wait()

    def reconnect(self, *, token: Token | None = None) -> None:
        """Connects anew at once, with another token where given: after a login, or to try now. Raises ClientClosed."""
        if self._is_closed:
            raise ClientClosed
        if token is not None:
            self._credential.use(token)
        self.failure = self._ended = None
        self._connection.restart()

    def show(self, *, visible: bool) -> None:
        """Whether somebody is looking at what this client shows: the other devices of a document are told, on later connections too."""
        self._is_visible = visible
        if self._connection.is_open and self._connection.send({"type": "presence", "visible": visible}):
            self._told_visible = visible

    # -- events -----------------------------------------------------------------------------------------------------

    def on(self, kind: type[E], listener: Callable[[E], None]) -> Callable[[], None]:
        """Calls `listener` for events of that class; must not wait. Returns the way to stop."""
        return self._emitter.on(kind, listener)

    def events(self) -> AsyncIterator[Event]:
        """Every event from the first `anext` on, until the client is closed."""
        return self._emitter.events()

    # -- what documents need ----------------------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Tells whoever listens."""
        self._emitter.emit(event)

    def send(self, frame: Frame) -> bool:
        """Queues a frame; False when there is no connection."""
        return self._connection.send(frame)

    async def request(self, frame: Mapping[str, Any]) -> Frame:
        """Sends a frame with a request id and waits for its answer. Raises NotConnected, ConnectionLost, and what the server refuses."""
        if not self._connection.is_open:
            raise NotConnected
        return await self._requests.ask(frame)

    async def device_id(self) -> str:
        """Of this client, as the outbox has it. Raises OutboxUnavailable."""
        return (await self.outbox.identity()).device_id

    def session_shown(self, session: Mapping[str, Any]) -> None:
        """The service has shown a session over HTTP. What the connection is of stays with the connection."""
        if self.session is not None and self.session["session_id"] == session["session_id"]:
            self._show(session)

    async def renew_identity(self, device_id: str) -> None:
        """This device id cannot go on: everything unacknowledged gets a new one. Does nothing but follow when that has happened."""
        renewed = await self.outbox.renew(device_id)
        logger.warning(
            "this device goes on as %s; what is not acknowledged is sent again under that identity",
            renewed,
            extra={"event_name": "client_identity_renewed"},
        )
        for document in tuple(self._documents.values()):
            await document.renewed()
        self._connection.restart()

    # -- what the connection calls ----------------------------------------------------------------------------------

    async def hello(self) -> Frame:
        """The first frame. A server reads at most 4 KiB before it knows who it is, so documents that do not fit come afterwards."""
        self._identity = identity = await self.outbox.identity()
        try:
            token = await self._credential.present()
            handle, _secret = parse_token(token)
        except SessionNotFound as error:
            raise ConnectionRefused(FinalCode.UNAUTHENTICATED, error.message) from None
        if identity.owner is not None and _is_anonymous(identity.owner) and identity.owner != f"session:{handle}":
            raise ConnectionRefused(
                FinalCode.WRONG_USER, "The outbox belongs to another anonymous session. Use one file for each."
            )
        self._told_visible = self._is_visible
        hello: dict[str, Any] = {
            "type": "hello",
            "protocol": PROTOCOL,
            "device_id": identity.device_id,
            "tab_id": self._tab_id,
            "visible": self._is_visible,
            "device": {} if self._label is None else {"label": self._label},
            "token": token,
            "documents": [],
        }
        if self._platform_id is not None:
            hello["platform_id"] = self._platform_id
        if identity.owner is not None and not _is_anonymous(identity.owner):
            hello["user_id"] = identity.owner.removeprefix("user:")
        loaded = [document for document in self._documents.values() if document.is_loaded]
        for document in loaded[:DOCUMENTS_PER_SOCKET_MAX]:
            more = {**hello, "documents": [*hello["documents"], await document.wanted()]}
            if len(msgspec.json.encode(more)) > FIRST_FRAME_BYTES_MAX:
                break
            hello = more
        return hello

    async def frame(self, frame: Frame) -> None:
        """Every frame of the server, in order."""
        match frame["type"]:
            case "welcome":
                await self._welcome(frame)
            case "subscribed":
                await self._opened(frame)
            case "ping":
                await self._follow_identity()
                for document in tuple(self._documents.values()):
                    head = frame["heads"].get(document.id)
                    if head is not None:
                        await document.head(*head)
            case "session_expiring" | "session_changed" | "handoff_changed" | "maintenance":
                event = events.of_session(frame)
                self.emit(event)
                if isinstance(event, events.SessionChanged):
                    self._read_session(refresh=event.needs_refresh and self._credential.is_kept)
            case "session_ended":
                self._ended = Ended(frame["reason"], frame.get("clock"))
            case "error":
                self._failed(frame)
            case _:
                self._requests.answered(frame)
                document_id = frame.get("document_id")
                for document in tuple(self._documents.values()):
                    if document_id is not None and document.id == document_id:
                        await document.frame(frame)

    def refused(self, code: int) -> bool:
        """The server closed for good. A login in another place is followed: the outbox of an anonymous session goes with it."""
        owner = self._identity.owner if self._identity is not None else None
        if code == FinalCode.WRONG_USER and owner is not None and _is_anonymous(owner) and self.session is not None:
            self.session = None
            return True
        self.failure = failure_of(code, self.session, self._ended)
        session_id = self.session["session_id"] if self.session is not None else None
        if isinstance(self.failure, SessionExpired):
            self.emit(events.SessionExpired(session_id=session_id, clock=self.failure.clock))
        elif isinstance(self.failure, SessionEnded):
            self.emit(events.SessionEnded(session_id=session_id, reason=self.failure.reason))
        if self.failure.http_status == 401:
            self._show(None)
        return False

    def status(self, before: ConnectionStatus, after: ConnectionStatus, reason: str, retry_in_s: float | None) -> None:
        if before is ConnectionStatus.CONNECTED and after is not before:
            self._requests.reject_all(ConnectionLost())
            for document in self._documents.values():
                document.disconnected()
        if reason == "attempts_exhausted":
            self.failure = NotConnected("The tries to connect are used up.")
        if self.failure is not None and after in (ConnectionStatus.NEEDS_AUTH, ConnectionStatus.STOPPED):
            for document in self._documents.values():
                document.stopped(self.failure)
        if before is not after:
            attempt = self._connection.attempt
            self.emit(
                events.ConnectionStatusChanged(
                    before=before, after=after, reason=reason, attempt=attempt, retry_in_s=retry_in_s
                )
            )
        for document in self._documents.values():
            document.status_may_have_changed()
        self._status_changed.set()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _show(self, session: Mapping[str, Any] | None) -> None:
        """Who is here, for whoever listens; nothing for what was known."""
        before, self.session = self.session, session
        if before == session:
            return
        self.emit(events.SessionStateChanged(session=session))
        if before is not None and session is not None and before["platform"] != session["platform"]:
            self.emit(events.PlatformSwitched(before=before["platform"], after=session["platform"]))

    def _read_session(self, *, refresh: bool) -> None:
        """The session as it is now, with a new token where it is to get one: the server has said that it is not as it was."""
        asking: Coroutine[Any, Any, object] = self.api.refresh() if refresh else self.api.session()
        reading = asyncio.create_task(asking, name="sessile-client-session")
        self._tasks.add(reading)
        reading.add_done_callback(self._session_read)

    def _session_read(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.warning(
                "the session could not be read again: %s",
                task.exception(),
                extra={"event_name": "client_session_unread"},
            )

    async def _welcome(self, frame: Frame) -> None:
        session = frame["session"]
        owner = f"user:{session['user']['id']}" if session["user"] is not None else f"session:{session['session_id']}"
        if self._identity is not None and self._identity.owner != owner:
            await self.outbox.claim(
                owner
            )  # whose it was before has been checked: nobody's, or this session's before its login
            self._identity = Identity(self._identity.device_id, owner)
        self.failure = None  # an earlier connection may have been refused after `reconnect` had been called
        self._show(session)
        self._connection.welcomed()
        if self._told_visible is not self._is_visible:  # it changed between hello and welcome
            self.show(visible=self._is_visible)
        await self._opened(frame)
        named = {entry.get("name") for entry in frame["documents"]}
        for document in tuple(self._documents.values()):
            if document.is_loaded and document.name not in named:
                await self._subscribe(document)

    async def _follow_identity(self) -> None:
        """Another process on this outbox may have had to take a new identity."""
        if self._identity is not None and (await self.outbox.identity()).device_id != self._identity.device_id:
            await self.renew_identity(self._identity.device_id)

    def _joined(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error(
                "a document could not be opened; the next connection tries again",
                exc_info=task.exception(),
                extra={"event_name": "client_document_unopened"},
            )

    async def _opened(self, frame: Frame) -> None:
        for entry in frame["documents"]:
            document = self._documents.get(entry.get("name"))
            if document is None or self._identity is None:
                continue
            if "error" in entry:
                document.refused(error_from(entry["error"]))
            else:
                await document.opened(entry, self._identity.device_id)

    def _failed(self, frame: Frame) -> None:
        error, ref = error_from(frame), frame.get("ref")
        if self._requests.reject(ref, error):
            return
        for document in self._documents.values():
            if ref is not None and document.id == ref:
                document.failed(error)
        self.emit(
            events.ServerError(code=frame["code"], message=frame["message"], retryable=frame["retryable"], ref=ref)
        )


def _is_anonymous(owner: str) -> bool:
    return owner.startswith("session:")
