"""Limits over HTTP: what is refused with 429, and what never is."""

from __future__ import annotations

from typing import Any

import pytest

from sessile.model.errors import StoreUnavailable
from sessile.model.platform import PlatformEntry
from sessile.testing.shows import shows_security
from tests.integration.server.running import SettableClock, client_of, service_of


@shows_security("V16.5.3")
async def test_documents_and_switches_are_limited_with_the_time_to_wait() -> None:
    async with service_of(documents_per_hour_max=2, platform_switches_per_hour_max=1) as service:
        await service.open()
        manager = service.manager
        await manager.sync_platforms(
            "ada", [PlatformEntry(platform_id="a", name="A", is_default=True), PlatformEntry(platform_id="b", name="B")]
        )
        token = (await manager.create_session("ada")).token
        async with client_of(service, token=token) as client:
            statuses = [
                (await client.put(f"/api/v0/documents/by-name/d{n}", json={})).status_code for n in (0, 1, 0, 2)
            ]
            assert statuses == [201, 201, 200, 429]
            refused = await client.put("/api/v0/documents/by-name/d3", json={})
            assert (refused.json()["code"], refused.headers["retry-after"]) == ("too_many", "3600")
            assert refused.json()["retryable"] is True
            first = await client.post("/api/v0/session/platform", json={"platform_id": "b"})
            second = await client.post("/api/v0/session/platform", json={"platform_id": "a"})
            assert (first.status_code, second.status_code, second.headers["retry-after"]) == (200, 429, "3600")


@shows_security("V7.4.1", "V16.5.2")
async def test_a_refresh_is_never_answered_with_429_and_in_an_outage_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that binds a session to its device ends it when a refresh is answered with 429, and keeps it with 503."""
    clock = SettableClock()
    async with service_of(clock=clock, documents_per_hour_max=1, login_tries_max=1) as service:
        await service.open()
        token = (await service.manager.create_session("ada")).token
        async with client_of(service, token=None) as client:
            client.headers["authorization"] = f"Bearer {token}"
            for number in range(3):
                await client.put(f"/api/v0/documents/by-name/d{number}", json={})
            statuses = [(await client.post("/api/v0/session/refresh")).status_code for _ in range(100)]
            assert set(statuses) == {200}

            async def away(*_: Any) -> None:
                raise StoreUnavailable

            monkeypatch.setattr(service.manager._sessions, "refresh", away)
            fresh = (await service.manager.create_session("ada")).token
            answer = await client.post("/api/v0/session/refresh", headers={"authorization": f"Bearer {fresh}"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert "set-cookie" not in answer.headers
