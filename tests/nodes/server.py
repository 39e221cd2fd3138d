"""One node: a small application with Sessile in it, served as `sessile serve` does. Run by its path, so it imports nothing of the tests.

python server.py --name a --port N --settings JSON
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sessile.engine.caching import SessionCache
from sessile.engine.looks import Looks
from sessile.integrations.starlette import Sessile, session_of
from sessile.model.session import EndReason
from sessile.server.serving import run
from sessile.stores.redis.wire import Greeting

PLANTS: dict[str, tuple[type, str, Any]] = {
    "tells_no_cache": (SessionCache, "plan", lambda *_: None),
    "waits_for_nobody": (Looks, "left_s", lambda *_: 0.0),
    "believes_old_looks": (Looks, "is_usable", lambda _self, look: look.fence.is_open),
    "takes_any_redis": (Greeting, "identity", lambda *_: "the one and only"),
}
"""Errors that can be planted into a running node: the class, its method, and what is there instead."""


class Node:
    """The routes. What is measured is told in seconds of the machine's monotonic clock, which all processes on it share."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.name = name
        self.app = Starlette(
            routes=[
                Route("/alive", self.alive),
                Route("/login", self.login, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
                Route("/who", self.who),
                Route("/data/{key}", self.put, methods=["PUT"]),
                Route("/end", self.end, methods=["POST"]),
                Route("/end-all", self.end_all, methods=["POST"]),
                Route("/connected", self.connected, methods=["POST"]),
                Route("/plant", self.plant, methods=["POST"]),
            ]
        )
        self.sessile = Sessile(self.app, **settings)
        self.manager = self.sessile.manager
        self._planted: tuple[type, str, Any] | None = None

    async def alive(self, _request: Request) -> JSONResponse:
        return JSONResponse({"node": self.name})

    async def login(self, request: Request) -> JSONResponse:
        session = session_of(request)
        await session.login((await request.json())["user"])
        return JSONResponse({"session_id": session.handle, "node": self.name})

    async def token(self, request: Request) -> JSONResponse:
        """A session for somebody without a cookie jar."""
        issued = await self.manager.create_session((await request.json())["user"])
        return JSONResponse({"session_id": issued.session.session_id, "token": issued.token})

    async def who(self, request: Request) -> JSONResponse:
        session = session_of(request)
        return JSONResponse({"user": session.require_user(), "data": dict(session), "node": self.name})

    async def put(self, request: Request) -> JSONResponse:
        session = session_of(request)
        user = session.require_user()
        session[request.path_params["key"]] = await request.json()
        return JSONResponse({"user": user, "node": self.name})

    async def end(self, request: Request) -> JSONResponse:
        session_id = (await request.json())["session_id"]
        called = time.monotonic()
        ended = await self.manager.destroy_session(session_id, reason=EndReason.ADMIN)
        return JSONResponse({"ended": ended, "called": called, "returned": time.monotonic()})

    async def end_all(self, request: Request) -> JSONResponse:
        called = time.monotonic()
        ended = await self.manager.cleanup_user_sessions((await request.json())["user"])
        return JSONResponse({"ended": ended, "called": called, "returned": time.monotonic()})

    async def connected(self, request: Request) -> JSONResponse:
        """Which of these sessions have a device that is there."""
        present = await self.manager.presence.of_sessions((await request.json())["session_ids"])
        return JSONResponse({session_id: one.is_connected for session_id, one in present.items()})

    async def plant(self, request: Request) -> JSONResponse:
        """An error of `PLANTS`, or none any more."""
        name = (await request.json())["name"]
        if self._planted is not None:
            setattr(*self._planted)
        self._planted = None
        if name is not None:
            kind, method, instead = PLANTS[name]
            self._planted = (kind, method, getattr(kind, method))
            setattr(kind, method, instead)
        return JSONResponse({})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("SESSILE_")]:
        del os.environ[name]  # what is set for the tests is not meant for their servers
    node = Node(arguments.name, arguments.settings)
    run(node.app, host="127.0.0.1", port=arguments.port, drain=node.sessile.drain)


if __name__ == "__main__":
    main()
