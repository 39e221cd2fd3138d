"""Sessile on Flask, as in the quickstart."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, request
from flask import session as flask_session

from sessile.integrations.flask import Sessile

KIND = "wsgi"
ABILITIES = ["rotate", "list", "end_others"]
PACKAGES = ["sessile", "flask"]
session = cast("Any", flask_session)


def put(session: Any, sku: str) -> None:
    """A change below the top level, without a word to the library."""
    if "basket" in session:
        session["basket"][sku] = "1"
    else:
        session["basket"] = {sku: "1"}


def seen() -> dict[str, Any]:
    return {"user": session.user_id, "data": dict(session)}


def more(desk: Any) -> dict[str, Any]:
    """Settings that a probe asks for."""
    options = {name: value for name, value in desk.options.items() if name != "engine"}
    if "idle_s" in options:
        idle, absolute = options.pop("idle_s"), options.pop("absolute_s")
        options |= {"idle_timeout_s": idle, "absolute_timeout_s": absolute, "rotation_window_s": "0.5"}
    return options


def build(desk: Any) -> Flask:
    app = Flask(__name__, instance_path=str(desk.folder))
    if desk.database.startswith("postgresql"):
        from sessile.stores.sql.postgres import upgrade

        upgrade(desk.database)
    sessile = Sessile(app, database_url=desk.database, redis_url=desk.redis, **more(desk))

    def slow_read() -> dict[str, Any]:
        found = seen()
        desk.wait(request.args["gate"])
        return found

    def write() -> dict[str, Any]:
        seen()
        desk.wait(request.args.get("gate"))
        session[request.args["key"]] = request.args["value"]
        return seen()

    def nested() -> dict[str, Any]:
        seen()
        desk.wait(request.args.get("gate"))
        put(session, request.args["sku"])
        return seen()

    def login() -> dict[str, Any]:
        session.login(request.args["user"])
        return seen()

    def logout() -> dict[str, Any]:
        session.logout()
        return {}

    def rotate() -> dict[str, Any]:
        session.rotate()
        return seen()

    def sessions() -> dict[str, Any]:
        found = sessile.manager.list_sessions(session.user_id)
        return {"sessions": [{"session_id": one.session_id, "device": dict(one.device)} for one in found]}

    def end_others() -> dict[str, Any]:
        return {"ended": session.end_others()}

    for path, view in (("/ignore", dict), ("/read", seen), ("/slow-read", slow_read), ("/sessions", sessions)):
        app.add_url_rule(path, path, view)
    for path, view in (
        ("/write", write), ("/slow-write", write), ("/nested", nested), ("/slow-nested", nested), ("/login", login),
        ("/logout", logout), ("/rotate", rotate), ("/end-others", end_others),
    ):  # fmt: skip
        app.add_url_rule(path, path, view, methods=["POST"])
    return app
