"""Readers and the one who publishes, as cheap as they can be: raw connections that find the newest version in what they are sent."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

CONNECT_TIMEOUT_S: Final = 60.0
TABS_PER_DEVICE: Final = 100
CONNECTED_AT_ONCE: Final = 20


class Arrival:
    """Told by each reader when it has the newest version; `wait` returns when all have."""

    def __init__(self) -> None:
        self.version = 0
        self._missing = 0
        self._done: asyncio.Future[None] | None = None

    def expect(self, version: int, readers: int) -> asyncio.Future[None]:
        self.version, self._missing = version, readers
        self._done = asyncio.get_running_loop().create_future()
        return self._done

    def has(self) -> None:
        self._missing -= 1
        if not self._missing and self._done is not None and not self._done.done():
            self._done.set_result(None)


class Socket(asyncio.Protocol, ABC):
    """A WebSocket that reads frames of text, unmasked and unfragmented, as servers send them."""

    path = "/"
    headers: dict[str, str]

    def __init__(self, arrival: Arrival | None) -> None:
        self.headers = {}
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrival = arrival
        self._seen = 0
        self._buffer = b""
        self._is_open = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {self.path} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        transport.write("\r\n".join((*lines, "", "")).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed before it was ready"))

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.ready.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
                return
            self._buffer, self._is_open = rest, True
            self.opened()
        self._read_frames()

    def _read_frames(self) -> None:
        data, at, newest = self._buffer, 0, 0
        while len(data) - at >= 2:
            size, begin = data[at + 1], at + 2
            if size == 126:
                if len(data) < at + 4:
                    break
                (size,), begin = struct.unpack_from("!H", data, at + 2), at + 4
            elif size == 127:
                if len(data) < at + 10:
                    break
                (size,), begin = struct.unpack_from("!Q", data, at + 2), at + 10
            if len(data) < begin + size:
                break
            newest = max(newest, self.version_in(data[begin : begin + size]))
            at = begin + size
        self._buffer = data[at:]
        if newest > self._seen:
            self._seen = newest
            if self._arrival is not None and newest == self._arrival.version:
                self._arrival.has()

    def send(self, *texts: str) -> None:
        """Each as a frame, all in one write."""
        self._transport.write(b"".join(_masked(text.encode()) for text in texts))

    def close(self) -> None:
        self._transport.abort()

    def opened(self) -> None:
        """The handshake is done."""
        self.ready.set_result(None)

    @abstractmethod
    def version_in(self, frame: bytes) -> int:
        """The version that a frame brings the reader to; 0 for one that is no update."""

    @abstractmethod
    def publish(self, version: int, count: int) -> None:
        """Sends `count` updates, the last of which is this version."""


def _masked(payload: bytes) -> bytes:
    """A client has to mask; a mask of zeros changes nothing."""
    size = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
    return head + b"\0\0\0\0" + payload


def number_after(frame: bytes, mark: bytes) -> int:
    """The number behind a mark, 0 where there is none."""
    at = frame.find(mark)
    if at < 0:
        return 0
    begin = end = at + len(mark)
    while frame[end : end + 1].isdigit():
        end += 1
    return int(frame[begin:end] or 0)


class SessileSocket(Socket):
    path = "/ws"
    document_id = ""

    def __init__(self, arrival: Arrival | None, token: str, device_id: str, name: str) -> None:
        super().__init__(arrival)
        self.headers = {"Authorization": f"Bearer {token}", "Sec-WebSocket-Protocol": "sessile.v1"}
        self._name = name
        self._device_id = device_id

    def opened(self) -> None:
        hello = {"type": "hello", "protocol": 1, "device_id": self._device_id, "tab_id": uuid.uuid4().hex}
        self.send(json.dumps({**hello, "visible": True, "documents": [{"name": self._name, "default": {}}]}))

    def version_in(self, frame: bytes) -> int:
        if frame.startswith(b'{"type":"state_update"'):
            return number_after(frame, b'"to":')
        if frame.startswith(b'{"type":"ping"'):
            self.send(json.dumps({"type": "pong", "at": json.loads(frame)["at"]}))
        elif frame.startswith(b'{"type":"initial_state"') and not self.ready.done():
            self.document_id = json.loads(frame)["document_id"]
            self.ready.set_result(None)
        return 0

    def publish(self, version: int, count: int) -> None:
        self.send(*(self._change(number) for number in range(version - count + 1, version + 1)))

    def _change(self, seq: int) -> str:
        operation = {"op": "set", "path": f"/field{seq % 20}", "value": f"what a person typed, {seq:>40}"}
        change = {"seq": seq, "base_version": seq - 1, "generation": 0, "operations": [operation]}
        return json.dumps({"type": "change", "document_id": self.document_id, "changes": [change]})


PADDING: Final = "x" * 300
"""So that all servers send frames of about the same size as a `state_update`."""


class SocketIoSocket(Socket):
    path = "/socket.io/?EIO=4&transport=websocket"

    def opened(self) -> None:
        """Ready with the answer to the connect packet."""

    def version_in(self, frame: bytes) -> int:
        if frame.startswith(b"42"):
            return number_after(frame, b'"to":')
        if frame == b"2":
            self.send("3")
        elif frame.startswith(b"0{"):
            self.send("40")
        elif frame.startswith(b"40"):
            self.ready.set_result(None)
        return 0

    def publish(self, version: int, count: int) -> None:
        numbers = range(version - count + 1, version + 1)
        self.send(*("42" + json.dumps(["publish", {"to": number, "text": PADDING}]) for number in numbers))


class PlainSocket(Socket):
    def version_in(self, frame: bytes) -> int:
        return number_after(frame, b'"to": ')

    def publish(self, version: int, count: int) -> None:
        numbers = range(version - count + 1, version + 1)
        self.send(*(json.dumps({"to": number, "text": PADDING}) for number in numbers))


async def connect_all(sockets: Sequence[Socket], port: int) -> None:
    """Opens them, some at a time. Raises what one of them met."""
    gate = asyncio.Semaphore(CONNECTED_AT_ONCE)
    loop = asyncio.get_running_loop()

    async def connect(socket: Socket) -> None:
        async with gate, asyncio.timeout(CONNECT_TIMEOUT_S):
            await loop.create_connection(lambda: socket, "127.0.0.1", port)
            await socket.ready

    await asyncio.gather(*(connect(socket) for socket in sockets))
