"""The servers under measurement: `python -m benchmarks.applications VARIANT --port N --database FILE|URL [--redis URL]`. Peers are imported when they are
asked for: `pip install "sessile[bench]"`."""

from __future__ import annotations

import argparse
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.servers import NO_LIMITS
from sessile import AsyncSessionManager, Settings
from sessile.integrations.starlette import Sessile
from sessile.server.app import create_app

PAYLOAD = {"text": "x" * 900}


async def bare(_request: Request) -> JSONResponse:
    return JSONResponse(PAYLOAD)


async def read(request: Request) -> JSONResponse:
    return JSONResponse({**PAYLOAD, "n": request.session.get("n", 0)})


async def write(request: Request) -> JSONResponse:
    request.session["n"] = request.session.get("n", 0) + 1
    return JSONResponse({**PAYLOAD, "n": request.session["n"]})


def application(variant: str, settings: Settings, redis_url: str | None) -> ASGIApp:
    if variant == "sync":
        return create_app(AsyncSessionManager(settings), standalone=True)
    if variant.startswith("litestar"):
        made: ASGIApp = _litestar(redis_url if variant == "litestar" else None)
        return made
    app = Starlette(routes=[Route("/bare", bare), Route("/read", read), Route("/write", write)])
    if variant == "session":
        Sessile(app, manager=AsyncSessionManager(settings))
    elif variant == "starsessions":
        _add_starsessions(app, redis_url)
    return app


def _add_starsessions(app: Starlette, redis_url: str | None) -> None:
    from starsessions import SessionAutoloadMiddleware, SessionMiddleware
    from starsessions.stores.redis import RedisStore

    app.add_middleware(SessionAutoloadMiddleware)
    app.add_middleware(
        SessionMiddleware, store=RedisStore(redis_url), lifetime=86400, rolling=True, cookie_https_only=False
    )


def _litestar(redis_url: str | None) -> Any:
    from litestar import Litestar, get
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.redis import RedisStore

    @get("/bare")
    async def bare_() -> dict[str, Any]:
        return PAYLOAD

    @get("/read")
    async def read_(request: Request[Any]) -> dict[str, Any]:
        return {**PAYLOAD, "n": request.session.get("n", 0)}

    @get("/write")
    async def write_(request: Request[Any]) -> dict[str, Any]:
        request.session["n"] = request.session.get("n", 0) + 1
        return {**PAYLOAD, "n": request.session["n"]}

    if redis_url is None:
        return Litestar([bare_])
    store = RedisStore.with_client(redis_url)
    return Litestar(
        [bare_, read_, write_], middleware=[ServerSideSessionConfig().middleware], stores={"sessions": store}
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=["bare", "session", "sync", "starsessions", "litestar", "litestar-bare"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True, help="a file for SQLite, or a URL")
    parser.add_argument("--redis", default=None)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--service-key", default=None)
    arguments = parser.parse_args()
    settings = Settings(
        database_url=arguments.database if "://" in arguments.database else f"sqlite:///{arguments.database}",
        redis_url=arguments.redis,
        commit_batch_max=arguments.batch,
        service_key=arguments.service_key,
        **NO_LIMITS,
    )
    uvicorn.run(
        application(arguments.variant, settings, arguments.redis),
        port=arguments.port,
        log_level="warning",
        access_log=False,
        http="httptools",
        loop="uvloop",
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main()
