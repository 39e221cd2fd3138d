"""A small TCP balancer for tests of several nodes: connections go round robin, and a node that refuses is skipped.

It runs in a thread of its own, as the fault proxy does. It knows no protocol: HTTP and WebSockets stay with the node that their
connection was given to, until one side closes it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from sessile.testing.servers.process import free_port

_CHUNK: Final = 65_536
_BACKLOG: Final = 256
_CONNECT_TIMEOUT_S: Final = 1.0
"""A node that does not take a connection within this time is skipped, too."""
_TAKES_EFFECT_WITHIN_S: Final = 10.0


class Balancer:
    """Listens on a free port of the loopback interface from the moment it is made until `close`, or the end of its `with` block.

    `ports` are those of the nodes; they need not be there yet. A connection for which there is no node is reset.
    """

    host: Final = "127.0.0.1"

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = free_port()
        self._ports = list(ports)
        self._out: set[int] = set()
        self._turn = 0
        self._carried = dict.fromkeys(ports, 0)
        self._links: set[asyncio.Task[None]] = set()
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name=f"balancer-{self.port}", daemon=True)
        self._thread.start()
        self._server: asyncio.Server
        self._in_loop(self._listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where clients go: `http://127.0.0.1:port`."""
        return f"http://{self.host}:{self.port}"

    @property
    def carried(self) -> Mapping[int, int]:
        """By port: how many connections each node was given so far."""
        return dict(self._carried)

    def take_out(self, port: int) -> None:
        """The node gets no new connections; those that it has stay. Takes effect before it returns. Raises ValueError for a port that is none of its own."""
        self._check(port)

        async def apply() -> None:
            self._out.add(port)

        self._in_loop(apply)

    def put_back(self, port: int) -> None:
        """The node gets connections again. Raises ValueError for a port that is none of its own."""
        self._check(port)

        async def apply() -> None:
            self._out.discard(port)

        self._in_loop(apply)

    def close(self) -> None:
        """Cuts every connection and ends the thread. Does nothing the second time."""
        if self._loop.is_closed():
            return
        self._in_loop(self._leave)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TAKES_EFFECT_WITHIN_S)
        self._loop.close()

    def _check(self, port: int) -> None:
        if port not in self._carried:
            raise ValueError(f"{port} is no node of this balancer")

    # ------------------------------------------------------------------ in the balancer's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _in_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does it in the balancer's thread; returns when it is done. Raises RuntimeError when the balancer is closed."""
        if self._loop.is_closed():
            raise RuntimeError("the balancer is closed")
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(_TAKES_EFFECT_WITHIN_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._taken, self.host, self.port, backlog=_BACKLOG)

    async def _leave(self) -> None:
        self._server.close()
        for link in tuple(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: one that the streams made would be reported as failed when it is cancelled.
        task = self._loop.create_task(self._serve(reader, writer))
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from the choice of its node to its end."""
        writers = [writer]
        try:
            node = await self._node()
            if node is None:
                return
            writers.append(node[1])
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, node[1]))
                both.create_task(_carry(node[0], writer))
            for end in writers:  # in order: what they still have to say is said
                end.close()
        except* OSError:
            pass  # one side was reset, and so the other one is
        finally:
            for end in writers:
                if not end.is_closing():
                    end.transport.abort()

    async def _node(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the node whose turn it is, or to the next one that takes it."""
        for _ in range(len(self._ports)):
            port = self._ports[self._turn % len(self._ports)]
            self._turn += 1
            if port in self._out:
                continue
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    found = await asyncio.open_connection(self.host, port)
                self._carried[port] += 1
                return found
        return None


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Passes bytes on until the source ends, and then the end."""
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()
    sink.write_eof()
