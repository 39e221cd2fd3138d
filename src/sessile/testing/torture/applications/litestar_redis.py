"""Litestar's server-side sessions on Redis."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, get, post
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.stores.redis import RedisStore

KIND = "asgi"
ABILITIES: list[str] = []
PACKAGES = ["litestar", "redis", "uvicorn"]


def put(session: Any, sku: str) -> None:
    """A change below the top level, without a word to the library."""
    if "basket" in session:
        session["basket"][sku] = "1"
    else:
        session["basket"] = {sku: "1"}


def seen(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return {"user": request.session.get("user"), "data": dict(request.session)}


def build(desk: Any) -> Litestar:
    @get("/ignore")
    async def ignore() -> dict[str, Any]:
        return {}

    @get("/read")
    async def read(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return seen(request)

    @get("/slow-read")
    async def slow_read(request: Request[Any, Any, Any], gate: str) -> dict[str, Any]:
        found = seen(request)
        await desk.wait_async(gate)
        return found

    @post(["/write", "/slow-write"], status_code=200)
    async def write(request: Request[Any, Any, Any], key: str, value: str, gate: str | None = None) -> dict[str, Any]:
        seen(request)
        await desk.wait_async(gate)
        request.session[key] = value
        return seen(request)

    @post(["/nested", "/slow-nested"], status_code=200)
    async def nested(request: Request[Any, Any, Any], sku: str, gate: str | None = None) -> dict[str, Any]:
        seen(request)
        await desk.wait_async(gate)
        put(request.session, sku)
        return seen(request)

    @post("/login", status_code=200)
    async def login(request: Request[Any, Any, Any], user: str) -> dict[str, Any]:
        request.session["user"] = user
        return seen(request)

    @post("/logout", status_code=200)
    async def logout(request: Request[Any, Any, Any]) -> dict[str, Any]:
        request.clear_session()
        return {}

    return Litestar(
        [ignore, read, slow_read, write, nested, login, logout],
        middleware=[ServerSideSessionConfig(max_age=int(desk.options.get("idle_s", 86400))).middleware],
        stores={"sessions": RedisStore.with_client(desk.redis)},
        openapi_config=None,
    )
