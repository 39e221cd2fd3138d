"""A server that does what a test says, on a real socket. Every frame in both directions is held against protocol/schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from sessile.client.connection import SUBPROTOCOL
from sessile.model.canonical import state_hash

SCHEMAS = Path(__file__).resolve().parents[3] / "protocol" / "schema"
OF_CLIENT = Draft202012Validator(json.loads((SCHEMAS / "client.json").read_text(encoding="utf-8")))
OF_SERVER = Draft202012Validator(json.loads((SCHEMAS / "server.json").read_text(encoding="utf-8")))

HANDLE = "01900000-0000-7000-8000-000000000001"
TOKEN = f"{HANDLE}.{'s' * 43}"
DOCUMENT = "01900000-0000-7000-8000-00000000000d"
AT = "2026-01-01T00:00:00.000Z"
LIMITS = {
    "frame_bytes_max": 98304,
    "change_bytes_max": 65536,
    "changes_per_frame_max": 100,
    "operations_per_change_max": 200,
    "state_bytes_max": 1048576,
}


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def heard(self, kind: str | None = None) -> dict[str, Any]:
        """The next frame, of that type where given (others before it are passed over)."""
        while True:
            async with asyncio.timeout(5):
                frame: dict[str, Any] = json.loads(await self.socket.recv())
            OF_CLIENT.validate(frame)
            if kind in (None, frame["type"]):
                return frame

    async def say(self, frame: dict[str, Any]) -> None:
        OF_SERVER.validate(frame)
        await self.socket.send(json.dumps(frame))

    async def welcome(self, *, user: str | None = "ann", lost_after_ms: int = 35_000, **opened: Any) -> dict[str, Any]:
        """Hears the hello and welcomes it; with `last_seq` or other fields it opens the document `intake`. Returns the hello."""
        hello = await self.heard("hello")
        session = {
            "session_id": HANDLE,
            "user": None if user is None else {"id": user},
            "platform": None,
            "created_at": AT,
            "last_activity": AT,
            "idle_expires_at": "2026-01-02T00:00:00.000Z",
            "absolute_expires_at": "2026-01-03T00:00:00.000Z",
            "expires_at": "2026-01-02T00:00:00.000Z",
            "can_extend": True,
            "remembered": False,
        }
        await self.say(
            {
                "type": "welcome",
                "connection_id": "c",
                "server_time": AT,
                "session": session,
                "ping_interval_ms": 20_000,
                "lost_after_ms": lost_after_ms,
                "limits": LIMITS,
                "documents": [entry(**opened)] if opened else [],
            }
        )
        return hello

    async def snapshot(self, state: dict[str, Any] | None = None, **fields: Any) -> None:
        await self.say(initial_state(state or {}, **fields))

    async def ack(self, *seqs: int, version: int = 0) -> None:
        verdicts = [{"seq": seq, "version": version + seq, "verdict": "applied"} for seq in seqs]
        await self.say({"type": "ack", "document_id": DOCUMENT, "epoch": "e", "seq": seqs[-1], "verdicts": verdicts})

    async def update(self, version: int, operations: list[Any], *, seq: int | None = None, device_no: int = 2) -> None:
        line = {
            "version": version,
            "generation": 0,
            "device_no": device_no,
            "seq": seq,
            "operations": operations,
            "verdict": "applied",
            "at": AT,
        }
        frame = {"type": "state_update", "document_id": DOCUMENT, "epoch": "e", "generation": 0, "timestamp": AT}
        await self.say({**frame, "from": version - 1, "to": version, "changes": [line]})


def entry(**fields: Any) -> dict[str, Any]:
    """OPENED."""
    opened = {"document_id": DOCUMENT, "name": "intake", "device_no": 1, "last_seq": 0, "epoch": "e", "version": 0}
    return {**opened, **fields}


def initial_state(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "type": "initial_state",
        "document_id": DOCUMENT,
        "name": "intake",
        "epoch": "e",
        "version": 0,
        "generation": 0,
        "timestamp": AT,
        "state": state,
        "hash": state_hash(state),
        "last_seq": 0,
        "conflicts": [],
        **fields,
    }


class FakeServer:
    """`scripts` are for the first, second, ... connection; the last one is for all that follow."""

    def __init__(self, server: Server, requests: list[Request]) -> None:
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        self.requests = requests
        """The handshakes."""


Script = Callable[[Peer], Awaitable[None]]
Answer = Callable[[ServerConnection, Request], Response | None]


@asynccontextmanager
async def fake_server(*scripts: Script, answer: Answer | None = None) -> AsyncIterator[FakeServer]:
    """Faults of a script come up at the end."""
    requests: list[Request] = []
    faults: list[BaseException] = []

    def note(connection: ServerConnection, request: Request) -> Response | None:
        requests.append(request)
        return answer(connection, request) if answer is not None else None

    async def converse(socket: ServerConnection) -> None:
        script = scripts[min(len(requests), len(scripts)) - 1]
        try:
            await script(Peer(socket))
        except Exception as fault:
            faults.append(fault)
            raise

    async with serve(
        converse,
        "127.0.0.1",
        0,
        process_request=note,
        subprotocols=[SUBPROTOCOL],
        ping_interval=None,
    ) as server:
        yield FakeServer(server, requests)
    if faults:
        raise faults[0]


async def stay(peer: Peer) -> None:
    """Until the other side goes."""
    await peer.socket.wait_closed()
