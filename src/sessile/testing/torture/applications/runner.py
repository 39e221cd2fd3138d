"""Runs one application under test, in whatever environment its library is installed in: standard library only, and uvicorn for ASGI.

    python runner.py PROGRAM --port N --folder F [--database URL] [--redis URL] [--option key=value]

PROGRAM is a file with `KIND` ("asgi" or "wsgi"), `ABILITIES` (of "rotate", "list", "end_others"), `PACKAGES` (whose versions are told) and `build(desk)`, which
returns the application. Options that every program knows, as far as its library has them: `idle_s` and `absolute_s`. The application has these routes; each answers a JSON object, `user` and `data` as the session has them:

    GET  /ignore                    does not touch the session
    GET  /read                      reads it
    GET  /slow-read?gate=G          reads it, waits at the gate, answers
    POST /write?key=K&value=V       session[K] = V
    POST /slow-write?key&value&gate reads it, waits at the gate, writes
    POST /nested?sku=S              session["basket"][S] = "1"; without a basket, session["basket"] = {S: "1"}
    POST /slow-nested?sku&gate      reads it, waits at the gate, does the same
    POST /login?user=U[&rotate=1]   a login as the library's documentation has it; with rotate and an explicit new id where the login gives none
    POST /logout                    the same
    POST /rotate                    a new id for the same user
    GET  /sessions                  the user's sessions, as the library lists them
    POST /end-others                ends the user's other sessions
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

GATE_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.005


class Desk:
    """What a program is given: where its stores are, and gates at which a handler waits until the probe opens them."""

    def __init__(self, folder: Path, database: str | None, redis: str | None, options: dict[str, str]) -> None:
        self.folder = folder
        self.database = database
        self.redis = redis
        self.options = options

    def wait(self, gate: str | None) -> None:
        """Says that the handler has arrived, and returns when the gate is open. Raises TimeoutError."""
        deadline = self._arrive(gate)
        while not self._is_open(gate, deadline):
            time.sleep(LOOK_EVERY_S)

    async def wait_async(self, gate: str | None) -> None:
        """The same for a handler on a loop."""
        deadline = self._arrive(gate)
        while not self._is_open(gate, deadline):  # noqa: ASYNC110 - it is opened by another process, with a file
            await asyncio.sleep(LOOK_EVERY_S)

    def _arrive(self, gate: str | None) -> float:
        if gate:
            (self.folder / f"{gate}.arrived").touch()
        return time.monotonic() + GATE_TIMEOUT_S

    def _is_open(self, gate: str | None, deadline: float) -> bool:
        if not gate or (self.folder / f"{gate}.open").exists():
            return True
        if time.monotonic() > deadline:
            raise TimeoutError(f"the gate {gate} was not opened")
        return False


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
            environ["HTTPS"] = "on"  # from which wsgiref guesses `wsgi.url_scheme`
        return environ

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the overridden method
        """Says nothing."""


def serve(kind: str, application: Any, port: int) -> None:
    if kind == "asgi":
        import uvicorn

        uvicorn.run(application, host="127.0.0.1", port=port, log_level="warning", access_log=False)
        return
    with make_server("127.0.0.1", port, application, server_class=_Threading, handler_class=_Quiet) as server:
        server.serve_forever()


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("application_under_test", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no program")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def versions(packages: list[str]) -> dict[str, str]:
    """Of those that are installed here."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--database", default=None)
    parser.add_argument("--redis", default=None)
    parser.add_argument("--option", action="append", default=[])
    arguments = parser.parse_args()
    options = dict(option.split("=", 1) for option in arguments.option)
    module = load(arguments.program)
    application = module.build(Desk(arguments.folder, arguments.database, arguments.redis, options))
    about = {"abilities": module.ABILITIES, "versions": versions(module.PACKAGES)}
    (arguments.folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    serve(module.KIND, application, arguments.port)


if __name__ == "__main__":
    main()
