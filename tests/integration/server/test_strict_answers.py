"""Headers of what the service answers, on every path, whatever becomes of the request (ASVS 5.0 sections 3.2 and 3.4)."""

from __future__ import annotations

import pytest

from sessile.testing.shows import shows_security
from sessile.web.problems import STRICT
from tests.integration.server.running import JSON, client_of, service_of

REQUESTS = [
    ("GET", "/api/v0/session"),
    ("GET", "/api/session_state"),
    ("GET", "/api/v0/nothing"),
    ("DELETE", "/api/v0/session"),
    ("POST", "/api/v0/session/heartbeat"),
    ("GET", "/api/v0/openapi.json"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/"),
]


@shows_security("V3.2.1", "V3.4.3", "V3.4.4", "V3.4.5", "V3.4.6", "V3.4.8", "V3.5.8", "V3.6.1")
@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_an_answer_renders_nothing_runs_nothing_and_is_embedded_by_nobody(method: str, path: str) -> None:
    async with service_of() as service, client_of(service, token=None) as client:
        answer = await client.request(method, path, headers=JSON)
        assert {name: answer.headers.get(name) for name in STRICT} == STRICT
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


@shows_security("V3.2.1", "V3.4.4")
async def test_so_are_refusals_before_any_route() -> None:
    async with service_of() as service, client_of(service, token=None) as client:
        answer = await client.post("/api/v0/documents", content=b"a=1", headers={"content-type": "text/plain"})
        assert answer.status_code == 415
        assert {name: answer.headers.get(name) for name in STRICT} == STRICT


@shows_security("V3.4.4", "V3.5.6", "V3.5.7")
async def test_the_script_is_the_same_for_everybody_and_takes_no_callback() -> None:
    async with service_of() as service:
        await service.open()
        token = (await service.manager.create_session("ada", public={"name": "Ada Lovelace"})).token
        async with client_of(service, token=token) as somebody, client_of(service, token=None) as nobody:
            answers = [await one.get("/sessile.js", params={"callback": "steal"}) for one in (somebody, nobody)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert answers[0].content == answers[1].content
            assert b"steal(" not in answers[0].content
            assert answers[0].headers["x-content-type-options"] == "nosniff"
            assert answers[0].headers["content-type"].startswith("text/javascript")
            answer = await somebody.get("/api/v0/session", params={"callback": "steal"})
            assert answer.headers["content-type"] == "application/json"
            assert answer.text.startswith("{")
