"""`SessionMiddleware` in the place of Starlette's own: one import is replaced, and its arguments mean what is said in its docstring."""

from __future__ import annotations

import logging
import warnings
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from sessile import AsyncSessionManager, Settings
from sessile.integrations.starlette import SessionMiddleware, session_of
from sessile.model.errors import ConfigurationError, StoreUnavailable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client warns about the library below it when it is imported
    from starlette.testclient import TestClient

KEY = "N1-9fQmXo2Tz7LrVb4Ks8HwYc3Jd6Gp0Ae5Ui"
SECONDS_A_DAY = 86400


async def count(request: Request) -> PlainTextResponse:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return PlainTextResponse(str(request.session["seen"]))


async def view(request: Request) -> JSONResponse:
    return JSONResponse({"session": request.session.copy()})


async def clear(request: Request) -> JSONResponse:
    request.session.clear()
    return JSONResponse({"session": request.session | {"a": 1}})


ROUTES = [Route("/", count), Route("/view", view), Route("/clear", clear)]


def settings_of(**arguments: Any) -> Settings:
    middleware = SessionMiddleware(Starlette(), database_url="memory://", **arguments)
    return middleware.manager.settings


def test_one_import_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSILE_DATABASE_URL", f"sqlite:///{tmp_path / 's.db'}")
    app = Starlette(routes=ROUTES)
    app.add_middleware(SessionMiddleware, secret_key=KEY, https_only=False, same_site="lax", max_age=3600)
    with TestClient(app) as client:
        assert client.get("/view").json() == {"session": {}}
        assert not client.cookies
        assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]
        assert client.get("/view").json() == {"session": {"seen": 3}}
        assert client.get("/clear").json() == {"session": {"a": 1}}
        assert client.get("/view").json() == {"session": {}}


def test_the_arguments_come_in_starlettes_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSILE_DATABASE_URL", "memory://")
    app = Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware, KEY, "sid", 900, "/", "strict")])
    with TestClient(app) as client:
        cookie = client.get("/").headers["set-cookie"]
    assert cookie.startswith("sid=")
    assert "SameSite=Strict" in cookie
    assert "HttpOnly" in cookie


def test_https_gives_the_prefixed_secure_cookie() -> None:
    app = Starlette(routes=ROUTES)
    app.add_middleware(SessionMiddleware, secret_key=KEY, session_cookie="sid", database_url="memory://")
    with TestClient(app, base_url="https://shop.example") as client:
        cookie = client.get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-Http-sid=")
    assert "; Secure" in cookie


def test_max_age_is_the_idle_timeout_and_longer_clocks_follow() -> None:
    short = settings_of(max_age=3600)
    assert (short.idle_timeout_s, short.absolute_timeout_s) == (
        3600,
        Settings(database_url="memory://").absolute_timeout_s,
    )
    long = settings_of(max_age=60 * SECONDS_A_DAY)
    assert long.idle_timeout_s == long.absolute_timeout_s == long.remember_timeout_s == 60 * SECONDS_A_DAY
    assert settings_of(max_age=600, absolute_timeout_s=1200).absolute_timeout_s == 1200


@pytest.mark.parametrize("arguments", [{}, {"max_age": None}])
def test_without_max_age_the_settings_have_the_clocks(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSILE_IDLE_TIMEOUT_S", "1234")
    assert settings_of(**arguments).idle_timeout_s == 1234


@pytest.mark.parametrize(
    ("arguments", "login", "has_age"),
    [
        ({"max_age": None}, "", False),
        ({"max_age": None}, "?remember=1", True),
        ({"max_age": 3600}, "", True),
        ({}, "", True),
    ],
)
def test_max_age_none_is_a_cookie_until_the_browser_is_closed(
    arguments: dict[str, Any], login: str, has_age: bool
) -> None:
    async def enter(request: Request) -> PlainTextResponse:
        await session_of(request).login("ada", remember="remember" in request.query_params)
        return PlainTextResponse("")

    app = Starlette(routes=[*ROUTES, Route("/login", enter)])
    app.add_middleware(SessionMiddleware, database_url="memory://", **arguments)
    with TestClient(app) as client:
        if not login:
            assert ("Max-Age" in client.get("/").headers["set-cookie"]) is has_age
        cookie = client.get(f"/login{login}").headers["set-cookie"]
        assert ("Max-Age" in cookie) is has_age
        assert client.get("/view").status_code == 200


def test_the_secret_key_joins_the_ring_behind_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [key.get_secret_value() for key in settings_of(secret_key=Secret(KEY)).secret_keys] == [KEY]
    monkeypatch.setenv("SESSILE_SECRET_KEYS", f"{KEY[::-1]}9")
    assert [key.get_secret_value() for key in settings_of(secret_key=KEY).secret_keys] == [f"{KEY[::-1]}9", KEY]
    assert [key.get_secret_value() for key in settings_of(secret_key=f"{KEY[::-1]}9").secret_keys] == [f"{KEY[::-1]}9"]


def test_a_short_secret_key_is_not_used_and_told_without_being_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sessile.starlette"):
        assert settings_of(secret_key="hunter2hunter2").secret_keys == ()
    assert "at least 32" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_cookie_is_as_the_arguments_say() -> None:
    settings = settings_of(domain="example.com", https_only=True, partitioned=True)
    assert (settings.cookie_domain, settings.cookie_secure, settings.cookie_partitioned) == ("example.com", True, True)
    settings = settings_of(https_only=False)
    assert (settings.cookie_domain, settings.cookie_secure, settings.cookie_partitioned) == (None, False, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"domain": "exa mple.com"}, "SESSILE_COOKIE_DOMAIN"),
        ({"https_only": True, "insecure_lan": True}, "cookie_secure"),
        ({"max_age": 60, "idle_timeout_s": 60}, "one of them"),
        ({"max_age": 10}, "rotation_window_s"),
        ({"session_cookie": "a b"}, "SESSILE_COOKIE_NAME"),
        ({"path": "shop"}, "SESSILE_COOKIE_PATH"),
        ({"same_site": "never"}, "SESSILE_COOKIE_SAMESITE"),
        ({"without_session": ["static"]}, "/static"),
        ({"nonsense": 1}, "SESSILE_NONSENSE"),
    ],
)
def test_what_does_not_fit_is_refused_and_told(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        settings_of(**arguments)


def test_a_manager_that_is_given_has_its_settings_already() -> None:
    manager = AsyncSessionManager(Settings(database_url="memory://"))
    for arguments in (
        {"secret_key": KEY},
        {"max_age": 60},
        {"path": "/"},
        {"domain": "a.example"},
        {"idle_timeout_s": 60},
    ):
        with pytest.raises(ConfigurationError, match="already"):
            SessionMiddleware(Starlette(), manager=manager, **arguments)


def found(app: Starlette) -> SessionMiddleware:
    """The middleware that the application has made."""
    layer: Any = app.middleware_stack
    while not isinstance(layer, SessionMiddleware):
        layer = layer.app
    return layer


def test_it_lives_as_long_as_the_application() -> None:
    seen: list[bool] = []

    @asynccontextmanager
    async def lifespan(app: Starlette):
        seen.append(found(app).manager.is_open)
        yield
        seen.append(found(app).manager.is_open)

    app = Starlette(routes=ROUTES, lifespan=lifespan)
    app.add_middleware(SessionMiddleware, secret_key=KEY, database_url="memory://")
    for _ in range(2):  # a test client may start it again
        with TestClient(app) as client:
            client.get("/")
        assert not found(app).manager.is_open
    assert seen == [True] * 4


def test_an_application_that_fails_to_start_leaves_nothing_open() -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette):
        if not app.routes:
            raise RuntimeError("planted")
        yield

    app = Starlette(lifespan=lifespan)
    app.add_middleware(SessionMiddleware, database_url="memory://")
    with pytest.raises(RuntimeError, match="planted"), TestClient(app):
        pass
    assert not found(app).manager.is_open


def test_a_store_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    app = Starlette(routes=ROUTES)
    app.add_middleware(SessionMiddleware, database_url=f"sqlite:///{tmp_path / 'missing' / 's.db'}")
    with pytest.raises((StoreUnavailable, ConfigurationError)), TestClient(app):
        pass


async def test_a_start_that_failed_is_said_to_the_server(tmp_path: Path) -> None:
    """Only raised, it would be taken for an application without a lifespan, and the server would serve."""
    app = Starlette()
    app.add_middleware(SessionMiddleware, database_url=f"sqlite:///{tmp_path / 'missing' / 's.db'}")
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(message)

    with pytest.raises((StoreUnavailable, ConfigurationError)):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert told[0]["type"] == "lifespan.startup.failed"


def test_a_manager_that_is_given_is_closed_by_its_maker() -> None:
    manager = AsyncSessionManager(Settings(database_url="memory://"))
    app = Starlette(routes=ROUTES)
    app.add_middleware(SessionMiddleware, manager=manager)
    with TestClient(app) as client:
        client.get("/")
        assert manager.is_open
        assert client.portal is not None
        client.portal.call(manager.close)  # on the loop that has opened it


def test_the_first_request_opens_it_where_no_lifespan_runs() -> None:
    app = Starlette(routes=ROUTES)
    app.add_middleware(SessionMiddleware, secret_key=KEY, database_url="memory://")
    client = TestClient(app)
    assert client.get("/").text == "1"
    assert client.get("/").text == "2"
