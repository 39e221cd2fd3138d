"""`sessile serve --wsgi app:app`: pages, API and socket on one origin, and what a page changes is pushed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessile.cli.hosted import host_wsgi
from sessile.model.errors import ConfigurationError
from sessile.runtime import hosting
from tests.integration.server.peer import connected
from tests.integration.server.running import process_on

APP = """
from flask import Flask, session
from sessile.integrations.flask import Sessile, require_authentication
from sessile.runtime import hosting

app = Flask(__name__)
sessile = Sessile(app, presence_linger_s=1)

@app.post("/login/<name>")
def login(name):
    session.login(name)
    return session.documents.open("intake", default={"step": 1}).document_id

@app.post("/step/<document_id>/<int:step>")
@require_authentication
def step(document_id, step):
    change = session.documents.change(document_id, [{"op": "set", "path": "/step", "value": step}])
    return {"version": change.version, "is_hosted": hosting.is_hosted(), "has_thread": sessile.manager.serving.background.is_running}

@app.post("/logout")
def logout():
    session.logout()
    return ""

@app.get("/healthz")
def health():
    return "the application's own"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.mark.server
async def test_pages_api_and_socket_have_one_origin(folder: Path) -> None:
    with process_on(folder / "s.db", "--wsgi", "shop:app") as server:
        async with httpx.AsyncClient(base_url=server.origin) as browser:
            document_id = (await browser.post("/login/ann")).text
            assert (await browser.get("/api/session_state")).json()["user"]["id"] == "ann"
            assert (await browser.get("/healthz")).text == "the application's own"
            assert "javascript" in (await browser.get("/sessile.js")).headers["content-type"]
            cookie = browser.cookies["sessile"]
            async with connected(server.socket_url, cookie=cookie, origin=server.origin) as peer:
                await peer.open({"document_id": document_id})
                told: Any = (await browser.post(f"/step/{document_id}/2")).json()
                assert (told["is_hosted"], told["has_thread"]) == (True, False)
                update = await peer.expect("state_update")
                assert update["changes"][-1]["version"] == told["version"]
                await browser.post("/logout")
                assert await peer.expect_close() == 4501
        server.process.terminate()
        _, err = server.process.communicate(timeout=20)
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere:app", "no module nowhere"),
        ("shop_of_refusals", "module:app"),
        ("shop_of_refusals:nothing", "nothing of the name nothing"),
        ("shop_of_refusals:__name__", "no application"),
    ],
)
def test_what_cannot_be_served_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str) -> None:
    (tmp_path / "shop_of_refusals.py").write_text("app = 1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(hosting._State, "is_hosted", False)
    with pytest.raises(ConfigurationError, match=told):
        host_wsgi(name, threads=1)


def test_one_application_is_served(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sessile.cli.main", "serve", "--wsgi", "a:b", "--asgi", "a:b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Name one application" in done.stderr) == (1, True)
