"""Running an application under uvicorn so that its sockets get a goodbye.

On SIGTERM uvicorn closes every WebSocket with 1012 and only then tells the application (its `Server.shutdown`, before the lifespan
event). The server here stops listening, drains, and goes that way afterwards. It also lets the socket service cut off a peer that has
stopped reading: an orderly close would wait behind everything that peer does not take.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sessile.model.errors import ConfigurationError
from sessile.server.realtime.connection import TRANSPORT_EXTENSION
from sessile.telemetry.logs import logging_config
from sessile.web.asgi import App

MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""Above the limit of frames, so that an oversized one can be answered; beyond this the socket is closed with 1009 unread."""
_CLOSE_GRACE_S: Final = 1.0
_GRACEFUL_SHUTDOWN_S: Final = 5

Drain = Callable[[], Awaitable[None]]
Started = Callable[[str, int], None]
Hangup = Callable[[], Awaitable[Any]]


class SocketProtocol(WebSocketsSansIOProtocol):
    """Offers the connection itself (`sessile.transport` in the scope's extensions): frames that are made once for many sockets are written without a
    coroutine for each, and a socket whose peer has stopped reading can be closed. Frames go out as they are, so not where an extension such as
    compression was agreed on."""

    on_writable: Callable[[], None] | None = None
    is_paused = False
    """Whether the transport's buffer is over its mark."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # At DEBUG it would log the headers of each handshake, cookies included, and what people write.
        self.conn.debug = False

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # the handshake is well-formed, and the application has not started yet
            extensions: Any = self.scope["extensions"]
            wire = None if self.conn.extensions else self
            extensions[TRANSPORT_EXTENSION] = {"close_now": self.close_now, "wire": wire}

    async def send(self, message: Any) -> None:
        """What the handshake left behind is let go of: it would be kept for as long as the socket lives."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response

    def write(self, data: bytes) -> None:
        """Whole frames. Behind a close they are dropped. Raises OSError when the peer is gone."""
        if self.disconnected or not self.handshake_complete:
            raise ClientDisconnected
        if not (self.close_sent or self.transport.is_closing()):
            self.transport.write(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_paused = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_paused = False
        if self.on_writable is not None:
            self.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.is_paused = False
        if self.on_writable is not None:
            self.on_writable()

    def close_now(self, code: int, reason: str) -> None:
        """Writes the close frame behind what the peer has not taken, and ends the connection a moment later in any case."""
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(_CLOSE_GRACE_S, self.transport.abort)


class HttpProtocol(HttpToolsProtocol):
    """The same for a stream of events: its connection is cut."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: Any = {TRANSPORT_EXTENSION: {"close_now": self.close_now}}
        self.scope["extensions"] = extensions

    def close_now(self, _code: int, _reason: str) -> None:
        """At once, with what the peer has not taken: an orderly close would wait for it."""
        self.transport.abort()


class DrainingServer(uvicorn.Server):
    """Drains before it lets go of the connections. `on_started` is called with host and port when it listens, `on_hangup` for each SIGHUP."""

    def __init__(
        self, config: uvicorn.Config, drain: Drain, on_started: Started | None, on_hangup: Hangup | None = None
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._on_started = on_started
        self._on_hangup = on_hangup
        self._hangups: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._on_hangup is not None and hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        await super().startup(sockets)
        if self._on_started is not None and not self.should_exit:
            self._on_started(*address_of(self))

    def _hang_up(self) -> None:
        assert self._on_hangup is not None
        task = asyncio.get_running_loop().create_task(self._heard(self._on_hangup))
        self._hangups.add(task)
        task.add_done_callback(self._hangups.discard)

    @staticmethod
    async def _heard(on_hangup: Hangup) -> None:
        with contextlib.suppress(ConfigurationError):  # logged and audited; what was before goes on
            await on_hangup()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        await self._drain()
        await super().shutdown(sockets)


def address_of(server: uvicorn.Server) -> tuple[str, int]:
    """Host and port that a started server listens on (the port matters when it was 0)."""
    address = server.servers[0].sockets[0].getsockname()
    return str(address[0]), int(address[1])


def make_server(
    app: App,
    *,
    host: str,
    port: int,
    drain: Drain,
    trusted_proxies: tuple[str, ...] = (),
    access_log: bool = False,
    log_config: dict[str, Any] | None = None,
    on_started: Started | None = None,
    on_hangup: Hangup | None = None,
) -> DrainingServer:
    """A server that is ready to `run()` or to be awaited with `serve()`. `trusted_proxies`: whose X-Forwarded-* headers count;
    `log_config`: None leaves logging as it is. Without `on_hangup` no handler for SIGHUP is installed."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,  # compression beside secrets leaks them (CRIME), and costs memory per socket
        ws_ping_interval=None,  # the protocol has pings of its own, which browsers can see
        ws_ping_timeout=None,
        log_config=log_config,
        access_log=access_log,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_S,
    )
    return DrainingServer(config, drain, on_started, on_hangup)


def run(
    app: App,
    *,
    host: str,
    port: int,
    drain: Drain,
    trusted_proxies: tuple[str, ...] = (),
    access_log: bool = False,
    on_started: Started | None = None,
    log_form: str = "plain",
    on_hangup: Hangup | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, with logs on standard error, `plain` or `json`; SIGHUP calls `on_hangup`, or is left alone. Raises ConfigurationError when
    the address cannot be listened on."""
    check_address(host, port)
    server = make_server(
        app,
        host=host,
        port=port,
        drain=drain,
        trusted_proxies=trusted_proxies,
        access_log=access_log,
        log_config=logging_config(log_form),
        on_started=on_started,
        on_hangup=on_hangup,
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has shut down in order and raises the signal once more
        server.run()


def check_address(host: str, port: int) -> None:
    """Raises ConfigurationError when somebody else has the port or the host is not one of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from None
