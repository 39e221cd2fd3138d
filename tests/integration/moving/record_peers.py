"""Records what other session libraries really write: `python tests/integration/moving/record_peers.py redis://127.0.0.1:6379/0`.

The Redis must be empty. Whatever of these is installed is recorded, the rest stays as it was: Flask-Session (its version 0.5 for pickles),
Flask-SQLAlchemy, Django, starsessions, Litestar. Tests put the recorded bytes back and need none of them.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import importlib.metadata
import importlib.util
import json
import re
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import redis

FOLDER = Path(__file__).resolve().parent / "recorded"
SECRET = "the old secret of a test"
CART = {"apples": 3, "note": "naïve", "rows": [1, {"sku": "a/b"}]}


def _save(name: str, library: str, server: Any, cookies: dict[str, str], **more: Any) -> None:
    keys = []
    for key in sorted(server.scan_iter()):
        value = base64.b64encode(server.get(key)).decode()
        keys.append({"key": key.decode(), "value": value, "pttl": server.pttl(key)})
    server.flushdb()
    what = {"library": f"{library} {importlib.metadata.version(library)}", "cookies": cookies, "keys": keys, **more}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(what, indent=1) + "\n", encoding="utf-8")


def _flask(server: Any, name: str, **config: Any) -> None:
    from flask import Flask, session
    from flask_session import Session

    app = Flask("recorded")
    app.config.update(SECRET_KEY=SECRET, SESSION_TYPE="redis", SESSION_REDIS=server, **config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        Session(app)
    _visit_flask(app, session)
    cookies = {}
    for user in ("ada", "eve", ""):
        cookies[user] = app.test_client().get(f"/{user}").headers["Set-Cookie"].split(";")[0].partition("=")[2]
    _save(name, "Flask-Session", server, cookies)


def _visit_flask(app: Any, session: Any) -> None:
    @app.get("/")
    def anonymous() -> str:
        session["cart"] = CART
        return ""

    @app.get("/<user>")
    def visit(user: str) -> str:
        session.permanent = True
        session["_user_id"] = user
        session["cart"] = CART
        if user == "eve":
            session["when"] = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
            session["bytes"] = b"\x00\xff"
            session["id"] = UUID("12345678-1234-5678-1234-567812345678")
            session["price"] = Decimal("9.90")
        return ""


def flask_session(server: Any) -> None:
    if importlib.metadata.version("Flask-Session") < "0.7":
        _flask(server, "flask_session_pickle")
        return
    _flask(server, "flask_session_msgpack")
    _flask(server, "flask_session_json", SESSION_SERIALIZATION_FORMAT="json")
    _flask(server, "flask_session_signed", SESSION_USE_SIGNER=True)


def flask_sqlalchemy(server: Any) -> None:
    from flask import Flask, session
    from flask_session import Session
    from flask_sqlalchemy import SQLAlchemy

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "old.db"
        app = Flask("recorded")
        app.config.update(SECRET_KEY=SECRET, SQLALCHEMY_DATABASE_URI=f"sqlite:///{path}", SESSION_TYPE="sqlalchemy")
        app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
        Session(app)
        _visit_flask(app, session)
        cookies = {}
        for user in ("ada", ""):
            cookies[user] = app.test_client().get(f"/{user}").headers["Set-Cookie"].split(";")[0].partition("=")[2]
        with sqlite3.connect(path) as connection:
            dump = list(connection.iterdump())
        connection.close()
    _save("flask_session_table", "Flask-Session", server, cookies, dump=dump, at=datetime.now(UTC).isoformat())


class JsonInCache:
    """What a project can set in OPTIONS of its cache, so that nothing in it is a pickle."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def django(server: Any, url: str) -> None:
    from django.conf import settings

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "old.db"
        caches = {
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url},
            "json": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": url,
                "OPTIONS": {"serializer": JsonInCache},
            },
        }
        settings.configure(
            SECRET_KEY=SECRET, CACHES=caches, INSTALLED_APPS=["django.contrib.sessions"], USE_TZ=True,
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}},
        )  # fmt: skip
        import django as framework
        from django.core.management import call_command

        framework.setup()
        call_command("migrate", verbosity=0)
        for name, alias in (("db", "default"), ("cached_db", "json"), ("cache", "json"), ("signed_cookies", "default")):
            settings.SESSION_CACHE_ALIAS = alias
            cookies = {user: _django_session(name, user) for user in ("7", "")}
            with sqlite3.connect(path) as connection:
                dump = [line for line in connection.iterdump() if "django_session" in line]
                connection.execute("DELETE FROM django_session")
            connection.close()
            _save(f"django_{name}", "Django", server, cookies, dump=dump, at=datetime.now(UTC).isoformat())
        settings.SESSION_CACHE_ALIAS = "default"
        _save("django_cache_pickle", "Django", server, {"7": _django_session("cache", "7")})


def _django_session(backend: str, user: str) -> str:
    """What the cookie of a session holds that Django's own backend has kept."""
    session = importlib.import_module(f"django.contrib.sessions.backends.{backend}").SessionStore()
    if user:
        session["_auth_user_id"] = user
        session["_auth_user_hash"] = "0" * 64
    session["cart"] = CART
    session.save()
    return str(session.session_key)


def starsessions(server: Any, url: str) -> None:
    from redis.asyncio import Redis
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from starsessions import SessionAutoloadMiddleware, SessionMiddleware
    from starsessions.stores.redis import RedisStore

    async def visit(request: Request) -> Response:
        request.session["cart"] = CART
        if "user" in request.path_params:
            request.session["user_id"] = request.path_params["user"]
        return Response()

    async def record() -> None:
        connection = Redis.from_url(url)
        store = Middleware(
            SessionMiddleware, store=RedisStore(connection=connection), lifetime=86400, cookie_https_only=False
        )
        app = Starlette(
            routes=[Route("/", visit), Route("/{user}", visit)],
            middleware=[store, Middleware(SessionAutoloadMiddleware)],
        )
        cookies = await _visited(app, ("ada", ""))
        await connection.aclose()
        _save("starsessions", "starsessions", server, cookies)

    asyncio.run(record())


def litestar(server: Any, url: str) -> None:
    from litestar import Litestar, Request, get
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.redis import RedisStore

    @get(["/", "/{user:str}"])
    async def visit(request: Request[Any, Any, Any], user: str = "") -> None:
        request.session["cart"] = CART
        if user:
            request.session["user_id"] = user

    async def record() -> None:
        store = RedisStore.with_client(url=url)
        app = Litestar([visit], middleware=[ServerSideSessionConfig().middleware], stores={"sessions": store})
        cookies = await _visited(app, ("ada", ""))
        await store._redis.aclose()
        _save("litestar", "litestar", server, cookies)

    asyncio.run(record())


async def _visited(app: Any, users: tuple[str, ...]) -> dict[str, str]:
    """The cookie that each of them gets."""
    cookies = {}
    for user in users:
        found: list[str] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any], found: list[str] = found) -> None:
            if message["type"] == "http.response.start":
                found += [value.decode() for key, value in message["headers"] if key.lower() == b"set-cookie"]

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http", "path": f"/{user}",
            "raw_path": f"/{user}".encode(), "root_path": "", "query_string": b"", "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}, "extensions": {},
        }  # fmt: skip
        await app(scope, receive, send)
        match = re.match(r"session=([^;]+)", found[0])
        assert match is not None
        cookies[user] = match[1]
    return cookies


def main() -> None:
    url = sys.argv[1]
    server = redis.Redis.from_url(url)
    assert server.dbsize() == 0, "the Redis must be empty"
    jobs: dict[str, Callable[[], None]] = {
        "flask_session": lambda: flask_session(server),
        "flask_sqlalchemy": lambda: flask_sqlalchemy(server),
        "django": lambda: django(server, url),
        "starsessions": lambda: starsessions(server, url),
        "litestar": lambda: litestar(server, url),
    }
    for module, job in jobs.items():
        if importlib.util.find_spec(module) is None:
            print(f"{module} is not installed: not recorded")
            continue
        job()
        print(f"{module} recorded")


if __name__ == "__main__":
    main()
