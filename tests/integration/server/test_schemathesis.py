"""Requests made up from the OpenAPI description, valid and not: none may cause a 5xx."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from sessile.runtime.manager import AsyncSessionManager
from sessile.server.app import create_app
from sessile.testing.shows import shows_security
from tests.integration.server.running import SERVICE_KEY, ServerProcess, process_on
from tests.integration.server.running import settings as memory

EXAMPLES_MAX = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 2

DESCRIPTION = create_app(AsyncSessionManager(memory()), standalone=True).api.openapi()
OPERATIONS: list[Any] = [result.ok() for result in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()]  # type: ignore[union-attr]

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with process_on(tmp_path_factory.mktemp("schemathesis") / "a.db") as process:
        yield process


class Caller:
    """Somebody with a session and one document; logged in again when a made-up request has logged out."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._token = server.token("made-up")

    def headers(self) -> dict[str, str]:
        bearer = {"authorization": f"Bearer {self._token}"}
        if httpx.get(f"{self._server.origin}/api/session_state", headers=bearer).status_code == 401:
            self._token = self._server.token("made-up")
            bearer = {"authorization": f"Bearer {self._token}"}
        return bearer

    def document_id(self) -> str:
        address = f"{self._server.origin}/api/v0/documents/by-name/made-up"
        opened = httpx.put(address, headers=self.headers(), json={"default": {"a": 1}})
        document_id: str = opened.json()["document_id"]
        return document_id


@pytest.fixture(scope="module")
def caller(server: ServerProcess) -> Caller:
    return Caller(server)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@shows_security("V4.2.5")
def test_no_request_causes_a_server_error(
    operation: Any, mode: GenerationMode, server: ServerProcess, caller: Caller
) -> None:
    @settings(max_examples=EXAMPLES_MAX, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        def call(**headers: str) -> None:
            check(case.call(base_url=server.origin, headers=headers))

        call(**caller.headers())
        if "document_id" in (case.path_parameters or {}):
            case.path_parameters["document_id"] = caller.document_id()
            call(**caller.headers(), **{"if-match": "*"})
        if operation.label == "POST /api/v0/sessions":
            call(authorization=f"Bearer {SERVICE_KEY}")
        call(origin="https://evil.example")

    try:
        run()
    except Unsatisfiable:
        # An operation without parameters and body has no invalid requests.
        assert mode is GenerationMode.NEGATIVE


def test_every_operation_is_there() -> None:
    assert len(OPERATIONS) > 20


def check(response: Any) -> None:
    assert response.status_code < 500, (response.status_code, response.text)
    kind = (response.headers.get("content-type") or [""])[0]
    if response.status_code >= 400 and not response.request.url.endswith("/api/session_state"):
        is_nack = response.status_code == 409 and kind == "application/json"
        assert is_nack or kind == "application/problem+json", (response.status_code, kind, response.text)
