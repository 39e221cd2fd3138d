"""The first five minutes, as printed in the README: started as a process and used with a browser's manners."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.architecture.tree import ROOT

EXAMPLE = ROOT / "examples" / "fastapi_quickstart" / "app.py"


def printed() -> str:
    """The first Python block of the README."""
    return (ROOT / "README.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```\n")[0]


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-W",
        "error::DeprecationWarning:sessile",
        "-m",
        "uvicorn",
        "app:app",
        "--port",
        str(port),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://localhost:{port}/openapi.json").raise_for_status()
        except httpx.TransportError:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        else:
            return process
    raise AssertionError((folder / "log").read_text())


def stop(process: subprocess.Popen[bytes], *, kill: bool = False) -> None:
    (process.kill if kill else process.terminate)()
    process.wait(15)


@pytest.fixture
def quickstart(tmp_path: Path) -> tuple[Path, int]:
    (tmp_path / "app.py").write_text(printed())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return tmp_path, port


@pytest.mark.server
def test_the_quickstart_works_as_printed(quickstart: tuple[Path, int]) -> None:
    folder, port = quickstart
    process = start(folder, port)
    with httpx.Client(base_url=f"http://localhost:{port}") as browser:
        try:
            assert browser.get("/intake").status_code == 401
            assert browser.post("/basket/apple").json() == {"apple": 1}
            anonymous = browser.cookies["sessile"]
            assert browser.post("/login/ann").status_code == 200
            assert browser.cookies["sessile"] != anonymous
            assert browser.post("/basket/pear").json() == {"apple": 1, "pear": 1}
            assert browser.get("/intake").json() == {"step": 1}
            assert browser.get("/api/session_state").json()["user"] == {"id": "ann", "name": "ann"}
            assert "javascript" in browser.get("/sessile.js").headers["content-type"]
            token = browser.cookies["sessile"]
            stop(process, kill=True)
            process = start(folder, port)
            assert browser.post("/basket/fig").json() == {"apple": 1, "pear": 1, "fig": 1}
        finally:
            stop(process)
    assert (folder / "sessile.db").exists()
    log = (folder / "log").read_text()
    assert "Traceback" not in log
    assert token not in log
    assert token.partition(".")[2] not in log


def test_the_example_is_what_is_printed() -> None:
    example = ast.dump(ast.parse(EXAMPLE.read_text(encoding="utf-8")))
    assert example == ast.dump(ast.parse(printed()))
