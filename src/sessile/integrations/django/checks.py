"""System checks (`manage.py check`): what is set up so that it cannot work, or works less well than it could. `sessile.E...` stops `runserver` and `migrate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from sessile.integrations.django.configuration import configuration, said_secure
from sessile.model.errors import ConfigurationError, SessileError, StoreUnavailable
from sessile.runtime.settings import Settings

TAG: Final = "sessile"
ENGINE: Final = "sessile.integrations.django"
OURS: Final = "sessile.integrations.django.SessionMiddleware"
STOCK: Final = "django.contrib.sessions.middleware.SessionMiddleware"
_BEFORE: Final = (
    ("django.contrib.auth.middleware.AuthenticationMiddleware", "it looks for the user in the session"),
    ("django.contrib.messages.middleware.MessageMiddleware", "it keeps messages in the session"),
    ("django.contrib.auth.middleware.LoginRequiredMiddleware", "it looks for the user in the session"),
)
_BEHIND: Final = (
    ("django.middleware.cache.UpdateCacheMiddleware", "it must see that a response is private"),
    ("django.middleware.gzip.GZipMiddleware", "it works on the finished response"),
)
_SQLITE: Final = "sqlite:///"
Found = list[checks.CheckMessage]


def register() -> None:
    """Called once, when the applications are ready."""
    checks.register(check_settings, TAG)
    checks.register(check_middleware, TAG)
    checks.register(check_cookie, TAG)
    checks.register(check_files, TAG)
    checks.register(check_database, checks.Tags.database)


def _valid() -> Settings | None:
    try:
        return configuration().settings
    except ImproperlyConfigured:
        return None  # `check_settings` says so


def check_settings(**_named: Any) -> Found:
    """E001: a setting is wrong. E002: the application is there, the engine is not. W007: an engine's setting that has no effect."""
    found: Found = []
    try:
        configuration()
    except ImproperlyConfigured as error:
        found.append(checks.Error(str(error), hint="docs/reference/settings.md has every setting.", id="sessile.E001"))
    if settings.SESSION_ENGINE != ENGINE:
        found.append(
            checks.Warning(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, so sessions are not kept by Sessile.",
                hint=f'Set SESSION_ENGINE = "{ENGINE}".',
                id="sessile.W002",
            )
        )
    ignored = [name for name in ("SESSION_SERIALIZER", "SESSION_CACHE_ALIAS", "SESSION_FILE_PATH") if _is_set(name)]
    if ignored and settings.SESSION_ENGINE == ENGINE:
        found.append(
            checks.Warning(
                f"{', '.join(ignored)}: this engine does not use it.",
                hint="Remove it. Values are kept as JSON with a few types more, by the database that SESSILE names.",
                id="sessile.W007",
            )
        )
    return found


def _is_set(name: str) -> bool:
    return bool(settings.is_overridden(name))


def check_middleware(**_named: Any) -> Found:
    """W003: Django's own middleware. E004: none, or two. E005: the order."""
    if settings.SESSION_ENGINE != ENGINE:
        return []
    middleware = list(settings.MIDDLEWARE)
    if STOCK in middleware and OURS in middleware:
        return [
            checks.Error(
                "Both session middlewares are in MIDDLEWARE: each would save the session and set its cookie.",
                hint=f"Remove {STOCK}.",
                id="sessile.E004",
            )
        ]
    if STOCK in middleware:
        return [
            checks.Warning(
                "Sessions are served by Django's own middleware: two tabs at a log-in can lose it, and an outage is answered with 500.",
                hint=f'Put "{OURS}" in its place.',
                id="sessile.W003",
            )
        ]
    if OURS not in middleware:
        return [
            checks.Error(
                "There is no session middleware, so requests have no session.",
                hint=f'Add "{OURS}" to MIDDLEWARE.',
                id="sessile.E004",
            )
        ]
    return _order(middleware)


def _order(middleware: list[str]) -> Found:
    here = middleware.index(OURS)
    found: Found = []
    for name, why in _BEFORE:
        if name in middleware and middleware.index(name) < here:
            found.append(_misplaced(name, "after", why))
    for name, why in _BEHIND:
        if name in middleware and middleware.index(name) > here:
            found.append(_misplaced(name, "before", why))
    return found


def _misplaced(name: str, where: str, why: str) -> checks.CheckMessage:
    return checks.Error(
        f"{name} has to stand {where} the session middleware in MIDDLEWARE: {why}.",
        hint=f"Move it {where} {OURS}.",
        id="sessile.E005",
    )


def check_cookie(**_named: Any) -> Found:
    """E006: a cookie that browsers refuse. W008: a cookie on each response for nothing. W013: one that is sent over plain http."""
    if settings.SESSION_ENGINE != ENGINE:
        return []
    found: Found = []
    name, said = str(settings.SESSION_COOKIE_NAME), said_secure()
    is_secure = said is not False
    if name.lower().startswith(("__secure-", "__host-")) and not is_secure:
        found.append(_refused(f"a cookie whose name begins with {name[: name.index('-') + 1]} is for https only"))
    if name.lower().startswith("__host-") and (settings.SESSION_COOKIE_DOMAIN or settings.SESSION_COOKIE_PATH != "/"):
        found.append(_refused("a __Host- cookie has the path / and no domain"))
    if str(settings.SESSION_COOKIE_SAMESITE).lower() == "none" and not is_secure:
        found.append(_refused("SameSite=None is for https only"))
    if said is False and not settings.DEBUG:
        found.append(
            checks.Warning(
                "SESSION_COOKIE_SECURE is False: the session cookie is sent over plain http, where whoever shares the network can read it.",
                hint="Leave it out: the cookie is Secure then, but for plain http to this very machine.",
                id="sessile.W013",
            )
        )
    if settings.SESSION_SAVE_EVERY_REQUEST:
        found.append(
            checks.Warning(
                "SESSION_SAVE_EVERY_REQUEST looks the session up and sets the cookie with every response.",
                hint="Leave it out: a request that uses the session moves its deadline anyway, and the cookie lives as long as the session can.",
                id="sessile.W008",
            )
        )
    return found


def _refused(why: str) -> checks.CheckMessage:
    return checks.Error(
        f"Browsers will not keep the session cookie: {why}.",
        hint="Leave SESSION_COOKIE_SECURE out or set it to True, or change SESSION_COOKIE_NAME, _DOMAIN, _PATH or _SAMESITE.",
        id="sessile.E006",
    )


def check_files(**_named: Any) -> Found:
    """E009: one SQLite file for Django and Sessile. W010: nothing is kept."""
    found = _valid()
    if found is None or settings.SESSION_ENGINE != ENGINE:
        return []
    if found.database_url == "memory://":
        return [
            checks.Warning(
                "Sessions are kept in the memory of one process: they end with it, and other processes do not know them.",
                hint='Good for tests. Else set SESSILE = {"DATABASE_URL": "sqlite:///..."} or postgresql://...',
                id="sessile.W010",
            )
        ]
    if not found.database_url.startswith(_SQLITE):
        return []
    ours = Path(found.database_url.removeprefix(_SQLITE)).resolve()
    shared = [alias for alias, database in settings.DATABASES.items() if _sqlite_file(database) == ours]
    return [
        checks.Error(
            f"SESSILE and DATABASES[{alias!r}] are the same SQLite file: a request that writes to both would wait for itself.",
            hint="Give Sessile a file of its own. A PostgreSQL database may be shared.",
            id="sessile.E009",
        )
        for alias in shared
    ]


def _sqlite_file(database: dict[str, Any]) -> Path | None:
    name = str(database.get("NAME") or "")
    if "sqlite3" not in str(database.get("ENGINE", "")) or not name or ":memory:" in name or name.startswith("file:"):
        return None
    return Path(name).resolve()


def check_database(databases: Sequence[str] | None = None, **_named: Any) -> Found:
    """E011: the schema is missing or old. E012: the database cannot be reached. With `check --database default`, and before `migrate`."""
    found = _valid()
    if not databases or found is None or settings.SESSION_ENGINE != ENGINE or found.database_url == "memory://":
        return []
    from sessile.runtime.blocking import SessionManager

    return _asked(lambda: SessionManager(found), found.database_shown)


def _asked(make: Callable[[], Any], shown: str) -> Found:
    try:
        manager = make()
        try:
            manager.open()
            manager.ready()
        finally:
            manager.close()
    except StoreUnavailable as error:
        return [
            checks.Warning(
                f"Sessile's database {shown} cannot be reached: {error.message}",
                hint="Until it can, whoever uses the session is answered with 503, and nobody is logged out.",
                id="sessile.W012",
            )
        ]
    except (ConfigurationError, SessileError) as error:
        return [
            checks.Error(
                f"Sessile's database {shown}: {error.message}",
                hint="`manage.py sessile upgrade` brings the schema to the version that this program needs.",
                id="sessile.E011",
            )
        ]
    return []
