"""Who may read figures and history: this machine, whoever has the service key, or everybody by a setting; never through a proxy by accident."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.server.running import SERVICE_KEY, service_of

KEY = {"authorization": f"Bearer {SERVICE_KEY}"}


async def asked(client_address: str, headers: dict[str, str], **settings: Any) -> tuple[int, dict[str, Any]]:
    """The status of /metrics, and what /readyz says."""
    async with service_of(**settings) as service:
        await service.open()
        watch = service.manager._background.watch
        assert watch is not None
        await watch.round()
        transport = httpx.ASGITransport(app=service, client=(client_address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
            metrics, ready = await client.get("/metrics"), await client.get("/readyz")
        assert ready.status_code == 200, "whoever asks may know whether it is ready"
        if metrics.status_code == 200:
            assert 'sessile_component_state{component="database"} 0' in metrics.text
        else:
            assert "sessile_" not in metrics.text
        return metrics.status_code, ready.json()


@pytest.mark.parametrize(
    ("address", "headers", "settings", "status"),
    [
        ("127.0.0.1", {}, {}, 200),
        ("::1", {}, {}, 200),
        ("10.0.0.7", {}, {}, 401),
        ("10.0.0.7", KEY, {}, 200),
        ("10.0.0.7", {"authorization": "Bearer wrong"}, {}, 401),
        ("10.0.0.7", {"authorization": "Bearer "}, {"service_key": None}, 401),
        ("127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, {}, 401),
        ("127.0.0.1", {"forwarded": "for=203.0.113.9"}, {}, 401),
        ("unix:", {}, {}, 401),
        ("10.0.0.7", {}, {"metrics_access": "open"}, 200),
        ("127.0.0.1", KEY, {"metrics_access": "off"}, 404),
    ],
)
async def test_who_may_read_them(address: str, headers: dict[str, str], settings: dict[str, Any], status: int) -> None:
    answered, ready = await asked(address, headers, **settings)
    assert answered == status
    assert ("history" in ready) == ("components" in ready) == (status == 200)


async def test_readiness_shows_components_and_their_history() -> None:
    _, ready = await asked("127.0.0.1", {})
    components = {one["name"]: one["state"] for one in ready["components"]}
    assert components["database"] == components["background"] == "healthy"
    assert (ready["history"], ready["alerts"]) == ([], [])
