"""The servers whose fan-out is measured: `python -m benchmarks.fanout_servers sessile|socketio --port N [--database FILE] [--service-key KEY]`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from importlib import import_module
from typing import Any

from benchmarks.servers import NO_LIMITS
from sessile import AsyncSessionManager, Settings


async def no_drain() -> None:
    """Nobody is told that a measurement ends."""


def sessile(port: int, database: str, service_key: str) -> Coroutine[Any, Any, None]:
    """As `sessile serve` runs it."""
    from sessile.server.app import create_app
    from sessile.server.serving import make_server

    settings = Settings(database_url=f"sqlite:///{database}", service_key=service_key, **NO_LIMITS)
    app = create_app(AsyncSessionManager(settings), standalone=True)
    return make_server(app, host="127.0.0.1", port=port, drain=no_drain).serve()


def socketio(port: int) -> Coroutine[Any, Any, None]:
    """python-socketio on uvicorn: everybody is in one room, and what one publishes all get."""
    import uvicorn

    package = import_module("socketio")
    server = package.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @server.event
    async def connect(sid: str, _environ: Any) -> None:
        await server.enter_room(sid, "readers")

    @server.event
    async def publish(_sid: str, message: Any) -> None:
        await server.emit("update", message, room="readers")

    config = uvicorn.Config(
        package.ASGIApp(server),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )
    return uvicorn.Server(config).serve()


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=["sessile", "socketio"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", default="")
    parser.add_argument("--service-key", default="")
    arguments = parser.parse_args()
    if arguments.variant == "sessile":
        serving = sessile(arguments.port, arguments.database, arguments.service_key)
    else:
        serving = socketio(arguments.port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving)


if __name__ == "__main__":
    main()
