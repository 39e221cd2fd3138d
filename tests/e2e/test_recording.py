"""The recorder of these tests itself: a site that tells its token wherever it can, and one that does not."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from sessile.model import token as tokens
from sessile.runtime.assemble import SystemClock, SystemRandom
from sessile.testing.shows import shows_security
from tests.e2e.recording import Recording, Recordings
from tests.e2e.served import free_port

pytestmark = [pytest.mark.browser, pytest.mark.server]

PLACES = {
    "page": "response body",
    "script": "request body",
    "address": "address",
    "header": "response headers",
    "frame": "frame received",
    "storage": "the browser's storage",
    "log": "log site.log",
    "row": "database site.db",
}
_PAGE = """<!doctype html><title>Site</title><p>{text}</p><script>
const place = "{place}", done = () => {{ document.title = "done" }};
const other = {{ "script": () => fetch("/other", {{ method: "POST", body: "{token}" }}),
  "address": () => fetch("/other?token={token}"), "header": () => fetch("/told"),
  "storage": async () => {{ localStorage.setItem("kept", "{token}") }},
  "frame": () => new Promise(got => {{ new WebSocket(location.href.replace("http", "ws") + "socket").onmessage = got }}) }};
(other[place] ?? (async () => {{}}))().then(done);
</script>"""


class Site:
    """It has one token, and tells it at `place` (empty: nowhere)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = ""
        self.port = free_port()
        now, random = SystemClock().now(), SystemRandom()
        self.token = tokens.make(tokens.uuid7(now, random.token_bytes(10)), random.token_bytes(tokens.SECRET_BYTES))
        self.app = Starlette(
            routes=[
                Route("/", self.page),
                Route("/other", self.other, methods=["GET", "POST"]),
                Route("/told", self.told),
                WebSocketRoute("/socket", self.socket),
            ]
        )

    def told_at(self, place: str) -> str:
        return self.token if self.place == place else "nothing"

    async def page(self, request: Request) -> Response:
        if self.place == "log":
            (self.folder / "site.log").write_text(f"logged in with {self.token}\n")
        if self.place == "row":
            with sqlite3.connect(self.folder / "site.db") as connection:
                connection.execute("CREATE TABLE kept (secret BLOB)")
                connection.execute("INSERT INTO kept VALUES (?)", [tokens.parse(self.token)[1].encode()])
        token = self.token if self.place in {"script", "address", "storage"} else "nothing"
        if self.place in {"script", "address", "storage"}:  # the page's own text is not what is looked for there
            token = f'" + "{self.token[:50]}" + "{self.token[50:]}'
        answer = HTMLResponse(_PAGE.format(text=self.told_at("page"), place=self.place, token=token))
        answer.set_cookie("site", self.token, httponly=True)
        return answer

    async def other(self, request: Request) -> Response:
        return JSONResponse({})

    async def told(self, request: Request) -> Response:
        return JSONResponse({}, headers={"x-session": tokens.parse(self.token)[1].encode().hex()})

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(self.told_at("frame"))
        await socket.close()


@contextmanager
def running(site: Site) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(site.app, port=site.port, log_level=logging.ERROR))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < until, "the site did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{site.port}/"
    finally:
        server.should_exit = True
        thread.join(30)


@shows_security("V3.3.4", "V-15", "V14.2.1")
def test_a_token_that_is_told_is_found_wherever_it_is(browser: Browser, tmp_path: Path) -> None:
    site = Site(tmp_path)
    with running(site) as address:
        for place in ["", *PLACES]:
            site.place = place
            recording = Recording(tmp_path, "browser")
            context = browser.new_context(**recording.options)
            recording.follow(context)
            page = context.new_page()
            page.goto(address)
            page.wait_for_function("document.title === 'done'", polling=20)
            recording.look_before_the_end(context)
            context.close()
            found = Recordings()
            found.add(recording)
            found.add_server(tmp_path)
            told = found.findings()
            assert len(found.secrets.tokens) == 1
            assert [PLACES[place] in finding for finding in told] == ([True] if place else []), (place, told)
            for file in tmp_path.glob("site.*"):
                file.unlink()


def test_what_looks_like_a_token_is_found_without_knowing_it(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(f"who came: {Site(tmp_path).token}.\n")
    found = Recordings()
    found.add_server(tmp_path)
    assert found.findings() == ["log a.log: something that looks like a token"]
