"""Flask-Session on Redis. Its documentation has no login; `regenerate` is what it offers against fixation."""

from __future__ import annotations

from typing import Any

from flask import Flask, request, session
from flask_session import Session
from redis import Redis

KIND = "wsgi"
ABILITIES = ["rotate"]
PACKAGES = ["flask-session", "flask", "redis"]


def put(session: Any, sku: str) -> None:
    """A change below the top level, without a word to the library."""
    if "basket" in session:
        session["basket"][sku] = "1"
    else:
        session["basket"] = {sku: "1"}


def seen() -> dict[str, Any]:
    return {"user": session.get("user"), "data": dict(session)}


def build(desk: Any) -> Flask:
    app = Flask(__name__)
    app.config["PERMANENT_SESSION_LIFETIME"] = int(desk.options.get("idle_s", 86400))
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(desk.redis))
    Session(app)

    def slow_read() -> dict[str, Any]:
        found = seen()
        desk.wait(request.args["gate"])
        return found

    def write() -> dict[str, Any]:
        session[request.args["key"]] = request.args["value"]
        return seen()

    def slow_write() -> dict[str, Any]:
        seen()
        desk.wait(request.args["gate"])
        return write()

    def nested() -> dict[str, Any]:
        put(session, request.args["sku"])
        return seen()

    def slow_nested() -> dict[str, Any]:
        seen()
        desk.wait(request.args["gate"])
        return nested()

    interface: Any = app.session_interface

    def login() -> dict[str, Any]:
        session["user"] = request.args["user"]
        if "rotate" in request.args:
            interface.regenerate(session)
        return seen()

    def logout() -> dict[str, Any]:
        session.clear()
        return {}

    def rotate() -> dict[str, Any]:
        interface.regenerate(session)
        return seen()

    for path, view in (("/ignore", dict), ("/read", seen), ("/slow-read", slow_read)):
        app.add_url_rule(path, path, view)
    for path, view in (
        ("/write", write), ("/slow-write", slow_write), ("/nested", nested), ("/slow-nested", slow_nested), ("/login", login),
        ("/logout", logout), ("/rotate", rotate),
    ):  # fmt: skip
        app.add_url_rule(path, path, view, methods=["POST"])
    return app
