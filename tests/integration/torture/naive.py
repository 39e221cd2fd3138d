"""A session middleware with every fault that the probes look for: what one writes in an afternoon. Never use it."""

from __future__ import annotations

import pickle
import secrets
from typing import Any

import psycopg
from redis import Redis
from redis.exceptions import ConnectionError as RedisAway
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KIND = "asgi"
ABILITIES = ["rotate", "list", "end_others"]
PACKAGES = ["starlette", "redis", "psycopg"]


class Noted(dict[str, Any]):
    """Notices what is assigned to it, and nothing below that."""

    def __init__(self, loaded: dict[str, Any]) -> None:
        super().__init__(loaded)
        self.assigned: set[str] = set()

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.assigned.add(key)


class Naive:
    """Pickled blobs under the very id that the cookie has: rows in SQL, and copies in Redis that are believed."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.redis = Redis.from_url(desk.redis)
        self.rotated: set[str] = set()
        self.connection = psycopg.connect(desk.database, autocommit=True)
        self.sql("CREATE TABLE IF NOT EXISTS blobs (id text PRIMARY KEY, blob bytea)")

    def sql(self, statement: str, *values: Any) -> list[Any]:
        if self.connection.closed:
            self.connection = psycopg.connect(self.desk.database, autocommit=True)
        done = self.connection.execute(statement, values)
        return done.fetchall() if done.description else []

    def load(self, session_id: str) -> bytes:
        blob = self.redis.get(session_id)
        self.sql("UPDATE blobs SET id = id WHERE id = %s", session_id)
        if blob is None:
            rows = self.sql("SELECT blob FROM blobs WHERE id = %s", session_id)
            blob = bytes(rows[0][0]) if rows else pickle.dumps({})
        return bytes(blob)  # type: ignore[arg-type]

    def save(self, session_id: str, value: dict[str, Any]) -> None:
        blob = pickle.dumps(value)
        self.sql(
            "INSERT INTO blobs VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET blob = excluded.blob", session_id, blob
        )
        self.redis.set(session_id, blob)

    def delete(self, session_id: str) -> None:
        self.sql("DELETE FROM blobs WHERE id = %s", session_id)
        self.redis.delete(session_id)

    async def around(self, request: Request, call_next: Any) -> Response:
        state = request.state
        state.id = request.cookies.get("naive") or secrets.token_urlsafe(32)
        try:
            blob = await run_in_threadpool(self.load, state.id)
            state.session = Noted(pickle.loads(blob))
            response: Response = await call_next(request)
            if state.id in self.rotated:
                return JSONResponse({}, 409)
            if state.session is not None:
                kept = {key: state.session[key] for key in state.session.assigned}
                await run_in_threadpool(self.save, state.id, pickle.loads(blob) | kept)
        except (RedisAway, psycopg.OperationalError) as error:
            response = JSONResponse({}, 500 if isinstance(error, RedisAway) else 200)
            response.delete_cookie("naive")
            return response
        print(state.id, flush=True)
        response.headers["set-cookie"] = (
            f"naive={state.id}; Path=/" if state.session is not None else "naive=; Max-Age=0"
        )
        return response


class Site:
    def __init__(self, naive: Naive) -> None:
        self.naive = naive

    async def read(self, request: Request) -> JSONResponse:
        seen = {"user": request.state.session.get("user"), "data": dict(request.state.session)}
        await self.naive.desk.wait_async(request.query_params.get("gate"))
        return JSONResponse(seen)

    async def write(self, request: Request) -> JSONResponse:
        await self.naive.desk.wait_async(request.query_params.get("gate"))
        request.state.session[request.query_params["key"]] = request.query_params["value"]
        return JSONResponse({})

    async def nested(self, request: Request) -> JSONResponse:
        await self.naive.desk.wait_async(request.query_params.get("gate"))
        session, sku = request.state.session, request.query_params["sku"]
        if "basket" in session:
            session["basket"][sku] = "1"
        else:
            session["basket"] = {sku: "1"}
        return JSONResponse({})

    async def login(self, request: Request) -> JSONResponse:
        request.state.session["user"] = request.query_params["user"]
        if "rotate" in request.query_params:
            self.naive.delete(request.state.id)
            request.state.id = secrets.token_urlsafe(32)
        return JSONResponse({})

    async def logout(self, request: Request) -> JSONResponse:
        self.naive.delete(request.state.id)
        request.state.session = None
        return JSONResponse({})

    async def rotate(self, request: Request) -> JSONResponse:
        self.naive.delete(request.state.id)
        self.naive.rotated.add(request.state.id)
        request.state.id = secrets.token_urlsafe(32)
        return JSONResponse({})

    async def sessions(self, request: Request) -> JSONResponse:
        user = request.state.session["user"]
        rows = self.naive.sql("SELECT id, blob FROM blobs")
        found = [session_id for session_id, blob in rows if pickle.loads(bytes(blob)).get("user") == user]
        return JSONResponse({"sessions": [{"id": session_id} for session_id in found]})


async def nothing(_request: Request) -> JSONResponse:
    return JSONResponse({})


def build(desk: Any) -> Starlette:
    naive = Naive(desk)
    site = Site(naive)
    gets = {"/ignore": nothing, "/read": site.read, "/slow-read": site.read, "/sessions": site.sessions}
    posts = {
        "/write": site.write, "/slow-write": site.write, "/nested": site.nested, "/slow-nested": site.nested, "/login": site.login,
        "/logout": site.logout, "/rotate": site.rotate, "/end-others": nothing,
    }  # fmt: skip
    app = Starlette(
        routes=[
            *(Route(path, handler) for path, handler in gets.items()),
            *(Route(path, handler, methods=["POST"]) for path, handler in posts.items()),
        ]
    )
    app.add_middleware(BaseHTTPMiddleware, dispatch=naive.around)
    return app
