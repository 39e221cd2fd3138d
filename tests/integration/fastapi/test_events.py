"""The stream of events inside an application, under a uvicorn that knows nothing of it."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import httpx
import pytest

from tests.integration.fastapi.test_quickstart import quickstart, start, stop
from tests.integration.server.stream import streaming

__all__ = ["quickstart"]


@pytest.mark.server
async def test_a_uvicorn_that_is_told_to_stop_does_not_wait_for_streams(quickstart: tuple[Path, int]) -> None:
    folder, port = quickstart
    process = await asyncio.to_thread(start, folder, port)
    origin = f"http://localhost:{port}"
    try:
        async with httpx.AsyncClient(base_url=origin) as browser:
            await browser.post("/login/ann")
            token = browser.cookies["sessile"]
            async with streaming(origin, {"name": "intake"}, cookie=token) as stream:
                state = await stream.expect("initial_state")
                assert state["name"] == "intake"
                process.send_signal(signal.SIGTERM)
                assert await stream.expect_close() == 4000
                assert "goaway" in stream.kinds()
        await asyncio.to_thread(process.wait, 10)
    finally:
        await asyncio.to_thread(stop, process)
    log = (folder / "log").read_text()
    assert "Traceback" not in log
    assert "without completing response" not in log
    assert json.dumps(token) not in log
