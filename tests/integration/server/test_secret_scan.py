"""A session from its beginning to its end over the wire; then everything that left the server, was logged or was kept is searched for secrets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client
from opentelemetry import trace
from websockets.asyncio.client import connect
from websockets.typing import Origin

from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import RedisServer
from sessile.testing.shows import shows_security
from tests.conftest import postgres_or_skip, redis_or_skip
from tests.integration.server.peer import hello
from tests.integration.server.running import SERVICE_KEY, Running, served
from tests.integration.server.span_recorder import Recorder
from tests.secret_scan import dump_of, forms, found_in

SECRET_KEY = "Q7-fVb2Kx9LmT4RzWc8NpYs6JdHg3Ae5Uo1Ei"
CONTENT_KEY = base64.b64encode(hashlib.sha256(b"a key for content").digest()).decode()
OWN_CLIENTS = ("httpx", "httpcore", "websockets.client", "asyncio")
"""Loggers of this test's own side of the wire, which are told what it sends."""


class Capture:
    """A browser that keeps what crosses the wire. What an answer exists to tell is left out of it, and nothing else."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.seen = bytearray()
        self.secrets = {"service key": SERVICE_KEY, "signing key": SECRET_KEY, "content key": CONTENT_KEY}
        self.http = httpx.AsyncClient(base_url=running.origin, headers={"origin": running.origin})

    async def ask(self, method: str, path: str, *, told: tuple[str, ...] = (), **options: Any) -> Any:
        answer = await self.http.request(method, path, **options)
        assert answer.status_code < 400, answer.text
        self.seen += str(answer.request.url).encode() + b"\n"
        headers = [(name, value) for name, value in answer.headers.multi_items() if name != "set-cookie"]
        body = answer.json() if "json" in answer.headers.get("content-type", "") else answer.text
        if (cookie := answer.cookies.get("sessile")) is not None and cookie:
            self.keep("token", cookie)
        shown: Any = dict(body) if isinstance(body, dict) else body
        for name in told:
            self.keep(f"{path} {name}", str(shown.pop(name)))
        self.seen += json.dumps([headers, shown]).encode() + b"\n"
        return body

    def keep(self, name: str, value: str) -> None:
        """A secret from now on; of a token the half behind the dot is one."""
        self.secrets[f"{name} {len(self.secrets)}"] = value.rpartition(".")[2]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = redis_or_skip()
    with closing(server):
        server.start()
        yield server


async def play(capture: Capture) -> None:
    """What a browser does in a day: log in, work over HTTP and a socket, renew, lend the login to a phone, log out."""
    bearer = {"authorization": f"Bearer {SERVICE_KEY}"}
    made = await capture.ask(
        "POST", "/api/v0/sessions", told=("token",), json={"user_id": "ada", "public": {"name": "Ada"}}, headers=bearer
    )
    token = made["token"]
    capture.http.cookies.set("sessile", token, domain="127.0.0.1")
    await capture.ask("GET", "/api/v0/session")
    await capture.ask("GET", "/api/session_state")
    await capture.ask("GET", "/api/v0/session/csrf", told=("csrf_token",))
    await capture.ask("PUT", "/api/v0/documents/by-name/form", json={"state": {"a": 1}})
    headers = {"cookie": f"sessile={token}"}
    async with connect(
        capture.running.socket_url, origin=Origin(capture.running.origin), additional_headers=headers
    ) as socket:
        await socket.send(json.dumps(hello({"name": "form"})))
        for _ in range(2):
            capture.seen += str(await asyncio.wait_for(socket.recv(), 10)).encode()
        await socket.send("{not json")
        capture.seen += str(await asyncio.wait_for(socket.recv(), 10)).encode()
    for wrong in (
        "x" * 80,
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token + "=",
        f"{token.partition('.')[0]}.{'A' * 43}",
    ):
        answer = await capture.http.get("/api/v0/session", headers={"cookie": f"sessile={wrong}"})
        capture.seen += answer.content
    offered = await capture.ask("POST", "/api/v0/handoff", told=OFFERED, json={})
    assert offered["handoff_id"]
    await capture.ask("POST", "/api/v0/session/refresh")
    await capture.ask("GET", "/metrics")
    await capture.ask("POST", "/api/v0/session/logout")


OFFERED = ("code", "url", "qr_svg")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The URL of a database, and what gives all that it keeps."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'a.db'}", lambda: files_of(tmp_path)
        return
    server = postgres_or_skip()
    with closing(server):
        server.start()
        url = server.create_database("scanned")
        upgrade(url)
        yield url, lambda: dump_of(url)


@shows_security("V3.3.4", "V-1", "V-15", "V14.2.1", "V16.2.5")
async def test_no_secret_is_anywhere_but_where_it_was_handed_over(
    redis: RedisServer,
    database: tuple[str, Callable[[], bytes]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = Recorder()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: spans)
    database_url, all_kept = database
    given: dict[str, Any] = {"database_url": database_url, "redis_url": redis.url(), "fence_period_s": 0.05}
    keys: dict[str, Any] = {"secret_keys": [SECRET_KEY], "encryption_keys": [f"k1:{CONTENT_KEY}"]}
    with caplog.at_level(logging.DEBUG):
        async with served(**given, **keys) as running:
            capture = Capture(running)
            async with capture.http:
                await play(capture)
                shown = repr(running.manager.settings) + str(running.manager.settings) + repr(vars(running.manager))
            with closing(client.Redis.from_url(redis.url())) as connection:
                names = list(connection.scan_iter())
                kept = b"".join(name + (connection.dump(name) or b"") + (connection.get(name) or b"") for name in names)
            rows = all_kept()
            assert b"session_created" in rows, "the dump has what was done"
            kept += rows
    logged = "\n".join(
        f"{record.getMessage()} {record.args!r} {record.exc_text or ''}"
        for record in caplog.records
        if not record.name.startswith(OWN_CLIENTS)
    )
    assert len(capture.secrets) >= 7, capture.secrets.keys()
    assert len(capture.seen) > 2000
    told = "\n".join(spans.told)
    assert "span sessile.session.load" in told
    places = {"traffic": bytes(capture.seen), "log": logged.encode(), "repr": shown.encode(), "spans": told.encode()}
    for name, content in places.items():
        assert found_in(content, capture.secrets, with_hash=True) == set(), name
    assert found_in(kept, capture.secrets, with_hash=False) == set()


def files_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_the_scan_finds_each_form() -> None:
    secret = base64.urlsafe_b64encode(hashlib.sha256(b"x").digest()).rstrip(b"=").decode()
    for form in forms(secret, with_hash=True):
        assert found_in(b"before " + form + b" after", {"it": secret}, with_hash=True) == {"it"}
    assert found_in(b"nothing", {"it": secret}, with_hash=True) == set()
