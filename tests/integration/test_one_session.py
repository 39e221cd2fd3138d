"""One session in three frameworks, behind a proxy: `examples/one_session`, each as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from sessile.testing.servers import free_port
from tests.architecture.tree import ROOT

FOLDER = ROOT / "examples" / "one_session"
STARTS = {
    "account": ("account.py", "runserver", "--noreload", "localhost:{port}"),
    "shop": ("-m", "uvicorn", "shop:app", "--port", "{port}"),
    "office": ("-m", "flask", "--app", "office", "run", "--port", "{port}"),
}
STARTED_WITHIN_S = 60


@contextmanager
def programs(folder: Path) -> Iterator[dict[str, int]]:
    """All three, on one database; the port of each by the first part of its paths."""
    ports = {name: free_port() for name in STARTS}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SESSILE_", "FLASK_"))}
    environment["SESSILE_DATABASE_URL"] = f"sqlite:///{folder / 'one.db'}"
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, arguments in STARTS.items():
            command = [sys.executable, *(part.format(port=ports[name]) for part in arguments)]
            with (folder / f"{name}.log").open("wb") as log:
                running.append(subprocess.Popen(command, cwd=FOLDER, env=environment, stdout=log, stderr=log))
        for name, process in zip(STARTS, running, strict=True):
            _wait_for(process, ports[name], folder / f"{name}.log")
        yield ports
    finally:
        for process in running:
            process.terminate()
            process.wait(15)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://localhost:{port}/nothing")
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())


@contextmanager
def proxy(ports: dict[str, int]) -> Iterator[str]:
    """What nginx would do, by the first part of the path; its address."""

    class Passing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            port = ports[self.path.split("/")[1]]
            answer = httpx.request(
                self.command, f"http://localhost:{port}{self.path}", headers=list(self.headers.items()), content=body
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.multi_items():
                if name not in {"transfer-encoding", "connection", "content-length", "content-encoding"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815 - the names are given
        do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("localhost", 0), Passing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.server
def test_a_login_in_django_is_one_in_fastapi_and_ends_in_flask(tmp_path: Path) -> None:
    with programs(tmp_path) as ports, proxy(ports) as origin:
        ann, root = (httpx.Client(base_url=origin, timeout=30) for _ in range(2))
        with ann, root:
            assert ann.post("/shop/basket/apple").status_code == 401
            logged_in = ann.get("/account/login/ann").json()
            assert logged_in["user"] == "ann"
            cookie = ann.cookies["sessile"]
            ann.post("/shop/basket/apple", headers={"origin": origin})
            added = ann.post("/shop/basket/pear", headers={"origin": origin}).json()
            assert added == {"user": "ann", "session": logged_in["session"], "basket": {"apple": 1, "pear": 1}}
            assert ann.cookies["sessile"] == cookie, "nobody needed another one"
            assert ann.delete("/office/users/root").status_code == 403
            root.get("/account/login/root")
            assert root.delete("/office/users/ann").json() == {"ended": 1}
            refused = ann.post("/shop/basket/plum", headers={"origin": origin})
            assert (refused.status_code, refused.json()["reason"]) == (401, "ended:revoked")
            assert ann.delete("/office/users/root").status_code == 401
            assert root.post("/shop/basket/plum", headers={"origin": origin}).status_code == 200
