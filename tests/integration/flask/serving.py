"""A small shop under a real server, as a program: `python -m tests.integration.flask.serving KIND PORT`, settings from the environment.

The application is set up, and has answered a request, before anything is forked or started: that is what preforking servers do with it.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Any

from flask import Flask, session

from sessile.integrations.flask import Sessile, require_authentication

WORKERS = 3


def make() -> Flask:
    app = Flask("shop")
    Sessile(app)
    meeting: dict[str, threading.Barrier] = {}

    @app.post("/login/<name>")
    def login(name: str):
        session.login(name, public={"name": name})  # type: ignore[attr-defined]
        return ""

    @app.post("/logout")
    def logout():
        session.logout()  # type: ignore[attr-defined]
        return ""

    @app.post("/basket/<sku>")
    def basket(sku: str):
        session.setdefault("basket", {})[sku] = 1
        return session["basket"]

    @app.post("/meet/<sku>")
    def meet(sku: str):
        """Two requests have loaded the session before either commits."""
        session.setdefault("basket", {})[sku] = 1
        meeting.setdefault("here", threading.Barrier(2)).wait(20)
        return ""

    @app.get("/me")
    def me():
        return {"user": session.user_id, "data": dict(session), "pid": os.getpid()}  # type: ignore[attr-defined]

    @app.get("/need")
    @require_authentication
    def need():
        return ""

    return app


def _prefork(app: Any, listener: socket.socket) -> None:
    from werkzeug.serving import make_server

    children = []
    for _ in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            make_server("127.0.0.1", 0, app, threaded=True, fd=listener.fileno()).serve_forever()
            os._exit(0)
        children.append(pid)
    print("ready", flush=True)
    sys.stdin.read()  # until whoever started us lets go
    for pid in children:
        os.kill(pid, 15)
        os.waitpid(pid, 0)


def main(kind: str, port: int) -> None:
    if kind == "gevent":
        from gevent import monkey

        monkey.patch_all()
    app = make()
    app.test_client().get("/me", headers={"Cookie": "sessile=01900000-0000-7000-8000-00000000000a." + "A" * 43})
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    if kind == "prefork":
        _prefork(app, listener)
        return
    print("ready", flush=True)
    match kind:
        case "threads":
            from werkzeug.serving import make_server

            make_server("127.0.0.1", port, app, threaded=True, fd=listener.fileno()).serve_forever()
        case "waitress":
            import waitress

            waitress.serve(app, sockets=[listener], threads=8)
        case "gevent":
            from gevent.pywsgi import WSGIServer

            WSGIServer(listener, app, log=None).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
