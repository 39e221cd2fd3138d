"""The service for frameworks without an event loop: its ASGI application runs on a loop of its own, in a thread, and is asked from any other.

It starts with the first request for one of its paths, once in each process (again after a fork), so an application that serves only pages of its own never
pays for it. A stream would hold a worker of the server for as long as a page is open; pages poll instead (protocol/README.md).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sessile.runtime.manager import AsyncSessionManager
from sessile.server.app import Service, create_app
from sessile.web.asgi import Message, Scope

T = TypeVar("T")
_STREAMS: Final = frozenset({"/api/v0/events"})


@dataclass(slots=True)
class Answer:
    """A whole response."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class ServiceThread:
    """`make_manager` makes the manager that the service works with, for each process anew; it is opened and closed here. Safe to share between threads."""

    def __init__(self, make_manager: Callable[[], AsyncSessionManager]) -> None:
        self._make_manager = make_manager
        self._lock = threading.Lock()
        self._running: _Running | None = None
        os.register_at_fork(after_in_child=self._forget)

    def answer(self, scope: Scope, body: bytes) -> Answer:
        """The service's response to a request for one of its own paths (`owns_path`)."""
        return self._started().run(_answered(self._started().service, scope, body))

    def is_stream(self, path: str) -> bool:
        """Whether the path is one that cannot be answered here, because its answer does not end."""
        return path in _STREAMS

    def close(self) -> None:
        """Lets go of the store and ends the thread. Again is no harm; the next request starts it again."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.close()

    def _started(self) -> _Running:
        running = self._running
        if running is None:
            with self._lock:
                if self._running is None:
                    self._running = _Running(self._make_manager)
                running = self._running
        return running

    def _forget(self) -> None:
        """In a child process: threads and connections belong to the parent."""
        self._lock = threading.Lock()
        self._running = None


class _Running:
    def __init__(self, make_manager: Callable[[], AsyncSessionManager]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sessile-service", daemon=True)
        self._thread.start()
        self.service: Service = self.run(_made(make_manager))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self.run(self.service.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _made(make_manager: Callable[[], AsyncSessionManager]) -> Service:
    return create_app(make_manager(), standalone=True)


async def _answered(service: Service, scope: Scope, body: bytes) -> Answer:
    answer = Answer()
    requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        # Who asked is waiting for the whole answer, so nobody goes away before it.
        return requests.pop() if requests else await asyncio.Future()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    await service(scope, receive, send)
    return answer
