"""starsessions on Redis, sessions loaded by its own middleware."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starsessions import SessionAutoloadMiddleware, SessionMiddleware, regenerate_session_id
from starsessions.stores.redis import RedisStore

KIND = "asgi"
ABILITIES = ["rotate"]
PACKAGES = ["starsessions", "starlette", "redis", "uvicorn"]


def put(session: Any, sku: str) -> None:
    """A change below the top level, without a word to the library."""
    if "basket" in session:
        session["basket"][sku] = "1"
    else:
        session["basket"] = {sku: "1"}


def seen(request: Request) -> JSONResponse:
    return JSONResponse({"user": request.session.get("user"), "data": dict(request.session)})


class Site:
    """The routes."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk

    async def ignore(self, _request: Request) -> JSONResponse:
        return JSONResponse({})

    async def read(self, request: Request) -> JSONResponse:
        return seen(request)

    async def slow_read(self, request: Request) -> JSONResponse:
        found = seen(request)
        await self._desk.wait_async(request.query_params["gate"])
        return found

    async def write(self, request: Request) -> JSONResponse:
        seen(request)
        await self._desk.wait_async(request.query_params.get("gate"))
        request.session[request.query_params["key"]] = request.query_params["value"]
        return seen(request)

    async def nested(self, request: Request) -> JSONResponse:
        seen(request)
        await self._desk.wait_async(request.query_params.get("gate"))
        put(request.session, request.query_params["sku"])
        return seen(request)

    async def login(self, request: Request) -> JSONResponse:
        request.session["user"] = request.query_params["user"]
        if "rotate" in request.query_params:
            regenerate_session_id(request)
        return seen(request)

    async def logout(self, request: Request) -> JSONResponse:
        request.session.clear()
        return JSONResponse({})

    async def rotate(self, request: Request) -> JSONResponse:
        regenerate_session_id(request)
        return seen(request)


def build(desk: Any) -> Starlette:
    site = Site(desk)
    posts = {
        "/write": site.write, "/slow-write": site.write, "/nested": site.nested, "/slow-nested": site.nested, "/login": site.login,
        "/logout": site.logout, "/rotate": site.rotate,
    }  # fmt: skip
    gets = {"/ignore": site.ignore, "/read": site.read, "/slow-read": site.slow_read}
    app = Starlette(
        routes=[
            *(Route(path, handler) for path, handler in gets.items()),
            *(Route(path, handler, methods=["POST"]) for path, handler in posts.items()),
        ]
    )
    app.add_middleware(SessionAutoloadMiddleware)
    lifetime = int(desk.options.get("idle_s", 86400))
    app.add_middleware(SessionMiddleware, store=RedisStore(desk.redis), lifetime=lifetime, rolling=True)
    return app
