"""The client's verbs of devices and connections against the real service. Who is there is written a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.integration.client.people import client_of
from tests.integration.server.running import served


async def eventually(ask: Callable[[], Awaitable[Any]], accept: Callable[[Any], bool]) -> Any:
    """The first answer that is accepted; nothing tells when it is there."""
    async with asyncio.timeout(10):
        while not accept(answer := await ask()):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)
    return answer


async def test_the_devices_of_a_document() -> None:
    async with served() as running, client_of(running, label="Desk") as client:
        live = await client.document("intake")
        document = client.api.document(str(live.id))
        async with client_of(running, label="Phone") as other:
            await other.document("intake")
            devices = await eventually(
                document.devices, lambda found: [one.is_connected for one in found] == [True] * 2
            )
            assert {device.label for device in devices} == {"Desk", "Phone"}
            (desk,) = [device for device in devices if device.is_own]
            assert (desk.label, desk.device_no, desk.tabs) == ("Desk", live.device_no, 1)


async def test_a_session_tells_whether_it_is_connected_and_what_its_device_is_called() -> None:
    async with served() as running, client_of(running, label="Desk") as client:
        await client.api.heartbeat({"label": "Desk 7", "language": "de"})
        (own,) = await eventually(client.api.sessions, lambda found: found[0]["device"]["label"] == "Desk 7")
        assert own["is_current"] is True
        (own,) = await eventually(client.api.sessions, lambda found: bool(found[0]["is_connected"]))
        assert own["disconnected_at"] is None
