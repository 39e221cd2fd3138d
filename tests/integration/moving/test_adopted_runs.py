"""What `sessile adopt` has written is run: the application starts, people log in, and their sessions are kept."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from sessile.cli.main import app as commands

FLASK = """\
from flask import Flask, session
from flask_session import Session

app = Flask(__name__)
app.config["SESSION_TYPE"] = "redis"
app.config.update(SESSION_PERMANENT=False, SESSION_USE_SIGNER=True, TESTING=True)
Session(app)


@app.post("/login/<name>")
def login(name):
    session["user_id"] = name
    session["cart"] = {"apples": 3}
    return ""


@app.get("/who")
def who():
    return {"user": session.get("user_id"), "cart": session.get("cart")}


@app.post("/logout")
def logout():
    session.clear()
    return ""
"""
STARLETTE = """\
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starsessions import SessionAutoloadMiddleware, SessionMiddleware, load_session
from starsessions.stores.redis import RedisStore


async def login(request):
    await load_session(request)
    request.session["user_id"] = request.path_params["name"]
    request.session["cart"] = {"apples": 3}
    return Response()


async def who(request):
    return JSONResponse({"user": request.session.get("user_id"), "cart": request.session.get("cart")})


async def logout(request):
    request.session.clear()
    return Response()


app = Starlette(
    routes=[
        Route("/login/{name}", login, methods=["POST"]),
        Route("/who", who),
        Route("/logout", logout, methods=["POST"]),
    ],
    middleware=[
        Middleware(SessionMiddleware, store=RedisStore("redis://"), lifetime=3600),
        Middleware(SessionAutoloadMiddleware),
    ],
)
"""
DJANGO = """\
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "a key for this test only, and long enough for all checks of it"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_CACHE_ALIAS = "default"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "django.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
"""
URLS = """\
from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse
from django.urls import path


def login(request, name):
    user, _ = User.objects.get_or_create(username=name)
    auth.login(request, user)
    request.session["cart"] = {"apples": 3}
    return HttpResponse()


def who(request):
    return JsonResponse({"user": request.user.get_username() or None, "cart": request.session.get("cart")})


def logout(request):
    auth.logout(request)
    return HttpResponse()


urlpatterns = [path("login/<name>", login), path("who", who), path("logout", logout)]
"""
VISIT = """\
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
call_command("check", fail_level="ERROR", verbosity=0)
client = Client()
told = [client.get("/who").json()]
client.post("/login/ada")
told += [client.get("/who").json(), client.get("/who").json()]
client.post("/logout")
told.append(client.get("/who").json())
print(json.dumps([told, type(client.session).__module__, os.path.exists("sessile.sqlite3")]))
"""
NOBODY = {"user": None, "cart": None}
ADA = {"user": "ada", "cart": {"apples": 3}}


def adopted(folder: Path, name: str, source: str) -> Path:
    """The file as it is after `sessile adopt`."""
    path = folder / name
    path.write_text(source)
    result = CliRunner().invoke(commands, ["adopt", str(folder), "--yes"])
    assert result.exit_code == 0, result.output
    assert path.read_text() != source
    return path


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def test_flask_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = adopted(tmp_path, "shop.py", FLASK)
    monkeypatch.setenv("SESSILE_DATABASE_URL", f"sqlite:///{tmp_path / 'sessile.db'}")
    cookies: list[Any] = []
    for visit in ("before", "after"):  # the second time it is started anew
        app = loaded(path)
        client = app.test_client()
        if visit == "before":
            assert client.get("/who").json == NOBODY
            assert client.post("/login/ada").status_code == 200
            cookies = list(client._cookies.values())
        else:
            for cookie in cookies:
                client.set_cookie(cookie.key, cookie.value)
        assert client.get("/who").json == ADA
        if visit == "after":
            client.post("/logout")
            assert client.get("/who").json == NOBODY
        app.extensions["sessile"].close()


async def test_starsessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = adopted(tmp_path, "shop.py", STARLETTE)
    monkeypatch.setenv("SESSILE_DATABASE_URL", f"sqlite:///{tmp_path / 'sessile.db'}")
    cookies: dict[str, str] = {}
    for visit in ("before", "after"):
        app = loaded(path)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client,
        ):
            if visit == "before":
                assert (await client.get("/who")).json() == NOBODY
                assert (await client.post("/login/ada")).status_code == 200
                cookies = dict(client.cookies)
            else:
                client.cookies.update(cookies)
            assert (await client.get("/who")).json() == ADA
            if visit == "after":
                await client.post("/logout")
                assert (await client.get("/who")).json() == NOBODY


def test_django(tmp_path: Path) -> None:
    adopted(tmp_path, "settings.py", DJANGO)
    (tmp_path / "urls.py").write_text(URLS)
    done = subprocess.run(
        [sys.executable, "-c", VISIT], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told, engine, has_file = json.loads(done.stdout.splitlines()[-1])
    assert told == [NOBODY, ADA, ADA, NOBODY]
    assert engine.startswith("sessile.integrations.django")
    assert has_file
