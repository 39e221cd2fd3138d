"""fastapi-redis-sdk: sessions in Redis, rotated by itself when the principal changes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from redis_fastapi import FastAPIRedis, SessionDep, SessionStoreDep, get_settings
from redis_fastapi.deps import SessionStateDep

KIND = "asgi"
ABILITIES = ["rotate", "list", "end_others"]
PACKAGES = ["fastapi-redis-sdk", "fastapi", "redis", "uvicorn"]


def put(session: Any, sku: str) -> None:
    """A change below the top level, without a word to the library."""
    if "basket" in session:
        session["basket"][sku] = "1"
    else:
        session["basket"] = {sku: "1"}


def seen(session: Any) -> dict[str, Any]:
    return {"user": session.get("user_id"), "data": dict(session)}


def described(request: Request, _session: Any) -> dict[str, Any]:
    return {"user_agent": request.headers.get("user-agent", "")}


def build(desk: Any) -> FastAPI:
    get_settings().url = desk.redis
    app = FastAPI()
    clocks = {}
    if "idle_s" in desk.options:
        clocks = {"idle_ttl": int(desk.options["idle_s"]), "absolute_ttl": int(desk.options["absolute_s"])}
    FastAPIRedis(app).lifespan().sessions(
        principal_keys=["user_id"],
        subject_of=lambda session: session.get("user_id"),
        descriptor_of=described,
        **clocks,
    )

    @app.get("/ignore")
    async def ignore() -> dict[str, Any]:
        return {}

    @app.get("/read")
    async def read(session: SessionDep) -> dict[str, Any]:
        return seen(session)

    @app.get("/slow-read")
    async def slow_read(session: SessionDep, gate: str) -> dict[str, Any]:
        found = seen(session)
        await desk.wait_async(gate)
        return found

    @app.post("/write")
    @app.post("/slow-write")
    async def write(session: SessionDep, key: str, value: str, gate: str | None = None) -> dict[str, Any]:
        seen(session)
        await desk.wait_async(gate)
        session[key] = value
        return seen(session)

    @app.post("/nested")
    @app.post("/slow-nested")
    async def nested(session: SessionDep, sku: str, gate: str | None = None) -> dict[str, Any]:
        seen(session)
        await desk.wait_async(gate)
        put(session, sku)
        return seen(session)

    _add_verbs(app)
    return app


def _add_verbs(app: FastAPI) -> None:
    @app.post("/login")
    async def login(session: SessionDep, user: str) -> dict[str, Any]:
        session["user_id"] = user
        return seen(session)

    @app.post("/logout")
    async def logout(state: SessionStateDep, store: SessionStoreDep) -> dict[str, Any]:
        await store.revoke(state)
        return {}

    @app.post("/rotate")
    async def rotate(session: SessionDep, state: SessionStateDep, store: SessionStoreDep) -> dict[str, Any]:
        await store.rotate(state)
        return seen(session)

    @app.get("/sessions")
    async def sessions(session: SessionDep, store: SessionStoreDep) -> dict[str, Any]:
        found = await store.list_for_subject(session["user_id"])
        return {"sessions": [{"session_id": one.session_id, "created": one.created, **one.descriptor} for one in found]}

    @app.post("/end-others")
    async def end_others(session: SessionDep, state: SessionStateDep, store: SessionStoreDep) -> dict[str, Any]:
        user = session["user_id"]
        others = [one.session_id for one in await store.list_for_subject(user) if one.session_id != state.session_id]
        return {"ended": sum([await store.revoke_id(one, subject=user) for one in others])}
