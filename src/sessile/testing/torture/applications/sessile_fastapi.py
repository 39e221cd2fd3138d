"""Sessile on FastAPI, as in the quickstart."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from sessile.integrations.fastapi import CurrentSession, Sessile, WebSession
from sessile.model.wire import iso

KIND = "asgi"
ABILITIES = ["rotate", "list", "end_others"]
PACKAGES = ["sessile", "fastapi", "starlette", "uvicorn"]


def put(session: Any, sku: str) -> None:
    """A change below the top level, without a word to the library."""
    if "basket" in session:
        session["basket"][sku] = "1"
    else:
        session["basket"] = {sku: "1"}


def seen(session: WebSession) -> dict[str, Any]:
    return {"user": session.user_id, "data": dict(session)}


def more(desk: Any) -> dict[str, Any]:
    """Settings that a probe asks for."""
    options = {name: value for name, value in desk.options.items() if name != "engine"}
    if "idle_s" in options:
        idle, absolute = options.pop("idle_s"), options.pop("absolute_s")
        options |= {"idle_timeout_s": idle, "absolute_timeout_s": absolute, "rotation_window_s": "0.5"}
    return options


def build(desk: Any) -> FastAPI:
    app = FastAPI()
    if desk.database.startswith("postgresql"):
        from sessile.stores.sql.postgres import upgrade

        upgrade(desk.database)
    sessile = Sessile(app, database_url=desk.database, redis_url=desk.redis, **more(desk))

    @app.get("/ignore")
    async def ignore() -> dict[str, Any]:
        return {}

    @app.get("/read")
    async def read(session: CurrentSession) -> dict[str, Any]:
        return seen(session)

    @app.get("/slow-read")
    async def slow_read(session: CurrentSession, gate: str) -> dict[str, Any]:
        found = seen(session)
        await desk.wait_async(gate)
        return found

    @app.post("/write")
    async def write(session: CurrentSession, key: str, value: str) -> dict[str, Any]:
        session[key] = value
        return seen(session)

    @app.post("/slow-write")
    async def slow_write(session: CurrentSession, key: str, value: str, gate: str) -> dict[str, Any]:
        seen(session)
        await desk.wait_async(gate)
        session[key] = value
        return seen(session)

    @app.post("/nested")
    async def nested(session: CurrentSession, sku: str) -> dict[str, Any]:
        put(session, sku)
        return seen(session)

    @app.post("/slow-nested")
    async def slow_nested(session: CurrentSession, sku: str, gate: str) -> dict[str, Any]:
        seen(session)
        await desk.wait_async(gate)
        put(session, sku)
        return seen(session)

    _add_verbs(app, sessile)
    return app


def _add_verbs(app: FastAPI, sessile: Sessile) -> None:
    @app.post("/login")
    async def login(session: CurrentSession, user: str) -> dict[str, Any]:
        await session.login(user)
        return seen(session)

    @app.post("/logout")
    async def logout(session: CurrentSession) -> dict[str, Any]:
        await session.logout()
        return {}

    @app.post("/rotate")
    async def rotate(session: CurrentSession) -> dict[str, Any]:
        await session.rotate()
        return seen(session)

    @app.get("/sessions")
    async def sessions(session: CurrentSession) -> dict[str, Any]:
        found = await sessile.manager.list_sessions(session.require_user())
        return {
            "sessions": [
                {"session_id": one.session_id, "created_at": iso(one.created_at), "device": dict(one.device)}
                for one in found
            ]
        }

    @app.post("/end-others")
    async def end_others(session: CurrentSession) -> dict[str, Any]:
        return {"ended": await session.end_others()}
