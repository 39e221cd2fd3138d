"""A client as small as can be: sends what it is told, keeps every frame, and holds each to protocol/schema/server.json."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 20.0
"""How long a frame may take before the test fails. Nothing waits that long when all is well."""
_SCHEMA = json.loads((Path(__file__).parents[3] / "protocol" / "schema" / "server.json").read_text(encoding="utf-8"))
jsonschema.Draft202012Validator.check_schema(_SCHEMA)
_VALIDATORS = {
    entry["$ref"].removeprefix("#/$defs/"): jsonschema.Draft202012Validator(
        {
            "$ref": entry["$ref"],
            "$defs": _SCHEMA["$defs"],
        }
    )
    for entry in _SCHEMA["oneOf"]
}
Frame = dict[str, Any]


def device() -> str:
    return str(uuid.uuid4())


def hello(*documents: Frame, token: str | None = None, **more: Any) -> Frame:
    frame = {"type": "hello", "protocol": 1, "device_id": device(), "tab_id": "tab", "visible": True}
    if token is not None:
        frame["token"] = token
    return {**frame, "documents": list(documents), **more}


def setting(seq: int, path: str, value: Any, *, base: int = 0, generation: int = 0) -> Frame:
    """One change: `set` at a path."""
    return {
        "seq": seq,
        "base_version": base,
        "generation": generation,
        "operations": [{"op": "set", "path": path, "value": value}],
    }


class Peer:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[Frame] = []
        self.document_id = ""
        self._unread: list[Frame] = []
        self._parts: dict[str, list[str]] = {}

    async def send(self, frame: Frame) -> None:
        await self.socket.send(json.dumps(frame))

    async def receive(self) -> Frame:
        """The next frame, put together if it came in parts. Raises ConnectionClosed."""
        while True:
            text = await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
            assert isinstance(text, str), "frames are text"
            assert len(text.encode()) <= 64 * 1024, "what is larger comes in parts"
            frame = valid(json.loads(text))
            if frame["type"] == "part":
                whole = self._collect(frame)
                if whole is None:
                    continue
                frame = valid(json.loads(whole))
            self.frames.append(frame)
            return frame

    async def expect(self, kind: str, accept: Callable[[Frame], bool] = lambda _: True) -> Frame:
        """The next frame of that type which `accept` takes. What comes before it stays for later calls."""
        for index, frame in enumerate(self._unread):
            if frame["type"] == kind and accept(frame):
                return self._unread.pop(index)
        while True:
            frame = await self.receive()
            if frame["type"] == kind and accept(frame):
                return frame
            self._unread.append(frame)

    async def expect_close(self) -> int:
        """Reads to the end; the close code."""
        with suppress(ConnectionClosed):
            while True:
                self._unread.append(await self.receive())
        closed = self.socket.protocol.close_rcvd
        assert closed is not None, "the connection was cut without a close frame"
        return closed.code

    async def open(self, *documents: Frame, **more: Any) -> Frame:
        """Says hello and reads to the first document's state; returns the welcome."""
        await self.send(hello(*documents, **more))
        welcome = await self.expect("welcome")
        if documents:
            self.document_id = welcome["documents"][0]["document_id"]
        return welcome

    async def change(self, *changes: Frame) -> None:
        await self.send({"type": "change", "document_id": self.document_id, "changes": list(changes)})

    async def request(self, kind: str, /, **more: Any) -> None:
        await self.send({"type": kind, "document_id": self.document_id, **more})

    async def barrier(self) -> None:
        """Returns when the server has worked on everything that was sent before."""
        mark = uuid.uuid4().hex
        await self.send({"type": "subscribe", "request_id": mark, "documents": [{"document_id": device()}]})
        await self.expect("subscribed", lambda frame: frame["request_id"] == mark)

    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]

    def _collect(self, frame: Frame) -> str | None:
        chunks = self._parts.setdefault(frame["ref"], [])
        assert frame["part"] == len(chunks) + 1
        chunks.append(frame["chunk"])
        return "".join(self._parts.pop(frame["ref"])) if len(chunks) == frame["of"] else None


def valid(frame: Frame) -> Frame:
    """The frame, which must be as the schema says."""
    _VALIDATORS[frame["type"]].validate(frame)
    return frame


@asynccontextmanager
async def connected(
    url: str, *, cookie: str | None = None, origin: str | None = None, path: str = "", **options: Any
) -> AsyncIterator[Peer]:
    """An open socket. With a cookie it is a browser's, whose origin is the server's own unless told otherwise."""
    own = "http" + url.removeprefix("ws").removesuffix("/ws")
    headers = {} if cookie is None else {"Cookie": f"sessile={cookie}"}
    if origin is None and cookie is not None:
        origin = own
    async with connect(
        url + path,
        subprotocols=["sessile.v1"],  # type: ignore[list-item]
        additional_headers=headers,
        origin=origin,  # type: ignore[arg-type]
        compression=None,
        ping_interval=None,
        open_timeout=PATIENCE_S,
        max_size=2**22,
        proxy=None,
        **options,
    ) as socket:
        yield Peer(socket)
