"""The first five minutes of Flask, as printed: started as a process and used with a browser's manners."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from sessile.testing.servers import free_port
from tests.architecture.tree import ROOT

EXAMPLE = ROOT / "examples" / "flask_quickstart" / "app.py"
PAGE = ROOT / "docs" / "how-to" / "flask.md"


def printed() -> str:
    """The first Python block of the page."""
    return PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```\n")[0]


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "error::DeprecationWarning:sessile", "-m", "flask", "run", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SESSILE_", "FLASK_"))}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://localhost:{port}/intake")
        except httpx.TransportError:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        else:
            return process
    raise AssertionError((folder / "log").read_text())


def stop(process: subprocess.Popen[bytes], *, kill: bool = False) -> None:
    (process.kill if kill else process.terminate)()
    process.wait(15)


@pytest.mark.server
def test_the_quickstart_works_as_printed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(printed())
    port = free_port()
    process = start(tmp_path, port)
    with httpx.Client(base_url=f"http://localhost:{port}", timeout=30) as browser:
        try:
            assert browser.get("/intake").status_code == 401
            assert browser.post("/basket/apple").json() == {"apple": 1}
            anonymous = browser.cookies["sessile"]
            assert browser.post("/login/ann").status_code == 204
            assert browser.cookies["sessile"] != anonymous
            assert browser.post("/basket/pear").json() == {"apple": 1, "pear": 1}
            assert browser.get("/intake").json() == {"step": 1}
            assert browser.get("/api/session_state").json()["user"] == {"id": "ann", "name": "ann"}
            assert "javascript" in browser.get("/sessile.js").headers["content-type"]
            token = browser.cookies["sessile"]
            stop(process, kill=True)
            process = start(tmp_path, port)
            assert browser.post("/basket/fig").json() == {"apple": 1, "pear": 1, "fig": 1}
        finally:
            stop(process)
    assert (tmp_path / "instance" / "sessile.db").exists()
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert token.partition(".")[2] not in log


def test_the_example_is_what_is_printed() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 40
    assert ast.dump(ast.parse(source)) == ast.dump(ast.parse(printed()))
