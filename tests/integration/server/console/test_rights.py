"""Every route of the table, asked by each role and by nobody, from here and from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from sessile.model.operator_access import RIGHTS, Right, Role
from sessile.server.console.routes import ROUTES
from sessile.server.console.table import Route
from tests.integration.server.console.bench import API, ORIGIN, Bench, Operator, console

HANDLE = "01890000-0000-7000-8000-000000000000"
MUTATIONS = [route for route in ROUTES if route.method != "GET"]
READS = [route for route in ROUTES if route.method == "GET" and not route.is_stream]
STREAMS = [route for route in ROUTES if route.is_stream]
TABLE = {
    "DELETE /session": Right.READ,
    "GET /about": Right.READ,
    "GET /audit": Right.READ,
    "GET /audit/export": Right.AUDIT_EXPORT,
    "GET /audit/verify": Right.READ,
    "GET /devices": Right.READ,
    "GET /documents": Right.READ,
    "GET /documents/{document_id}": Right.READ,
    "GET /documents/{document_id}/checkpoints": Right.READ,
    "GET /documents/{document_id}/diff": Right.DOCUMENT_STATE,
    "GET /documents/{document_id}/history": Right.READ,
    "GET /documents/{document_id}/state": Right.DOCUMENT_STATE,
    "GET /events": Right.READ,
    "GET /health": Right.READ,
    "GET /operators": Right.OPERATORS_MANAGE,
    "GET /overview": Right.READ,
    "GET /session": Right.READ,
    "GET /sessions": Right.READ,
    "GET /sessions/{session_id}": Right.READ,
    "GET /sessions/{session_id}/timeline": Right.READ,
    "GET /settings": Right.SETTINGS_READ,
    "GET /users/{user_id:path}": Right.READ,
    "POST /alerts/{rule}/acknowledge": Right.ALERT_ACKNOWLEDGE,
    "POST /documents/{document_id}/fork": Right.DOCUMENT_FORK,
    "POST /documents/{document_id}/restore": Right.DOCUMENT_RESTORE,
    "POST /operators/{credential_id}/end": Right.OPERATORS_MANAGE,
    "POST /sessions/end": Right.SESSION_END,
    "POST /sessions/{session_id}/end": Right.SESSION_END,
    "POST /sessions/{session_id}/extend": Right.SESSION_EXTEND,
    "POST /sessions/{session_id}/platform": Right.SESSION_PLATFORM,
    "POST /sessions/{session_id}/resync": Right.SESSION_RESYNC,
    "POST /users/{user_id:path}/disable": Right.USER_DISABLE,
    "POST /users/{user_id:path}/enable": Right.USER_DISABLE,
    "POST /users/{user_id:path}/end": Right.USER_END,
}
"""Written a second time on purpose: a right that is changed by accident is seen here."""
NOT_REFUSED_FOR_ITS_ROLE = {200, 204, 400, 404, 409, 422}


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def address(route: Route) -> str:
    path = route.path.replace("{user_id:path}", "ada").replace("{rule}", "none")
    for part in ("session_id", "document_id", "credential_id"):
        path = path.replace(f"{{{part}}}", HANDLE)
    return path


def test_the_table_is_what_was_agreed() -> None:
    assert {name(route): route.right for route in ROUTES} == TABLE
    assert {role: len(rights) for role, rights in RIGHTS.items()} == {
        Role.READ_ONLY: 1,
        Role.OPERATOR: 10,
        Role.ADMIN: 14,
    }
    reads = {name(route) for route in ROUTES if route.right is Right.READ and route.method != "GET"}
    assert reads == {"DELETE /session"}, "who only looks changes nothing but their own session"


@dataclass
class Staff:
    bench: Bench
    by_role: dict[Role, Operator]


@asynccontextmanager
async def staff() -> AsyncIterator[Staff]:
    async with console() as bench:
        yield Staff(bench, {role: await bench.sign_in(role, role.value) for role in Role})


async def ask(http: Any, route: Route, **headers: str) -> Any:
    return await http.request(
        route.method, API + address(route), headers=headers, json=None if route.method == "GET" else {}
    )


async def test_each_role_gets_what_it_may_and_nothing_else() -> None:
    async with staff() as all_of_them:
        for role, operator in all_of_them.by_role.items():
            for route in [*READS, *MUTATIONS]:
                if name(route) == "DELETE /session":
                    continue
                answer = await ask(operator.http, route, origin=ORIGIN, **{"x-csrf-token": operator.csrf})
                if route.right in RIGHTS[role]:
                    assert answer.status_code in NOT_REFUSED_FOR_ITS_ROLE, (role, name(route), answer.text)
                else:
                    body = answer.json() if answer.status_code == 403 else {}
                    assert (answer.status_code, body.get("code")) == (403, "role_refused"), (role, name(route))
                    assert role not in body["needed"]
                    assert body["right"] == route.right
        refused = [act for act in await all_of_them.bench.acts() if act["type"] == "operator_refused"]
        expected = sum(route.right not in RIGHTS[role] for role in Role for route in [*READS, *MUTATIONS])
        assert len(refused) == expected > 20
        assert {act["role"] for act in refused} == {"read_only", "operator"}


async def test_nobody_gets_anything() -> None:
    async with console() as bench:
        http = bench.browser()
        for route in ROUTES:
            headers = {"origin": ORIGIN, "accept": "text/event-stream"}
            answer = await ask(http, route, **headers)
            assert (answer.status_code, answer.json().get("reason")) == (401, "no_cookie"), name(route)
            assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://ops.example"},
        {"origin": f"{ORIGIN}.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_no_page_of_another_origin_gets_anything(headers: dict[str, str]) -> None:
    async with console() as bench:
        admin = await bench.sign_in(Role.ADMIN)
        for route in ROUTES:
            answer = await ask(
                admin.http, route, **{"x-csrf-token": admin.csrf, "accept": "text/event-stream", **headers}
            )
            assert answer.status_code == 403, name(route)
            assert answer.json().get("code") in {"origin_refused", "csrf_failed"}


async def test_every_act_needs_the_header_of_this_very_session() -> None:
    async with console() as bench:
        admin, other = await bench.sign_in(Role.ADMIN), await bench.sign_in(Role.ADMIN)
        assert admin.csrf != other.csrf
        for route in MUTATIONS:
            for csrf in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "x"}, {"x-csrf-token": other.csrf}):
                answer = await ask(admin.http, route, origin=ORIGIN, **csrf)
                assert answer.status_code == 403, name(route)
                assert answer.json().get("code") == "csrf_failed"
            answer = await ask(admin.http, route, **{"x-csrf-token": admin.csrf})
            assert answer.json().get("code") == "csrf_failed", "neither Origin nor Sec-Fetch-Site"
        assert (await admin.get("/session")).status_code == 200


async def test_a_stream_is_opened_by_a_page_and_by_nothing_else() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        for route in STREAMS:
            assert (await operator.http.head(API + address(route))).status_code == 405
            for headers in ({}, {"accept": "*/*"}, {"sec-fetch-site": "none", "accept": "text/event-stream"}):
                answer = await ask(operator.http, route, **headers)
                assert (answer.status_code, answer.json().get("code")) == (403, "origin_refused"), headers


async def test_an_act_without_a_reason_is_none() -> None:
    async with console() as bench:
        admin = await bench.sign_in(Role.ADMIN)
        for reason in ("", "   ", "x" * 201, "a\nb"):
            for path in ("/sessions/end", "/users/ada/end", "/users/ada/disable", "/users/ada/enable"):
                body = {"reason": reason, **({"q": "user:ada"} if path == "/sessions/end" else {})}
                answer = await admin.post(path, **body)
                assert (answer.status_code, answer.json().get("path")) == (422, "/reason")
