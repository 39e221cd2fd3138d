"""A TCP proxy that breaks the network between a program and its server, in every way that networks break.

It knows no protocol, so it stands in front of Redis, PostgreSQL and HTTP alike. It runs in a thread of its own: blocking tests and
asynchronous ones use it in the same way, and a program that blocks its own loop does not block it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from sessile.testing.proxy_link import CutAfter, Direction, Gate, Link, LostReply, Matching, Network, Trouble, close
from sessile.testing.servers.process import free_port

_BACKLOG: Final = 256
_TAKES_EFFECT_WITHIN_S: Final = 10.0


@dataclass(frozen=True)
class ProxyCounts:
    """What went through a proxy since it was made.

    `faults` has, by the name of the fault, how often it hit something: a connection (`reset`, `reset_after`, `drop_reply`) or some
    bytes (the others). For `refuse` it is how often it began: who tries to connect while nobody listens is seen by nobody.
    """

    connections: int
    bytes_up: int
    bytes_down: int
    faults: Mapping[str, int]


class Faults:
    """What can be wrong. Each call takes effect before it returns, for open connections and for new ones, and may come from any thread.

    `refuse`, `reset`, `half_open` and `one_way` replace each other. `latency`, `bandwidth`, `slice`, `drop_reply` and `reset_after` come
    on top of each other; the same one again replaces what it was. `heal` ends them all. Raises ValueError for numbers that make no sense.
    """

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy

    def refuse(self) -> None:
        """Nobody listens, as if the server were gone: connecting fails with ECONNREFUSED, open connections are closed."""
        self._proxy._change(lambda trouble: _gate(trouble, "refuse"))

    def reset(self) -> None:
        """Open connections are reset (RST), new ones as soon as they are there."""
        self._proxy._change(lambda trouble: _gate(trouble, "reset"))

    def half_open(self) -> None:
        """A dead network: both directions vanish without an error, new connections are taken and never answered."""
        self._proxy._change(lambda trouble: _gate(trouble, "silent", "up", "down"))

    def one_way(self, passes: Direction) -> None:
        """Only this direction passes, the other one vanishes. "up" is from client to server: requests arrive and are done, no answer comes back."""
        self._proxy._change(lambda trouble: _gate(trouble, "open", "down" if _known(passes) == "up" else "up"))

    def latency(self, seconds: float, jitter: float = 0.0) -> None:
        """A request and its answer take this much longer, give or take the jitter (seconds); half of it on each way."""
        _check(
            seconds >= 0 and 0 <= jitter <= seconds, "latency and jitter are seconds, and jitter is at most the latency"
        )

        def change(trouble: Trouble) -> None:
            trouble.latency_s, trouble.jitter_s = seconds, jitter

        self._proxy._change(change)

    def bandwidth(self, bytes_per_s: float) -> None:
        """Each connection carries so many bytes a second in each direction."""
        _check(bytes_per_s > 0, "bandwidth is bytes a second, above 0")
        self._proxy._change(lambda trouble: setattr(trouble, "bytes_per_s", bytes_per_s))

    def slice(self, size: int, delay_s: float = 0.0) -> None:
        """Everything arrives in pieces of so many bytes, with so many seconds between them."""
        _check(size > 0 and delay_s >= 0, "a slice has at least one byte, and its delay is seconds")

        def change(trouble: Trouble) -> None:
            trouble.slice_bytes, trouble.slice_delay_s = size, delay_s

        self._proxy._change(change)

    def drop_reply(self, matching: Matching = None, count: int = 1) -> None:
        """The reply is lost after the request was done: the server gets a request that contains `matching`, its reply is swallowed, the connection closed.

        `matching` is bytes, or a function of the bytes that came since the last reply; None is any request. It is called in the
        proxy's thread. That happens to the next `count` such requests. With TLS only None makes sense.
        """
        _check(count > 0, "count is at least 1")
        self._proxy._change(lambda trouble: setattr(trouble, "lost_reply", LostReply(matching, count)))

    def reset_after(self, n_bytes: int, direction: Direction = "up", count: int | None = None) -> None:
        """Each connection is reset after so many more bytes in this direction, in the middle of a request ("up") or of an answer; `count` connections, or all until `heal`."""
        _check(n_bytes > 0 and (count is None or count > 0), "n_bytes and count are at least 1")
        self._proxy._change(lambda trouble: setattr(trouble, "cut", CutAfter(n_bytes, _known(direction), count)))

    def heal(self) -> None:
        """Nothing is wrong any more. What was on its way slowly arrives at once; connections that lost something are closed, so that clients connect anew."""
        self._proxy._heal()


class FaultProxy:
    """Listens on a free port of the loopback interface from the moment it is made until `close`, or the end of its `with` block.

    The same seed gives the same jitter to the same connections. The target need not be there yet; while it is away, connections are
    reset as soon as they are there.
    """

    host: Final = "127.0.0.1"

    def __init__(self, target_host: str, target_port: int, seed: int = 0) -> None:
        self.port = free_port()
        self.faults = Faults(self)
        self._network = Network((socket.gethostbyname(target_host), target_port), seed)
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._connections = 0
        self._failures: list[BaseException] = []
        self._listener: socket.socket | None = None
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name=f"fault-proxy-{self.port}", daemon=True)
        self._thread.start()
        self._in_loop(self._listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> ProxyCounts:
        """As it is now."""
        there = {fault: times for fault, times in self._network.faults.copy().items() if times}
        passed = self._network.bytes
        return ProxyCounts(self._connections, passed["up"], passed["down"], there)

    @property
    def open_connections(self) -> int:
        """How many connections it carries now."""
        return len(self._links)

    def close(self) -> None:
        """Closes every connection and ends the thread. Does nothing the second time. Raises what a function given to `drop_reply` has raised."""
        if self._loop.is_closed():
            return
        self._in_loop(self._leave)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TAKES_EFFECT_WITHIN_S)
        self._loop.close()
        if self._failures:
            raise self._failures[0]

    # ------------------------------------------------------------------ called by Faults

    def _change(self, change: Callable[[Trouble], object]) -> None:
        async def apply() -> None:
            was_listening = self._network.trouble.gate != "refuse"
            change(self._network.trouble)
            gate = self._network.trouble.gate
            if gate == "refuse":
                self._stop_listening()
                self._network.faults["refuse"] += was_listening
                await self._end(list(self._links))
            else:
                await self._listen()
            if gate == "reset":
                self._network.faults["reset"] += await self._end(list(self._links), is_reset=True)

        self._in_loop(apply)

    def _heal(self) -> None:
        async def apply() -> None:
            before, self._network.trouble = self._network.trouble, Trouble()
            stuck = [link for link in self._links if link.is_stuck]
            before.healed.set()
            await self._end(stuck)
            await self._listen()

        self._in_loop(apply)

    # ------------------------------------------------------------------ in the proxy's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _in_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does it in the proxy's thread; returns when it is done. Raises RuntimeError when the proxy is closed or when that thread itself asks."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a function given to drop_reply may not change faults")
        if self._loop.is_closed():
            raise RuntimeError("the proxy is closed")
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(_TAKES_EFFECT_WITHIN_S)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((self.host, self.port), backlog=_BACKLOG)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it has gone again
        client.setblocking(False)
        self._connections += 1
        if self._network.trouble.gate == "reset":
            self._network.faults["reset"] += 1
            close(client, is_reset=True)
            return
        link = Link(self._network, client, self._connections)
        task = self._loop.create_task(link.serve())
        self._links[link] = task
        task.add_done_callback(lambda done: self._forget(link, done))

    def _forget(self, link: Link, done: asyncio.Task[None]) -> None:
        del self._links[link]
        link.close()
        if not done.cancelled() and (failure := done.exception()) is not None:
            self._failures.append(failure)

    async def _end(self, links: list[Link], *, is_reset: bool = False) -> int:
        """Ends these connections; how many."""
        tasks = [self._links[link] for link in links]
        for link, task in zip(links, tasks, strict=True):
            link.is_reset |= is_reset
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    async def _leave(self) -> None:
        self._stop_listening()
        await self._end(list(self._links))


def _gate(trouble: Trouble, gate: Gate, *lost: Direction) -> None:
    trouble.gate, trouble.lost = gate, frozenset(lost)


def _known(direction: Direction) -> Direction:
    _check(direction in {"up", "down"}, 'a direction is "up" or "down"')
    return direction


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
