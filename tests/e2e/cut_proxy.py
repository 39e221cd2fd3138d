"""A TCP proxy that a test can cut: the network between one device and the server. Threads, because the test's own thread drives the
browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_CHUNK = 65_536


class _Link:
    """One connection of the browser and its twin to the server."""

    def __init__(self, near: socket.socket) -> None:
        self.near = near
        self.far: socket.socket | None = None
        self.is_lost = False

    def close(self) -> None:
        for end in (self.near, self.far):
            if end is None:
                continue
            with suppress(OSError):  # the peer was faster
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            end.close()


class CutProxy:
    """`origin` is what the browser opens. Healthy until it is told otherwise:

    - `cut`: a black hole. Open connections stay open, and one that has lost a byte never carries another, not even after `heal`, so
      only a heartbeat finds out. New ones are taken and wait for `heal`.
    - `hold_answers`: what the browser sends arrives; what the server says waits for `heal`.
    - `refuse`: every connection is closed at once, open ones and new ones.

    With `blocks_sockets` it lets no WebSocket through, as some companies' networks do.
    """

    def __init__(self, target_port: int, port: int, *, blocks_sockets: bool = False) -> None:
        self._blocks_sockets = blocks_sockets
        self._target = ("127.0.0.1", target_port)
        self._mode = "open"
        self._changed = threading.Condition()
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.origin = f"http://127.0.0.1:{port}"
        self.swallowed_bytes = 0
        self.held_bytes = 0
        self._start(self._accept)

    def cut(self) -> None:
        self._turn("cut")

    def hold_answers(self) -> None:
        self._turn("hold")

    def refuse(self) -> None:
        self._turn("refuse")
        with self._changed:
            links = list(self._links)
        for link in links:
            link.close()

    def heal(self) -> None:
        self._turn("open")

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            links = list(self._links)
            self._changed.notify_all()
        with suppress(OSError):  # wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in links:
            link.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread of the proxy hangs"

    # ------------------------------------------------------------------ inside

    def _turn(self, mode: str) -> None:
        with self._changed:
            self._mode = mode
            self._changed.notify_all()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="cut-proxy", daemon=True)
        self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(near)
            with self._changed:
                self._links.add(link)
            self._start(self._serve, link)

    def _serve(self, link: _Link) -> None:
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._mode != "cut" or self._is_closed)
                is_refused = self._mode == "refuse" or self._is_closed
            if is_refused:
                return link.close()
            try:
                link.far = socket.create_connection(self._target, timeout=5)
            except OSError:
                return link.close()  # the server is away: the browser is to see just that
            link.far.settimeout(None)
            link.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            down = threading.Thread(target=self._pipe, args=(link, link.far, link.near, False), daemon=True)
            down.start()
            self._pipe(link, link.near, link.far, True)
            down.join()
        finally:
            link.close()
            with self._changed:
                self._links.discard(link)

    def _pipe(self, link: _Link, source: socket.socket, sink: socket.socket, is_upwards: bool) -> None:
        try:
            while data := source.recv(_CHUNK):
                if self._blocks_sockets and is_upwards and data.startswith(b"GET /ws "):
                    break
                if self._passes(link, len(data), is_upwards):
                    sink.sendall(data)
        except OSError:
            pass  # one side is gone, so the other one goes, too
        if not self._is_dead_silent(link):
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)

    def _passes(self, link: _Link, size: int, is_upwards: bool) -> bool:
        with self._changed:
            link.is_lost |= self._mode == "cut"
            if link.is_lost:
                self.swallowed_bytes += size
                return False
            if not is_upwards and self._mode == "hold":
                self.held_bytes += size
                self._changed.wait_for(lambda: self._mode != "hold" or self._is_closed)
            return True

    def _is_dead_silent(self, link: _Link) -> bool:
        """In a black hole not even the end of a connection is heard on the other side."""
        with self._changed:
            return link.is_lost and not self._is_closed
