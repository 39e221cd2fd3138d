"""Django with `django.contrib.auth`; its sessions on one of its own engines (db, cache, cached_db) or on Sessile, as in the quickstart."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path

KIND = "wsgi"
ABILITIES = ["rotate"]
PACKAGES = ["sessile", "django", "redis", "psycopg"]
DESK: Any = None


def databases(url: str) -> dict[str, Any]:
    if url.startswith("sqlite:"):
        return {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}}
    parts = urlsplit(url)
    place = {"NAME": parts.path.lstrip("/"), "USER": parts.username, "HOST": parts.hostname, "PORT": parts.port}
    return {"default": {"ENGINE": "django.db.backends.postgresql", **place}}


def put(session: Any, sku: str) -> None:
    """A change below the top level, without a word to the library."""
    if "basket" in session:
        session["basket"][sku] = "1"
    else:
        session["basket"] = {sku: "1"}


def seen(request: HttpRequest) -> JsonResponse:
    user = request.user.get_username() if request.user.is_authenticated else None
    return JsonResponse({"user": user, "data": {key: value for key, value in request.session.items() if key[0] != "_"}})


def ignore(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


def slow_read(request: HttpRequest) -> JsonResponse:
    found = seen(request)
    DESK.wait(request.GET["gate"])
    return found


def write(request: HttpRequest) -> JsonResponse:
    seen(request)
    DESK.wait(request.GET.get("gate"))
    request.session[request.GET["key"]] = request.GET["value"]
    return seen(request)


def nested(request: HttpRequest) -> JsonResponse:
    seen(request)
    DESK.wait(request.GET.get("gate"))
    put(request.session, request.GET["sku"])
    return seen(request)


def login(request: HttpRequest) -> JsonResponse:
    from django.contrib import auth
    from django.contrib.auth.models import User

    user, _ = User.objects.get_or_create(username=request.GET["user"])
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return seen(request)


def logout(request: HttpRequest) -> JsonResponse:
    from django.contrib import auth

    auth.logout(request)
    return JsonResponse({})


def rotate(request: HttpRequest) -> JsonResponse:
    request.session.cycle_key()
    return seen(request)


def sessions(request: HttpRequest) -> JsonResponse:
    from sessile.integrations.django import get_manager

    found = get_manager().list_sessions(request.session.user_id)
    return JsonResponse({"sessions": [{"session_id": one.session_id, "device": dict(one.device)} for one in found]})


def end_others(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ended": request.session.end_others()})


urlpatterns = [
    path("ignore", ignore),
    path("read", seen),
    path("slow-read", slow_read),
    path("write", write),
    path("slow-write", write),
    path("nested", nested),
    path("slow-nested", nested),
    path("login", login),
    path("logout", logout),
    path("rotate", rotate),
    path("sessions", sessions),  # on Sessile only
    path("end-others", end_others),
]


def own_engine(desk: Any) -> dict[str, Any]:
    """Settings for one of Django's own engines."""
    caches: dict[str, Any] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if desk.redis:
        caches = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": desk.redis}
    return {
        "DATABASES": databases(desk.database),
        "CACHES": {"default": caches},
        "SESSION_ENGINE": f"django.contrib.sessions.backends.{desk.options['engine']}",
        "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
    }


def on_sessile(desk: Any) -> dict[str, Any]:
    """Settings for Sessile. Users are Django's own, in a file beside it."""
    if desk.database.startswith("postgresql"):
        from sessile.stores.sql.postgres import upgrade

        upgrade(desk.database)
    ABILITIES.extend(["list", "end_others"])
    own = {"DATABASE_URL": desk.database, "REDIS_URL": desk.redis}
    if "absolute_s" in desk.options:
        own |= {"ABSOLUTE_TIMEOUT_S": desk.options["absolute_s"], "ROTATION_WINDOW_S": "0.5"}
    return {
        "DATABASES": databases(f"sqlite:///{desk.folder / 'users.sqlite3'}"),
        "SESSION_ENGINE": "sessile.integrations.django",
        "SESSILE": own,
        "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "sessile.integrations.django"],
        "MIDDLEWARE": [
            "sessile.integrations.django.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
    }


def build(desk: Any) -> Any:
    global DESK  # noqa: PLW0603 - Django's views are functions of a module
    DESK = desk
    settings.configure(
        SECRET_KEY="only for this application under test",  # noqa: S106
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        # What Django's documentation says for a server behind a proxy that ends TLS.
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
        SESSION_COOKIE_AGE=int(desk.options.get("idle_s", 86400)),
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        **(on_sessile(desk) if desk.options["engine"] == "sessile" else own_engine(desk)),
    )
    django.setup()
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return WSGIHandler()
