"""The servers under measurement: `python -m benchmarks.applications bare|session|sync --port N --database FILE --batch N`."""

from __future__ import annotations

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

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


def application(variant: str, settings: Settings) -> ASGIApp:
    if variant == "sync":
        return create_app(AsyncSessionManager(settings), standalone=True)
    app = Starlette(routes=[Route("/bare", bare), Route("/read", read), Route("/write", write)])
    if variant == "session":
        Sessile(app, manager=AsyncSessionManager(settings))
    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=["bare", "session", "sync"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--service-key", default=None)
    arguments = parser.parse_args()
    settings = Settings(
        database_url=f"sqlite:///{arguments.database}",
        commit_batch_max=arguments.batch,
        service_key=arguments.service_key,
    )
    uvicorn.run(
        application(arguments.variant, settings),
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
