"""The receiver of docs/how-to/audit.md takes what we send, once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import httpx

from sessile.model.audit import AuditEvent, chained
from sessile.model.webhook import webhook_key
from sessile.runtime.sinks.webhook import WebhookSink
from tests.architecture.tree import ROOT
from tests.integration.audit_receivers import SECRET

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = [chained(AuditEvent(stream="user:ada", type="noted", at=NOW), n, b"", b"0" * 16) for n in (1, 2)]
PAGE = (ROOT / "docs" / "how-to" / "audit.md").read_text(encoding="utf-8")


async def test_the_receiver_of_the_page_takes_what_we_send() -> None:
    (source,) = re.findall(r"```python\n(from fastapi.*?)```", PAGE, re.DOTALL)
    made: dict[str, Any] = {"__name__": "snippet", "SECRET": SECRET}
    exec(compile(source, "docs/how-to/audit.md", "exec"), made)
    transport = httpx.ASGITransport(app=made["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        statuses = []
        for headers, body in WebhookSink("https://logs.example/sessile", webhook_key(SECRET)).messages(EVENTS):
            statuses.append((await client.post("/sessile", headers=headers, content=body)).status_code)
            statuses.append((await client.post("/sessile", headers=headers, content=body + b" ")).status_code)
    assert statuses == [204, 400]
    assert made["seen"] == {event.hash.hex() for event in EVENTS}
