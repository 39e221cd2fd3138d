"""Record the examples of the HTTP description: real requests and their real answers, with a clock that stands still and repeatable randomness.

Written to `src/sessile/server/examples.json`, which the service puts into its OpenAPI document. A test records them again and compares.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import httpx

from sessile.model.platform import PlatformEntry
from sessile.runtime import background
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import create_app
from sessile.server.examples import FILE
from sessile.testing import FakeClock, SeededRandom

SERVICE_KEY = "the-key-of-a-trusted-service-5Rm2"
LAPTOP = "01900000-0000-7000-8000-00000000000a"
PHONE = "01900000-0000-7000-8000-00000000000b"
SHORTENED = {
    "token": "<token>",
    "claim": "<claim>",
    "csrf_token": "<token for a form>",
    "qr_svg": "<svg>...</svg>",
    "latency_ms": 0.4,
}
"""What differs each time, or is long, or looks like a secret."""
Example = dict[str, Any]


class Recorder:
    """Sends requests and keeps, under method and path template, what was sent and what came back. The first of each operation counts."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.examples: dict[str, Example] = {}
        self.handle = ""

    async def __call__(
        self,
        method: str,
        template: str,
        body: Any = None,
        *,
        query: str = "",
        expect: int = 200,
        ids: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        headers = {"if-match": "*"} if method == "PATCH" else {}
        path = template.format(**ids) + query
        arguments: dict[str, Any] = {} if body is None else {"json": body}
        answer = await self.client.request(method, path, headers=headers, **arguments)
        assert answer.status_code == expect, (method, path, answer.status_code, answer.text)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        found = answer.json() if is_json else None
        example: Example = {"status": expect}
        if body is not None:
            example["request"] = _shortened(body)
        if found is not None:
            example["response"] = _shortened(found)
        self.examples.setdefault(f"{method} {template}", example)
        return found


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: SHORTENED.get(key, _shortened(item)) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value.partition("#")[0] + "#<secret>" if isinstance(value, str) and "/#" in value else value


async def record() -> Mapping[str, Example]:
    """Every example, by operation."""
    clock = FakeClock()
    settings = Settings(database_url="memory://", service_key=SERVICE_KEY)
    manager = AsyncSessionManager(settings, clock=clock, random=SeededRandom(7))
    service = create_app(manager, standalone=True)
    with patch.object(
        background, "TOUCH_INTERVAL_S", 3600.0
    ):  # so that no example has what a slow machine wrote meanwhile
        await service.start()
    try:
        transport = httpx.ASGITransport(app=service)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            do = Recorder(client)
            await _whoever(do, manager)
            document_id = await _documents(do, clock)
            await _history(do, document_id)
            await manager._touches.write()  # activity is written now and then; here it is before somebody looks
            await _other_devices(do)
            return dict(sorted(do.examples.items()))
    finally:
        await service.close()


async def _whoever(do: Recorder, manager: AsyncSessionManager) -> None:
    for path in ("/healthz", "/readyz", "/api/v0/session/check-connection"):
        await do("GET", path)
    await manager.sync_platforms(
        "ann", [PlatformEntry(platform_id="north", name="North"), PlatformEntry(platform_id="south", name="South")]
    )
    do.client.headers["authorization"] = f"Bearer {SERVICE_KEY}"
    made = await do("POST", "/api/v0/sessions", {"user_id": "ann", "public": {"name": "Ann"}}, expect=201)
    do.client.headers["authorization"] = f"Bearer {made['token']}"
    await do("GET", "/api/session_state")
    await do("GET", "/api/v0/session")
    await do("POST", "/api/v0/session/heartbeat", {"device_id": LAPTOP, "device": {"label": "Ann's laptop"}})
    await _seen(manager, made["session_id"])
    await do("POST", "/api/v0/session/extend")
    await do("GET", "/api/v0/session/csrf")
    await do("GET", "/api/v0/session/platforms")
    await do("POST", "/api/v0/session/platform", {"platform_id": "south", "expected_platform_id": "north"})
    do.handle = made["session_id"]


async def _seen(manager: AsyncSessionManager, session_id: str) -> None:
    """A sign of life is written a moment after it was answered; what comes after it in the examples has it."""
    async with asyncio.timeout(10):
        while not (await manager.presence.of_sessions([session_id]))[session_id].is_connected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _change(seq: int, path: str, value: Any, base: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "base_version": base,
        "generation": 0,
        "operations": [{"op": "set", "path": path, "value": value}],
    }


async def _documents(do: Recorder, clock: FakeClock) -> str:
    opened = await do(
        "PUT",
        "/api/v0/documents/by-name/{name}",
        {"default": {"step": 1}, "device_id": LAPTOP},
        expect=201,
        ids={"name": "intake"},
    )
    document_id: str = opened["document_id"]
    do.examples["PUT /api/v0/documents/by-name/{name}"]["status"] = 201
    one = {"document_id": document_id}
    path = "/api/v0/documents/{document_id}"
    await do("POST", path + "/changes", {"device_id": LAPTOP, "changes": [_change(1, "/why", "a dent", 0)]}, ids=one)
    await do("PUT", "/api/v0/documents/by-name/{name}", {"device_id": PHONE}, ids={"name": "intake"})
    clock.advance(5)
    await do("POST", path + "/changes", {"device_id": PHONE, "changes": [_change(1, "/why", "a scratch", 0)]}, ids=one)
    await do("GET", path + "/changes", query=f"?since={opened['epoch']}.1", ids=one)
    await do("GET", path, ids=one)
    await do("GET", path + "/conflicts", ids=one)
    await do("GET", path + "/devices", ids=one)
    await do("PATCH", path, {"step": 2}, ids=one)
    await do("GET", "/api/v0/documents")
    await do("POST", path + "/rename", {"name": "report"}, ids=one)
    await do("DELETE", path, expect=204, ids=one)
    await do("POST", path + "/unarchive", ids=one)
    await do("POST", "/api/v0/documents/claim")
    body = {
        "document": one,
        "device_id": LAPTOP,
        "changes": [_change(2, "/phone", "555", 2)],
        "backup": {"epoch": opened["epoch"], "version": 2, "values": {"/place": "yard"}},
    }
    await do("POST", "/api/v0/session/{handle}/restore", body, ids={"handle": do.handle})
    return document_id


async def _history(do: Recorder, document_id: str) -> None:
    path, one = "/api/v0/documents/{document_id}", {"document_id": document_id}
    made = await do("POST", path + "/checkpoints", {"label": "Before lunch", "request_id": "c-1"}, expect=201, ids=one)
    await do("GET", path + "/checkpoints", ids=one)
    await do("PATCH", path, {"step": 3}, ids=one)
    await do("GET", path + "/diff", query=f"?from={made['checkpoint_id']}", ids=one)
    await do("POST", path + "/activity", {"type": "app.called_back", "data": {"by": "Ben"}}, expect=201, ids=one)
    await do("GET", path + "/activity", query="?limit=2", ids=one)
    await do("POST", path + "/restore", {"checkpoint_id": made["checkpoint_id"]}, ids=one)
    await do("POST", path + "/fork", {"name": "report, a copy"}, expect=201, ids=one)
    exported = await do("GET", path + "/export", ids=one)
    await do("POST", "/api/v0/documents/import", {"exported": exported, "name": "report, again"}, expect=201)
    do.examples["POST /api/v0/documents/import"]["request"]["exported"] = {"...": "what export gave"}
    do.examples[f"GET {path}/export"]["response"] = {"...": "see docs/how-to/documents.md"}


async def _other_devices(do: Recorder) -> None:
    offer = await do("POST", "/api/v0/handoff", {"path": "/intake"}, expect=201)
    own = do.client.headers.pop("authorization")
    redeemed = await do("POST", "/api/v0/handoff/redeem", {"code": offer["code"], "device": {"label": "Ann's phone"}})
    do.client.headers["authorization"] = own
    await do("GET", "/api/v0/handoff/{handoff_id}", ids={"handoff_id": offer["handoff_id"]})
    await do("POST", "/api/v0/handoff/confirm", {"handoff_id": offer["handoff_id"], "accept": True})
    del do.client.headers["authorization"]
    claim = {"handoff_id": offer["handoff_id"], "claim": redeemed["claim"], "bearer": True}
    done = await do("POST", "/api/v0/handoff/complete", claim)
    do.client.headers["authorization"] = own
    await do("GET", "/api/v0/sessions")
    await do("DELETE", "/api/v0/sessions/{handle}", expect=204, ids={"handle": done["session"]["session_id"]})
    await do("POST", "/api/v0/session/logout-others")
    await do("POST", "/api/v0/session/refresh")
    await do("POST", "/api/v0/session/logout", expect=204)


def written() -> str:
    """The file as it is to be."""
    return json.dumps(asyncio.run(record()), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Writes the file; says so when it changed."""
    content, path = written(), Path(FILE)
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")
        print("wrote src/sessile/server/examples.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
