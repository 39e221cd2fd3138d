"""Whatever comes over HTTP: a problem response with a code (RFC 9457), never a 5xx, and nothing changed."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from sessile.testing.shows import shows_security
from tests.integration.server.peer import device, setting
from tests.integration.server.running import JSON, client_of, service_of

BASE = "/api/v0/documents"
CHANGES = json.dumps({"device_id": device(), "changes": [setting(1, "/a", 1)]})


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


CASES: list[tuple[str, str, str, dict[str, Any], int, str]] = [
    ("unknown path", "GET", "/api/v0/nothing", {}, 404, "not_found"),
    ("unknown path of the API with a slash", "GET", "/api/v0/documents/", {}, 404, "not_found"),
    ("wrong method", "PUT", "/api/v0/session", {}, 405, "method_not_allowed"),
    ("no uuid", "GET", f"{BASE}/..%2f..%2fetc%2fpasswd", {}, 404, "not_found"),
    ("no uuid either", "GET", f"{BASE}/17", {}, 422, "malformed_frame"),
    ("a uuid in capitals", "GET", f"{BASE}/{device().upper()}", {}, 422, "malformed_frame"),
    ("plain text", "POST", "{path}/changes", {"content": CHANGES, "headers": {"content-type": "text/plain"}}, 415, "malformed_frame"),
    ("a form", "POST", "{path}/changes", {"data": {"a": "1"}}, 415, "malformed_frame"),
    ("an upload", "POST", "{path}/checkpoints", {"files": {"a": b"x"}}, 415, "malformed_frame"),
    ("no content type", "POST", "{path}/changes", {"content": CHANGES}, 415, "malformed_frame"),
    ("no body", "POST", "{path}/changes", {"headers": JSON}, 400, "malformed_frame"),
    ("no json", "POST", "{path}/changes", {"content": "{", "headers": JSON}, 400, "malformed_frame"),
    ("NaN", "PATCH", "{path}", {"content": '{"a":NaN}', "headers": {**JSON, "if-match": "*"}}, 400, "malformed_frame"),
    ("no utf-8", "PATCH", "{path}", {"content": b'{"a":"\xff"}', "headers": {**JSON, "if-match": "*"}}, 400, "malformed_frame"),
    ("a lone surrogate", "PATCH", "{path}", {"content": '{"a":"\\ud800"}', "headers": {**JSON, "if-match": "*"}}, 400, "malformed_frame"),
    ("absurdly deep", "PATCH", "{path}", {"content": deep(50_000), "headers": {**JSON, "if-match": "*"}}, 400, "malformed_frame"),
    ("deep", "PATCH", "{path}", {"content": deep(40), "headers": {**JSON, "if-match": "*"}}, 422, "invalid_change"),
    ("a patch that is a list", "PATCH", "{path}", {"content": "[]", "headers": {**JSON, "if-match": "*"}}, 422, "malformed_frame"),
    ("a protected key", "PATCH", "{path}", {"content": '{"__proto__":{"x":1}}', "headers": {**JSON, "if-match": "*"}}, 422, "invalid_change"),
    ("too large a patch", "PATCH", "{path}", {"json": {"a": "x" * 70_000}, "headers": {"if-match": "*"}}, 422, "invalid_change"),
    ("too large a body", "PATCH", "{path}", {"json": {"a": "x" * 1_200_000}, "headers": {"if-match": "*"}}, 413, "too_large"),
    ("too large a default", "PUT", f"{BASE}/by-name/x", {"json": {"default": {"a": "x" * 1_050_000}}}, 413, "too_large"),
    ("a default that is a list", "PUT", f"{BASE}/by-name/x", {"json": {"default": []}}, 422, "malformed_frame"),
    ("numbers too large", "PUT", f"{BASE}/by-name/x", {"json": {"default": {"a": 2**60}}}, 422, "invalid_change"),
    ("wrong types", "POST", "{path}/changes", {"json": {"device_id": 5, "changes": "x"}}, 422, "malformed_frame"),
    ("no changes", "POST", "{path}/changes", {"json": {"device_id": device(), "changes": []}}, 422, "malformed_frame"),
    ("an operation of the server", "POST", "{path}/changes", {"json": {"device_id": device(), "changes": [
        {"seq": 1, "base_version": 0, "generation": 0, "operations": [{"op": "replace", "value": {}}]}]}}, 422, "invalid_change"),
    ("an automatic checkpoint", "POST", "{path}/checkpoints", {"json": {"kind": "automatic"}}, 422, "malformed_frame"),
    ("a label too long", "POST", "{path}/checkpoints", {"json": {"label": "x" * 201}}, 422, "malformed_frame"),
    ("no pointer", "POST", "{path}/restore", {"json": {"checkpoint_id": device(), "paths": ["a"]}}, 422, "invalid_change"),
    ("a huge limit", "GET", "{path}/activity?limit=100000", {}, 422, "malformed_frame"),
    ("a number that is none", "GET", "{path}/activity?before=x", {}, 422, "malformed_frame"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "method", "path", "more", "status", "code"), CASES, ids=[case[0] for case in CASES])
@shows_security("V3.5.2", "V-18")
async def test_a_bad_request_is_a_problem_and_changes_nothing(
    name: str, method: str, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    async with service_of() as service:
        await service.open()
        token = (await service.manager.create_session("ada")).token
        async with client_of(service, token=token) as client:
            opened = (await client.put(f"{BASE}/by-name/intake", json={"default": {"step": 1}})).json()
            own = f"{BASE}/{opened['document_id']}"
            answer = await client.request(method, path.replace("{path}", own), **more)
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
            assert problem["retryable"] is False
            assert answer.headers["cache-control"] == "private, no-store"
            after = (await client.get(own)).json()
            assert {key: after[key] for key in after} == {key: opened[key] for key in after}
            assert [d["name"] for d in (await client.get(BASE)).json()["documents"]] == ["intake"]
            assert (await client.get(f"{own}/checkpoints")).json()["checkpoints"] == []


@pytest.mark.parametrize("size", [8_000, 64_000])
@shows_security("V4.2.5")
async def test_a_huge_cookie_or_token_is_only_unknown(size: int) -> None:
    async with service_of() as service:
        async with client_of(service, token="x" * size) as client:
            assert (await client.get("/api/session_state")).json()["reason"] == "unknown"
        async with client_of(service) as client:
            answer = await client.get("/api/session_state", headers={"authorization": f"Bearer {'x' * size}"})
            assert answer.status_code == 401


@shows_security("V16.2.5")
async def test_a_problem_does_not_repeat_what_was_sent() -> None:
    async with service_of() as service:
        await service.open()
        token = (await service.manager.create_session("ada")).token
        async with client_of(service, token=token) as client:
            body = {"device_id": "very-secret", "changes": ["very-secret"]}
            answer = await client.post(f"{BASE}/{device()}/changes", json=body)
            assert answer.status_code == 422
            assert "very-secret" not in answer.text


@shows_security("V16.5.3")
async def test_a_fault_is_a_problem_without_details(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service_of() as service:
        await service.open()
        token = (await service.manager.create_session("ada")).token

        async def broken(*_: object) -> None:
            raise RuntimeError("the inner workings")

        monkeypatch.setattr(service.manager.documents, "list", broken)
        transport = httpx.ASGITransport(app=service, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://testserver", cookies={"sessile": token}
        ) as client:
            answer = await client.get(BASE)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "inner workings" not in answer.text
