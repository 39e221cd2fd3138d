"""Where a request comes from: whether it may act with the session that the browser adds to it (ASVS 5.0 sections 3.5 and 4.4).

A browser says where a page came from in `Origin`, and a page cannot forge it. What is compared is the exact text: no patterns, no suffixes, no
change of case.
"""

from __future__ import annotations

import re
from typing import Final

from sessile.model.errors import ConfigurationError, CsrfFailed, OriginRefused
from sessile.runtime.settings import Settings
from sessile.web.asgi import SAFE_METHODS, Scope, bearer_token, header_values, host_of, scheme_of
from sessile.web.cookies import NO_COOKIE, CookiePolicy

_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_DEFAULT_PORTS: Final = (("http://", ":80"), ("https://", ":443"))


class OriginPolicy:
    """The own origin (scheme and Host of the request), and those of `allowed_origins`. Raises ConfigurationError for one that no browser sends."""

    def __init__(self, settings: Settings, cookies: CookiePolicy | None = None) -> None:
        self._allowed = frozenset(settings.allowed_origins)
        self._cookies = cookies or CookiePolicy(settings)
        self.is_always_secure = settings.cookie_secure
        for origin in settings.allowed_origins:
            _check_configured(origin)

    def allows(self, scope: Scope, origin: str) -> bool:
        """True when a page of this origin may use the session of this request."""
        host, scheme = host_of(scope), "https" if self.is_always_secure else scheme_of(scope)
        return origin in self._allowed or (host != "" and origin == f"{scheme}://{host}")

    def check_unsafe(self, scope: Scope) -> None:
        """For requests that may change something. `Origin` decides, else `Sec-Fetch-Site: same-origin`; neither is a refusal. Nothing is to be
        forged, and nothing checked but a foreign `Origin`, when the browser adds no credential: with a bearer token instead of the cookie, or
        without either. Raises OriginRefused, CsrfFailed."""
        if scope["method"] in SAFE_METHODS or bearer_token(scope["headers"]) is not None:
            return
        origins = header_values(scope["headers"], b"origin")
        if origins:
            self._check(scope, origins)
            return
        if header_values(scope["headers"], b"sec-fetch-site") == ["same-origin"]:
            return
        legacy = self._cookies.legacy
        if self._cookies.read(scope).reason != NO_COOKIE or (legacy is not None and legacy.has_one(scope)):
            raise CsrfFailed

    def check_socket(self, scope: Scope, *, has_token: bool) -> None:
        """For a WebSocket's handshake, which browsers let any page begin. Without `Origin` only where a token, and not the cookie, will say
        who it is. Raises OriginRefused."""
        origins = header_values(scope["headers"], b"origin")
        if origins or not has_token:
            self._check(scope, origins)

    def check_stream(self, scope: Scope, *, has_token: bool) -> None:
        """For a stream of events: a GET, but one that opens documents. To its own server `EventSource` sends no `Origin`; then
        `Sec-Fetch-Site` decides, and for browsers that leave out both (over plain http) `Accept: text/event-stream`, which links, pictures and
        forms do not send. With a token only a foreign `Origin` is looked at. Raises OriginRefused."""
        origins = header_values(scope["headers"], b"origin")
        if origins:
            self._check(scope, origins)
            return
        sites = header_values(scope["headers"], b"sec-fetch-site")
        accepted = ",".join(header_values(scope["headers"], b"accept")).lower()
        is_own = sites == ["same-origin"] if sites else "text/event-stream" in accepted
        if not has_token and not is_own:
            raise OriginRefused

    def _check(self, scope: Scope, origins: list[str]) -> None:
        if len(origins) != 1 or not self.allows(scope, origins[0]):
            raise OriginRefused


def _check_configured(origin: str) -> None:
    if not _ORIGIN.fullmatch(origin) or any(origin.startswith(s) and origin.endswith(p) for s, p in _DEFAULT_PORTS):
        raise ConfigurationError(
            f"SESSILE_ALLOWED_ORIGINS: {origin!r} is not an origin as browsers send it: https://name or https://name:port, in lower case, "
            "without a path, a wildcard or the scheme's own port"
        )
