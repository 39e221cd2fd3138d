"""Settings of a Flask application: arguments, `app.config["SESSILE_..."]`, the environment, and what Flask itself calls `SESSION_...`, in this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from flask import Flask
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings

_PREFIX: Final = "SESSILE_"
_LIFETIME: Final = "PERMANENT_SESSION_LIFETIME"
_FLASK_LIFETIME: Final = timedelta(days=31)
_FLASK_NAME: Final = "session"
_FILE: Final = "sessile.db"


def settings_of(app: Flask, given: Mapping[str, Any]) -> Settings:
    """What holds for this application. Raises ConfigurationError."""
    own = {name[len(_PREFIX) :].lower(): value for name, value in app.config.items() if name.startswith(_PREFIX)}
    values = {**_from_flask(app.config, _is_named({**own, **given})), **own, **given}
    if "database_url" not in values and _PREFIX + "DATABASE_URL" not in os.environ:
        values["database_url"] = _in_instance_folder(app)
    settings = Settings(**values)
    _check_file(app, settings)
    return settings


def _is_named(values: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether somebody gave a setting of ours, which goes before one of Flask's."""
    environment = {name.upper() for name in os.environ}

    def is_named(name: str) -> bool:
        return name in values or _PREFIX + name.upper() in environment

    return is_named


def _from_flask(config: Mapping[str, Any], is_named: Callable[[str], bool]) -> dict[str, Any]:
    if config.get("SESSION_COOKIE_HTTPONLY") is False:
        raise ConfigurationError(
            "SESSION_COOKIE_HTTPONLY is False: page script could read the session cookie and give it away. Take it out; what pages may know of a session is in "
            "`session.public` and GET /api/session_state."
        )
    found: dict[str, Any] = {}
    name = config.get("SESSION_COOKIE_NAME")
    if name and name != _FLASK_NAME:
        found["cookie_name"] = name
    path = config.get("SESSION_COOKIE_PATH") or config.get("APPLICATION_ROOT")
    if path and path != "/":
        found["cookie_path"] = path
    for theirs, ours in (
        ("DOMAIN", "cookie_domain"),
        ("SECURE", "cookie_secure"),
        ("PARTITIONED", "cookie_partitioned"),
    ):
        if value := config.get(f"SESSION_COOKIE_{theirs}"):
            found[ours] = value
    if samesite := config.get("SESSION_COOKIE_SAMESITE"):
        found["cookie_samesite"] = str(samesite).lower()
    found |= _lifetimes(config.get(_LIFETIME), is_named)
    return {ours: value for ours, value in found.items() if not is_named(ours)}


def _lifetimes(lifetime: timedelta | float | None, is_named: Callable[[str], bool]) -> dict[str, Any]:
    """Flask's is the time without activity after which a session is over. Its default of 31 days is nobody's choice and leaves ours."""
    if lifetime is None or is_named("idle_timeout_s"):
        return {}
    idle_s = lifetime.total_seconds() if isinstance(lifetime, timedelta) else float(lifetime)
    if idle_s == _FLASK_LIFETIME.total_seconds():
        return {}
    found = {"idle_timeout_s": idle_s}
    if is_named("preset"):  # which says the longer clocks itself
        return found
    fields = Settings.model_fields
    absolute_s = float(fields["absolute_timeout_s"].default)
    if idle_s > absolute_s and not is_named("absolute_timeout_s"):
        found["absolute_timeout_s"] = absolute_s = idle_s
    if absolute_s > float(fields["remember_timeout_s"].default) and not is_named("remember_timeout_s"):
        found["remember_timeout_s"] = absolute_s
    return found


def _in_instance_folder(app: Flask) -> str:
    folder = Path(app.instance_path)
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / _FILE}"


def _check_file(app: Flask, settings: Settings) -> None:
    """A request that holds the write lock of a SQLite file would wait for its own session, which wants it on another connection."""
    theirs = app.config.get("SQLALCHEMY_DATABASE_URI")
    ours = _file_of(str(settings.database_url), Path())
    if ours is not None and theirs and ours == _file_of(str(theirs), Path(app.instance_path)):
        raise ConfigurationError(
            f"SESSILE_DATABASE_URL and SQLALCHEMY_DATABASE_URI name the same SQLite file {ours}: a request that writes to it would wait for itself. Give Sessile a "
            "file of its own; a PostgreSQL database can be shared."
        )


def _file_of(url: str, folder: Path) -> Path | None:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return (folder / parsed.database).resolve()
