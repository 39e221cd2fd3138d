"""The session cookie: its name, its attributes, and which cookies of a request are believed (RFC 6265bis; ASVS 5.0 section 3.3).

Under https the name carries the prefix `__Host-Http-`: a browser accepts it only from the server itself, over https, for this very host,
and page script can neither plant nor read it. Plain http can promise none of that, so it works for this machine only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Final

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings
from sessile.web.asgi import Headers, Scope, header_values, host_of, scheme_of
from sessile.web.cookie_findings import Finding, judged_request, judged_response, judged_settings
from sessile.web.cookie_names import (
    DEFAULT_NAME,
    PAIR_BYTES_MAX,
    checked_domain,
    checked_path,
    is_this_machine,
    names_of,
    values_in,
)
from sessile.web.legacy import LegacyCookies

logger = logging.getLogger("sessile.cookies")

NO_COOKIE: Final = "no_cookie"
DUPLICATE_COOKIE: Final = "duplicate_cookie"
RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class CookieFound:
    """The token in the session cookie, or None and the reason: `no_cookie`, `duplicate_cookie`."""

    token: str | None = field(repr=False)
    reason: str = ""


class CookiePolicy:
    """Raises ConfigurationError for a name or path that browsers would refuse or that is weaker than it looks."""

    ends_with_browser = False
    """Whether the browser forgets the cookie when it is closed, except that of a session that is remembered."""
    legacy: LegacyCookies | None = None
    """Cookies of the library that was here before, where the settings name some."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = checked_path(settings.cookie_path)
        self._domain = checked_domain(settings.cookie_domain)
        self._secure_name, self._plain_name = names_of(settings.cookie_name or DEFAULT_NAME, self._path, self._domain)
        self._is_always_secure = settings.cookie_secure
        self._partitioned = settings.cookie_partitioned
        self._samesite = settings.cookie_samesite
        self._insecure_lan = settings.insecure_lan
        self._site_data = ", ".join(f'"{part}"' for part in settings.clear_site_data).encode("ascii")
        self._name_at = lru_cache(maxsize=256)(self._name_or_none)
        if settings.legacy_cookies:
            self.legacy = LegacyCookies(settings)
        self._told_of_duplicates = False
        self._told_of_insecure_lan = False

    def name_for(self, scheme: str, host: str) -> str:
        """The cookie's name for requests of that scheme and Host header. Raises ConfigurationError where a session cookie would not be safe."""
        if scheme == "https" or self._is_always_secure:
            return self._secure_name
        if self._insecure_lan or is_this_machine(host):
            return self._plain_name
        raise ConfigurationError(
            "A session cookie is not sent over plain http to another machine: whoever shares the network could take the session "
            "over. Serve the application with https; behind a proxy that ends TLS, let the server believe its X-Forwarded-Proto "
            "(uvicorn --proxy-headers --forwarded-allow-ips=..., ProxyFix in Flask). For a trial in a network you trust set SESSILE_INSECURE_LAN=1."
        )

    def _name_or_none(self, scheme: str, host: str) -> str | None:
        try:
            return self.name_for(scheme, host.strip().lower())
        except ConfigurationError:
            return None

    def require_settable(self, scope: Scope) -> None:
        """Raises ConfigurationError when a response to this request cannot carry the session cookie."""
        self.name_for(scheme_of(scope), host_of(scope))

    def check(self, scope: Scope | None = None, response_headers: Headers | None = None) -> list[Finding]:
        """What is wrong or weak, in words, the worst first; empty when all is well. Judges the settings; with a request what arrived with it; with
        the headers of a response what it makes the browser keep. Shows no token, and raises nothing."""
        names = (self._secure_name, self._plain_name)
        findings = judged_settings(self._settings, self._secure_name)
        if scope is not None:
            if self._is_always_secure:
                scope = {**scope, "headers": scope["headers"], "scheme": "https"}
            findings += judged_request(scope, *names, is_lan_allowed=self._insecure_lan)
        if response_headers is not None:
            findings += judged_response(response_headers, names)
        return sorted(findings, key=lambda finding: finding.rank)

    def read(self, scope: Scope) -> CookieFound:
        """The token of the one cookie that has exactly our name. Two of them, or a nameless one that imitates it (CVE-2023-23934),
        are no session: somebody may have planted one, and nothing says which."""
        headers = scope["headers"]
        cookies, hosts = header_values(headers, b"cookie"), header_values(headers, b"host")
        return CookieFound(*self.token_in(scheme_of(scope), hosts[0] if len(hosts) == 1 else "", cookies))

    def token_in(self, scheme: str, host: str, cookies: Sequence[str]) -> tuple[str | None, str]:
        """The same for headers that are picked out already, the only Host and every Cookie: the token, or None and the reason."""
        if not cookies:
            return None, NO_COOKIE
        name = self._name_at(scheme, host)
        if name is None:
            return None, NO_COOKIE
        values, imitated = values_in(cookies, name)
        if imitated or len(values) > 1:
            self._tell_of_duplicates(name)
            return None, DUPLICATE_COOKIE
        return (values[0], "") if values else (None, NO_COOKIE)

    def set_header(self, scope: Scope, token: str, left: timedelta | None) -> bytes:
        """The Set-Cookie value for a token; `left` is what remains until the absolute deadline, or None for a cookie that the browser forgets when it
        is closed. Raises ConfigurationError like `name_for`."""
        name = self.name_for(scheme_of(scope), host_of(scope))
        assert len(name) + len(token) <= PAIR_BYTES_MAX, "a browser would drop this cookie"
        return self._header(scope, name, token, None if left is None else max(0, int(left.total_seconds())))

    def clear_header(self, scope: Scope) -> bytes:
        """The Set-Cookie value that makes the browser forget the token. Raises ConfigurationError like `name_for`."""
        return self._header(scope, self.name_for(scheme_of(scope), host_of(scope)), "", 0)

    def forget_site(self, *, is_secure: bool) -> RawHeaders:
        """What goes with a log-out beside the cookie (ASVS 14.3.1). Over plain http browsers do not listen (Clear Site Data, section 3.1)."""
        if not self._site_data or not (is_secure or self._is_always_secure):
            return []
        return [(b"clear-site-data", self._site_data)]

    def apply(self, scope: Scope, headers: RawHeaders, token: str, left: timedelta) -> None:
        """Appends the Set-Cookie header for a token to the headers of a response. Raises ConfigurationError like `name_for`."""
        headers.append((b"set-cookie", self.set_header(scope, token, left)))

    def clear(self, scope: Scope, headers: RawHeaders) -> None:
        """Appends the Set-Cookie header that makes the browser forget the token. Raises ConfigurationError like `name_for`."""
        headers.append((b"set-cookie", self.clear_header(scope)))

    def _header(self, scope: Scope, name: str, value: str, max_age_s: int | None) -> bytes:
        is_secure = self._is_always_secure or scheme_of(scope) == "https"
        if not is_secure and not self._told_of_insecure_lan and not is_this_machine(host_of(scope)):
            self._told_of_insecure_lan = True
            logger.warning(
                "SESSILE_INSECURE_LAN is on: whoever shares the network can read session cookies.",
                extra={"event_name": "cookie_insecure"},
            )
        # Browsers refuse SameSite=None without Secure.
        samesite = "lax" if self._samesite == "none" and not is_secure else self._samesite
        parts = [f"{name}={value}", f"Path={self._path}"]
        if self._domain is not None:
            parts.append(f"Domain={self._domain}")
        if max_age_s is not None:
            parts.append(f"Max-Age={max_age_s}")
        parts.append("HttpOnly")
        if is_secure:
            parts.append("Secure")
        parts.append(f"SameSite={samesite.capitalize()}")
        if is_secure and self._partitioned:
            parts.append("Partitioned")
        return "; ".join(parts).encode("ascii")

    def _tell_of_duplicates(self, name: str) -> None:
        if not self._told_of_duplicates:
            self._told_of_duplicates = True
            logger.warning(
                "A request carried more than one cookie that claims to be %s; such requests have no session.",
                name,
                extra={"event_name": "cookie_twice"},
            )
