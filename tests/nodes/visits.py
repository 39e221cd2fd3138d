"""Single requests to single nodes, and when each began and was over."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from tests.nodes.running import Node

WITHIN_S = 30.0
"""How long any answer may take before the test fails. Longer than the servers let a request wait."""


@dataclass(frozen=True)
class Login:
    """A session and its credential. `user` is whose it is."""

    user: str
    session_id: str
    token: str


@dataclass(frozen=True)
class Visit:
    """One request with a session's cookie. `began` is before it was sent, `over` is after its answer was read; monotonic seconds."""

    session_id: str
    node: str
    status: int
    began: float
    over: float
    body: dict[str, Any]


@dataclass(frozen=True)
class End:
    """One call that ended something. `called` and `returned` are by the node itself, around the verb; None when it could not do it."""

    status: int
    began: float
    over: float
    did_end: bool = False
    called: float | None = None
    returned: float | None = None


def plain_client() -> httpx.AsyncClient:
    """Keeps no cookies, so that many people can use it at once."""
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(cookies=jar, timeout=WITHIN_S, trust_env=False)


async def logged_in(http: httpx.AsyncClient, node: Node, user: str) -> Login:
    """A new session of this user, begun on this node."""
    answer = await http.post(f"{node.url}/token", json={"user": user})
    made = answer.raise_for_status().json()
    return Login(user, made["session_id"], made["token"])


async def visited(http: httpx.AsyncClient, node: Node, login: Login) -> Visit:
    """Asks who this is."""
    return await _visit(http, node, login, "GET", "/who")


async def wrote(http: httpx.AsyncClient, node: Node, login: Login, key: str, value: Any) -> Visit:
    """Puts something into the session's data."""
    return await _visit(http, node, login, "PUT", f"/data/{key}", value)


async def _visit(http: httpx.AsyncClient, node: Node, login: Login, method: str, path: str, body: Any = None) -> Visit:
    began = time.monotonic()
    answer = await http.request(method, node.url + path, json=body, headers={"cookie": f"sessile={login.token}"})
    return Visit(login.session_id, node.name, answer.status_code, began, time.monotonic(), answer.json())


async def ended(http: httpx.AsyncClient, node: Node, session_id: str) -> End:
    """One session is ended on this node."""
    return await _end(http, f"{node.url}/end", {"session_id": session_id})


async def ended_everywhere(http: httpx.AsyncClient, node: Node, user: str) -> End:
    """All sessions of a user are ended on this node."""
    return await _end(http, f"{node.url}/end-all", {"user": user})


async def _end(http: httpx.AsyncClient, url: str, body: dict[str, str]) -> End:
    began = time.monotonic()
    answer = await http.post(url, json=body)
    over = time.monotonic()
    if answer.status_code != 200:
        return End(answer.status_code, began, over)
    told = answer.json()
    return End(200, began, over, bool(told["ended"]), told["called"], told["returned"])
