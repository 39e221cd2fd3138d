"""A reader of event streams as small as can be: what a browser's `EventSource` takes, and each frame held to protocol/schema/server.json."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.integration.server.peer import PATIENCE_S, Frame, hello, valid

PATH = "/api/v0/events"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.frames: list[Frame] = []
        self.close: Frame | None = None
        """What the event `close` said."""
        self.comments: list[str] = []
        self._lines = _lines_of(response)
        self._unread: list[Frame] = []
        self._parts: list[str] = []

    async def receive(self) -> Frame | None:
        """The next frame; None at the end."""
        async for frame in self._events():
            if frame["type"] == "part":
                self._parts.append(frame["chunk"])
                if frame["part"] < frame["of"]:
                    continue
                frame = valid(json.loads("".join(self._parts)))  # noqa: PLW2901
                self._parts.clear()
            self.frames.append(frame)
            return frame
        return None

    async def expect(self, kind: str, accept: Callable[[Frame], bool] = lambda _: True) -> Frame:
        """The next frame of that type which `accept` takes. What comes before it stays for later calls."""
        for index, frame in enumerate(self._unread):
            if frame["type"] == kind and accept(frame):
                return self._unread.pop(index)
        while (frame_or_end := await self.receive()) is not None:
            if frame_or_end["type"] == kind and accept(frame_or_end):
                return frame_or_end
            self._unread.append(frame_or_end)
        raise AssertionError(f"the stream ended without {kind}: {self.close}")

    async def expect_close(self) -> int:
        """Reads to the end; the code of the last event."""
        while await self.receive() is not None:
            pass
        assert self.close is not None, "the body ended without a close event"
        assert self.close.keys() == {"code", "reason"}
        code: int = self.close["code"]
        return code

    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]

    async def _events(self) -> AsyncIterator[Frame]:
        name, data = "message", ""
        async for line in self._lines:
            if line.startswith(":"):
                self.comments.append(line)
            elif line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                assert not data, "one line an event"
                data = line.removeprefix("data: ")
            elif data:
                assert line == ""
                assert self.close is None, "nothing comes after the close"
                if name == "close":
                    self.close = json.loads(data)
                else:
                    yield valid(json.loads(data))
                name, data = "message", ""


async def _lines_of(response: httpx.Response) -> AsyncIterator[str]:
    """As in a browser: only CR and LF end a line, and we send LF (httpx knows more ends of lines)."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            assert b"\r" not in line
            yield line.decode()
    assert not rest


def address(*documents: Frame, **more: Any) -> httpx.URL:
    """Where a stream with that hello is."""
    return httpx.URL(PATH, params={"hello": json.dumps(hello(*documents, **more))})


@asynccontextmanager
async def streaming(
    origin: str, *documents: Frame, cookie: str | None = None, bearer: str | None = None, **more: Any
) -> AsyncIterator[Stream]:
    """An open stream: a browser's own with a cookie, a program's with a bearer token."""
    headers = {"accept": "text/event-stream"}
    if cookie is not None:
        headers |= {"cookie": f"sessile={cookie}", **SAME_ORIGIN}
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    async with (
        httpx.AsyncClient(base_url=origin, timeout=PATIENCE_S) as client,
        client.stream("GET", address(*documents, **more), headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Stream(response)
