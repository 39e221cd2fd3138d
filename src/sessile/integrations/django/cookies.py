"""The session cookie as `SESSION_COOKIE_*` want it: one name, and Django's attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.conf import settings as django_settings
from django.http import HttpResponse

from sessile.integrations.django.configuration import cookie_attributes
from sessile.model import token as tokens
from sessile.model.errors import SessionNotFound
from sessile.runtime.settings import Settings
from sessile.web.asgi import Scope, host_of, scheme_of
from sessile.web.cookies import NO_COOKIE, CookieFound, CookiePolicy

COOKIES_KEY: Final = "sessile.django.cookies"
"""Where a scope of ours has the cookies that Django has taken apart. (Not the request, which holds the session: that would be a circle for each request.)"""
USER_AGENT_KEY: Final = "sessile.django.user_agent"


class DjangoCookies(CookiePolicy):
    """Name, domain, path and the rest are Django's, also where the API is asked. A request over plain http is not refused: see `is_secure`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._name: str = django_settings.SESSION_COOKIE_NAME
        self._raw_name = self._name.encode()
        self._secure_name = self._plain_name = self._name

    def name_for(self, scheme: str, host: str) -> str:
        return self._name

    def read(self, scope: Scope) -> CookieFound:
        cookies: Mapping[str, str] | None = scope.get(COOKIES_KEY)
        if cookies is None:
            return super().read(scope)
        token = cookies.get(self._name)
        if token is None:
            return CookieFound(None, NO_COOKIE)
        for name, value in scope["headers"]:
            if name == b"cookie" and value.count(self._raw_name) > 1:
                return super().read(scope)  # perhaps a planted second one; that takes a closer look
        return CookieFound(token)

    def _header(self, scope: Scope, name: str, value: str, max_age_s: int | None) -> bytes:
        response = HttpResponse()
        response.set_cookie(name, value, **cookie_attributes(max_age_s, scheme_of(scope), host_of(scope)))
        return response.cookies[name].OutputString().encode("latin-1")


class KeyCookie(CookiePolicy):
    """Where there is no request: `SessionStore(session_key)`. The key is what a cookie would have held."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def read(self, scope: Scope) -> CookieFound:
        return CookieFound(self._token, "" if self._token is not None else NO_COOKIE)

    def require_settable(self, scope: Scope) -> None:
        """Whoever made the store hands the key on."""


def scope_without_request() -> Scope:
    """For a store that belongs to no request."""
    return {"type": "http", "method": "GET", "path": "", "headers": []}


def is_ours(session_key: str | None) -> bool:
    """Whether it has the shape of a token."""
    if not isinstance(session_key, str):
        return False
    try:
        tokens.parse(session_key)
    except SessionNotFound:
        return False
    return True
