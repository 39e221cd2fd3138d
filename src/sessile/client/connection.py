"""One socket and its life: opening, welcome, pings, loss, and trying again (protocol/README.md, rules 6 and 7). It knows nothing of
documents; its handler reads and writes the frames.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from sessile.client.backoff import Backoff
from sessile.client.endings import LOGIN_NEEDED, REFUSED_STATUSES, is_final
from sessile.client.errors import ConnectionRefused
from sessile.client.events import ConnectionStatus
from sessile.client.records import Frame
from sessile.client.sender import stop

logger = logging.getLogger("sessile.client")

socket_logger = logging.getLogger("sessile.client.socket")
"""At DEBUG the library writes whole frames, and the first one carries the token: not because somebody turned everything on."""
socket_logger.setLevel(logging.INFO)

SUBPROTOCOL: Final = Subprotocol("sessile.v1")
WELCOME_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
GOAWAY_GRACE_S: Final = 10.0
"""A server that said goaway closes the socket itself; this long after the end of its window it is not waited for any more."""
MESSAGE_BYTES_MAX: Final = 256 * 1024
"""Server frames over 64 KiB come in parts."""


class Handler(Protocol):
    async def hello(self) -> Frame:
        """The first frame. Raises ConnectionRefused when this client must not connect like this."""
        ...

    async def frame(self, frame: Frame) -> None:
        """Every frame but `part`, in order."""
        ...

    def refused(self, code: int) -> bool:
        """A close code of 4500 to 4999, or the HTTP status of a refused handshake. True: try again all the same."""
        ...

    def status(
        self, before: ConnectionStatus, after: ConnectionStatus, reason: str, retry_in_s: float | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _End:
    """How one socket ended. `retry_in_s` None: by the backoff."""

    reason: str
    code: int = 0
    is_final: bool = False
    retry_in_s: float | None = None


class _Connect(connect):
    """Follows no redirect: the hello carries the token, and another address has no claim to it."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """`run` is the one task; everything else is called on the same loop and never waits."""

    def __init__(
        self, url: str, handler: Handler, *, random: Random, backoff: Backoff, attempts_max: int | None
    ) -> None:
        self.current = ConnectionStatus.CONNECTING
        self.attempt = 0
        self.connects = 0
        self._url = url
        self._handler = handler
        self._random = random
        self._backoff = backoff
        self._attempts_max = attempts_max
        self._kick = asyncio.Event()
        """Set to try now, out of a pause or a standstill."""
        self._outgoing: asyncio.Queue[str] | None = None
        self._socket: ClientConnection | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._lost_after_s = WELCOME_TIMEOUT_S
        self._welcomed_at_s: float | None = None
        self._goaway_s: float | None = None
        self._parts: dict[str, dict[int, str]] = {}

    @property
    def is_open(self) -> bool:
        """True from the welcome until the loss."""
        return self.current is ConnectionStatus.CONNECTED

    def send(self, frame: Frame) -> bool:
        """Queues a frame. False when there is no connection; then it is not sent."""
        if self._outgoing is None:
            return False
        self._outgoing.put_nowait(msgspec.json.encode(frame).decode())
        return True

    def restart(self) -> None:
        """Connects anew at once, whatever the state."""
        self.attempt = 0
        self._kick.set()
        if self._socket is not None and self._restarting is None:
            self._restarting = asyncio.create_task(self._socket.close(), name="sessile-client-restart")

    def welcomed(self) -> None:
        """The handler has taken the welcome in."""
        self._set_status(ConnectionStatus.CONNECTED, "welcome")

    async def run(self) -> None:
        """Until cancelled. Faults of the handler drop the socket and are tried again like a loss; they are logged."""
        try:
            while True:
                self._kick.clear()
                end = await self._live()
                await self._after(end)
        finally:
            await stop(self._restarting)
            self._set_status(ConnectionStatus.CLOSED, "closed")

    async def _after(self, end: _End) -> None:
        """Waits as long as it should be waited after this end."""
        if self._welcomed_at_s is not None and _now_s() - self._welcomed_at_s >= self._backoff.reset_after_s:
            self.attempt = 0
        self._welcomed_at_s = None
        if end.is_final and not self._handler.refused(end.code):
            status = ConnectionStatus.NEEDS_AUTH if end.code in LOGIN_NEEDED else ConnectionStatus.STOPPED
            await self._stand_still(status, end.reason)
            return
        if self._attempts_max is not None and self.attempt >= self._attempts_max:
            await self._stand_still(ConnectionStatus.STOPPED, "attempts_exhausted")
            return
        delay_s = end.retry_in_s
        if delay_s is None:
            delay_s = self._backoff.delay_s(self.attempt, self._random.random)
        self.attempt += 1
        if self._kick.is_set():
            delay_s = 0.0
        after = ConnectionStatus.RECONNECTING if self.connects else ConnectionStatus.CONNECTING
        self._set_status(after, end.reason, delay_s)
        try:
            async with asyncio.timeout(delay_s):
                await self._kick.wait()
        except TimeoutError:
            return

    async def _stand_still(self, status: ConnectionStatus, reason: str) -> None:
        self._set_status(status, reason)
        await self._kick.wait()
        self.attempt = 0

    async def _live(self) -> _End:
        """One socket, from the handshake to its end."""
        self._goaway_s = None
        try:
            async with _Connect(
                self._url,
                subprotocols=[SUBPROTOCOL],
                compression=None,  # compression beside secrets leaks them (CRIME)
                open_timeout=WELCOME_TIMEOUT_S,
                ping_interval=None,  # the protocol has pings of its own
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MESSAGE_BYTES_MAX,
                logger=socket_logger,
            ) as socket:
                return await self._converse(socket)
        except InvalidStatus as error:
            code = error.response.status_code
            logger.warning(
                "%s: the handshake was answered with HTTP %s",
                self._url,
                code,
                extra={"event_name": "client_handshake_refused"},
            )
            return _End(f"http_{code}", code, is_final=code in REFUSED_STATUSES)
        except (OSError, TimeoutError, InvalidHandshake) as error:
            logger.info("%s cannot be reached: %s", self._url, error, extra={"event_name": "client_unreachable"})
            return _End("unreachable")
        except Exception:  # whatever stands between us and the server must not end the client
            logger.exception("%s cannot be reached", self._url, extra={"event_name": "client_unreachable"})
            return _End("unreachable")
        finally:
            self._outgoing = self._socket = None
            restarting, self._restarting = self._restarting, None
            await stop(restarting)

    async def _converse(self, socket: ClientConnection) -> _End:
        self._socket = socket
        self._outgoing = asyncio.Queue()
        self._parts.clear()
        writer = asyncio.create_task(_write(socket, self._outgoing), name="sessile-client-writer")
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S) as watchdog:
                self.send(await self._handler.hello())
                async for text in socket:
                    await self._receive(text, watchdog)
            return self._closed(socket)
        except ConnectionClosed:
            return self._closed(socket)
        except TimeoutError:
            socket.transport.abort()  # nobody is there to take a close
            return _End("lost" if self._goaway_s is None else "goaway", retry_in_s=self._goaway_s)
        except msgspec.DecodeError:
            logger.warning(
                "%s sent what is not JSON; connecting anew", self._url, extra={"event_name": "client_frame_malformed"}
            )
            return _End("bad_frame")
        except ConnectionRefused as refusal:
            return _End("refused", refusal.close_code, is_final=True)
        except Exception:  # a fault here must not end the client: the next connection starts from known positions
            logger.exception(
                "a frame could not be handled; connecting anew", extra={"event_name": "client_frame_failed"}
            )
            return _End("internal")
        finally:
            writer.cancel()
            await asyncio.wait({writer})

    def _closed(self, socket: ClientConnection) -> _End:
        code = socket.close_code or 1006
        if self._restarting is not None:
            return _End("restart", retry_in_s=0.0)
        return _End(f"closed_{code}", code, is_final=is_final(code), retry_in_s=self._goaway_s)

    async def _receive(self, text: str | bytes, watchdog: asyncio.Timeout) -> None:
        frame: dict[str, Any] = msgspec.json.decode(text)
        kind = frame["type"]
        if kind == "part":
            chunks = self._parts.setdefault(frame["ref"], {})
            chunks[frame["part"]] = frame["chunk"]
            if len(chunks) == frame["of"]:
                del self._parts[frame["ref"]]
                await self._receive("".join(chunks[number] for number in sorted(chunks)), watchdog)
            return
        if kind == "welcome":
            self._lost_after_s = frame["lost_after_ms"] / 1000
            self._welcomed_at_s = _now_s()
            self.connects += 1
        if kind == "ping":
            self.send({"type": "pong", "at": frame["at"]})
        if kind in ("welcome", "ping") and self._goaway_s is None:
            watchdog.reschedule(_now_s() + self._lost_after_s)
        if kind == "goaway":
            least_s, most_s = frame["retry_min_ms"] / 1000, frame["retry_max_ms"] / 1000
            self._goaway_s = least_s + self._random.random() * max(0.0, most_s - least_s)
            watchdog.reschedule(_now_s() + most_s + GOAWAY_GRACE_S)
        await self._handler.frame(frame)

    def _set_status(self, after: ConnectionStatus, reason: str, retry_in_s: float | None = None) -> None:
        before, self.current = self.current, after
        self._handler.status(before, after, reason, retry_in_s)


async def _write(socket: ClientConnection, outgoing: asyncio.Queue[str]) -> None:
    """Ends with the socket; the reader finds out how it ended."""
    while True:
        text = await outgoing.get()
        try:
            await socket.send(text)
        except ConnectionClosed:
            return


def _now_s() -> float:
    return asyncio.get_running_loop().time()
