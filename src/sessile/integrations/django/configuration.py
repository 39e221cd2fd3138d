"""Settings of a Django project: `SESSILE = {...}`, and what Django's own `SESSION_*` say of the cookie and of the idle timeout."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings
from sessile.web.cookie_names import is_this_machine

logger = logging.getLogger("sessile.cookies")
NAME: Final = "SESSILE"
PUBLIC: Final = "PUBLIC"
"""A key of ours beside the settings: the dotted path of a function that says what pages may see of a user."""
_DATABASE_FILE: Final = "sessile.sqlite3"
_INSTEAD: Final = {
    "IDLE_TIMEOUT_S": "SESSION_COOKIE_AGE",
    "COOKIE_NAME": "SESSION_COOKIE_NAME",
    "COOKIE_PATH": "SESSION_COOKIE_PATH",
    "COOKIE_DOMAIN": "SESSION_COOKIE_DOMAIN",
    "COOKIE_SECURE": "SESSION_COOKIE_SECURE",
    "COOKIE_PARTITIONED": "SESSION_COOKIE_SAMESITE (and no partitioned cookies)",
    "COOKIE_SAMESITE": "SESSION_COOKIE_SAMESITE",
    "INSECURE_LAN": "SESSION_COOKIE_SECURE",
}
"""What Django has a setting of its own for."""
_ABSOLUTE_DEFAULT_S: Final = float(Settings.model_fields["absolute_timeout_s"].default)
_REMEMBER_DEFAULT_S: Final = float(Settings.model_fields["remember_timeout_s"].default)
_ROTATION_DEFAULT_S: Final = float(Settings.model_fields["rotation_window_s"].default)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What holds in this project."""

    settings: Settings
    public: str | None = None
    """The dotted path of the function under `PUBLIC`."""


def configuration() -> Configuration:
    """What the project's settings say now. Raises ImproperlyConfigured that names the key and what would be right."""
    given = getattr(django_settings, NAME, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f'{NAME} is a dict: {NAME} = {{"DATABASE_URL": "sqlite:///..."}}')
    _check_keys(given)
    public = given.get(PUBLIC)
    if public is not None and not isinstance(public, str):
        raise ImproperlyConfigured(
            f'{NAME}["{PUBLIC}"]: is the dotted path of a function that takes a user and returns a dict'
        )
    values = {key.lower(): value for key, value in given.items() if key != PUBLIC}
    values = {**_from_django(values), **values}
    try:
        return Configuration(Settings(**values), public)
    except ConfigurationError as error:
        raise ImproperlyConfigured(_in_our_words(error.message)) from None


def _check_keys(given: Mapping[Any, Any]) -> None:
    known = [field.upper() for field in Settings.model_fields if field.upper() not in _INSTEAD] + [PUBLIC]
    for key in given:
        if key in _INSTEAD:
            raise ImproperlyConfigured(f'{NAME}["{key}"]: Django has {_INSTEAD[key]} for this; set that one instead')
        if key not in known:
            near = get_close_matches(str(key).upper(), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "docs/reference/settings.md has the list, without the prefix"
            raise ImproperlyConfigured(f'{NAME}["{key}"]: there is no such setting; {hint}')


def _from_django(given: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from Django's settings where nothing else is said."""
    idle_s = float(django_settings.SESSION_COOKIE_AGE)
    found: dict[str, Any] = {"idle_timeout_s": idle_s}
    has_preset = _is_said("preset", given)  # which says the longer clocks itself
    if not has_preset and not _is_said("absolute_timeout_s", given):
        # Django has one clock, and its default is two weeks; a second one that is shorter could not hold.
        found["absolute_timeout_s"] = max(_ABSOLUTE_DEFAULT_S, 2 * idle_s)
    if not has_preset and not _is_said("remember_timeout_s", given):
        absolute_s = given.get("absolute_timeout_s", found.get("absolute_timeout_s", _ABSOLUTE_DEFAULT_S))
        if isinstance(absolute_s, int | float):
            found["remember_timeout_s"] = max(_REMEMBER_DEFAULT_S, absolute_s)
    if not _is_said("rotation_window_s", given):
        found["rotation_window_s"] = min(_ROTATION_DEFAULT_S, idle_s / 2)
    if not _is_said("database_url", given) and (base := getattr(django_settings, "BASE_DIR", None)) is not None:
        found["database_url"] = f"sqlite:///{Path(base) / _DATABASE_FILE}"
    if not _is_said("allowed_origins", given):
        found["allowed_origins"] = [one for one in django_settings.CSRF_TRUSTED_ORIGINS if "*" not in one]
    return found


def _is_said(field: str, given: Mapping[str, Any]) -> bool:
    return field in given or f"SESSILE_{field.upper()}" in os.environ


def _in_our_words(message: str) -> str:
    """`SESSILE_POOL_SIZE` is how the environment spells it; here it is a key."""
    known = "|".join(field.upper() for field in Settings.model_fields)
    return re.sub(rf"\bSESSILE_({known})\b", rf'{NAME}["\1"]', message)


def cookie_attributes(max_age: timedelta | int | None, scheme: str, host: str) -> dict[str, Any]:
    """What `HttpResponse.set_cookie` is told beside name and value, in the response to a request that came by this scheme to this host."""
    return {
        "max_age": max_age,
        "domain": django_settings.SESSION_COOKIE_DOMAIN,
        "path": django_settings.SESSION_COOKIE_PATH,
        "secure": is_secure(scheme, host),
        "httponly": bool(django_settings.SESSION_COOKIE_HTTPONLY),
        "samesite": django_settings.SESSION_COOKIE_SAMESITE,
    }


def said_secure() -> bool | None:
    """What the project says of `SESSION_COOKIE_SECURE`; None where it says nothing. (Django's own default, False, is nobody's wish.)"""
    said = django_settings.is_overridden("SESSION_COOKIE_SECURE")
    return bool(django_settings.SESSION_COOKIE_SECURE) if said else None


def is_secure(scheme: str, host: str) -> bool:
    """Whether the cookie is marked Secure (ASVS 5.0 3.3.1): as the project says; else always, but on plain http to this very machine. A proxy that ends TLS
    without telling Django of it does no harm: the browser sees https."""
    said = said_secure()
    if said is not None:
        return said
    if scheme == "https" or not is_this_machine(host) or needs_secure():
        if scheme != "https" and not is_this_machine(host):
            _tell_of_plain_http(host)
        return True
    return False


def needs_secure() -> bool:
    """Whether browsers take this cookie only with Secure."""
    name, samesite = str(django_settings.SESSION_COOKIE_NAME), str(django_settings.SESSION_COOKIE_SAMESITE)
    return name.lower().startswith(("__secure-", "__host-")) or samesite.lower() == "none"


@lru_cache(maxsize=16)  # one line of the log for each host
def _tell_of_plain_http(host: str) -> None:
    logger.warning(
        "The session cookie was set with Secure for %s, which Django was asked for by plain http: a browser keeps it only if it sees https. Behind a proxy "
        "that ends TLS set SECURE_PROXY_SSL_HEADER; for a trial in a network you trust set SESSION_COOKIE_SECURE = False.",
        host,
        extra={"event_name": "cookie_secure_on_http"},
    )
