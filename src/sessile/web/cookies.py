"""The session cookie: its name, its attributes, and which cookies of a request are believed (RFC 6265bis; ASVS 5.0 section 3.3).

Under https the name carries the prefix `__Host-Http-`: a browser accepts it only from the server itself, over https, for this very host,
and page script can neither plant nor read it. Plain http can promise none of that, so it works for this machine only.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings
from sessile.web.asgi import Headers, Scope, header_values, host_of, scheme_of

logger = logging.getLogger("sessile.cookies")

DEFAULT_NAME: Final = "sessile"
PAIR_BYTES_MAX: Final = 4096
"""RFC 6265bis section 5.6: a browser silently drops a cookie whose name and value are longer."""
NO_COOKIE: Final = "no_cookie"
DUPLICATE_COOKIE: Final = "duplicate_cookie"
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_PATH: Final = re.compile(r"/[^\x00-\x20;\x7f-\uffff]*")
_PREFIXES: Final = ("__Host-Http-", "__Http-", "__Host-", "__Secure-")
_HOST_PREFIXES: Final = ("__Host-Http-", "__Host-")


@dataclass(frozen=True, slots=True)
class CookieFound:
    """The token in the session cookie, or None and the reason: `no_cookie`, `duplicate_cookie`."""

    token: str | None = field(repr=False)
    reason: str = ""


class CookiePolicy:
    """Raises ConfigurationError for a name or path that browsers would refuse or that is weaker than it looks."""

    def __init__(self, settings: Settings) -> None:
        self._path = _checked_path(settings.cookie_path)
        self._secure_name, self._plain_name = _names(settings.cookie_name or DEFAULT_NAME, self._path)
        self._samesite = settings.cookie_samesite
        self._insecure_lan = settings.insecure_lan
        self._told_of_duplicates = False
        self._told_of_insecure_lan = False

    def name_for(self, scheme: str, host: str) -> str:
        """The cookie's name for requests of that scheme and Host header. Raises ConfigurationError where a session cookie would not be safe."""
        if scheme == "https":
            return self._secure_name
        if self._insecure_lan or is_this_machine(host):
            return self._plain_name
        raise ConfigurationError(
            "A session cookie is not sent over plain http to another machine: whoever shares the network could take the session "
            "over. Serve the application with https; behind a proxy that ends TLS, let the server believe its X-Forwarded-Proto "
            "(uvicorn --proxy-headers --forwarded-allow-ips=...). For a trial in a network you trust set SESSILE_INSECURE_LAN=1."
        )

    def check(self, scope: Scope) -> None:
        """Raises ConfigurationError when a response to this request cannot carry the session cookie."""
        self.name_for(scheme_of(scope), host_of(scope))

    def read(self, scope: Scope) -> CookieFound:
        """The token of the one cookie that has exactly our name. Two of them, or a nameless one that imitates it (CVE-2023-23934),
        are no session: somebody may have planted one, and nothing says which."""
        try:
            name = self.name_for(scheme_of(scope), host_of(scope))
        except ConfigurationError:
            return CookieFound(None, NO_COOKIE)
        values, imitated = _values_of(scope["headers"], name)
        if imitated or len(values) > 1:
            self._tell_of_duplicates(name)
            return CookieFound(None, DUPLICATE_COOKIE)
        return CookieFound(values[0]) if values else CookieFound(None, NO_COOKIE)

    def set_header(self, scope: Scope, token: str, left: timedelta) -> bytes:
        """The Set-Cookie value for a token; `left` is what remains until the absolute deadline. Raises ConfigurationError like `name_for`."""
        name = self.name_for(scheme_of(scope), host_of(scope))
        assert len(name) + len(token) <= PAIR_BYTES_MAX, "a browser would drop this cookie"
        return self._header(scope, name, token, max(0, int(left.total_seconds())))

    def clear_header(self, scope: Scope) -> bytes:
        """The Set-Cookie value that makes the browser forget the token. Raises ConfigurationError like `name_for`."""
        return self._header(scope, self.name_for(scheme_of(scope), host_of(scope)), "", 0)

    def _header(self, scope: Scope, name: str, value: str, max_age_s: int) -> bytes:
        is_secure = scheme_of(scope) == "https"
        if not is_secure and not self._told_of_insecure_lan and not is_this_machine(host_of(scope)):
            self._told_of_insecure_lan = True
            logger.warning("SESSILE_INSECURE_LAN is on: whoever shares the network can read session cookies.")
        # Browsers refuse SameSite=None without Secure.
        samesite = "lax" if self._samesite == "none" and not is_secure else self._samesite
        parts = [f"{name}={value}", f"Path={self._path}", f"Max-Age={max_age_s}", "HttpOnly"]
        if is_secure:
            parts.append("Secure")
        parts.append(f"SameSite={samesite.capitalize()}")
        return "; ".join(parts).encode("ascii")

    def _tell_of_duplicates(self, name: str) -> None:
        if not self._told_of_duplicates:
            self._told_of_duplicates = True
            logger.warning(
                "A request carried more than one cookie that claims to be %s; such requests have no session.", name
            )


def is_this_machine(host: str) -> bool:
    """True for a Host header that browsers treat as this machine: localhost and its names, 127.0.0.0/8, [::1]; and `testserver`,
    which is what test clients call themselves and no network resolves."""
    name = _hostname(host.lower())
    if name in {"localhost", "testserver"} or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str:
    """Without the port, and an IPv6 address without its brackets."""
    if host.startswith("["):
        address, _, rest = host[1:].partition("]")
        return address if rest == "" or rest.startswith(":") else host
    return host.partition(":")[0]


def _values_of(headers: Headers, name: str) -> tuple[list[str], bool]:
    """Values of cookies of exactly that name (prefixed names are compared byte by byte, though browsers ignore their case), and whether
    a nameless cookie imitates it. HTTP/2 may split the cookies over several headers (RFC 9113 section 8.2.3)."""
    values = []
    imitated = False
    for header in header_values(headers, b"cookie"):
        for pair in header.split(";"):
            key, _, value = pair.partition("=")
            key = key.strip(" \t")
            if key == name:
                values.append(value.strip(" \t"))
            elif not key and value.lstrip(" \t=").lower().startswith(name.lower()):
                imitated = True
    return values, imitated


def _checked_path(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ConfigurationError(
            "SESSILE_COOKIE_PATH: begins with / and has no space, semicolon or letters beyond ASCII"
        )
    return path


def _names(name: str, path: str) -> tuple[str, str]:
    """The names under https and on plain http. A name without a prefix gets the strongest one that its path allows."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            "SESSILE_COOKIE_NAME: a cookie's name has letters, digits and !#$%&'*+-.^_`|~ only (RFC 6265)"
        )
    prefix = next((known for known in _PREFIXES if name.startswith(known)), "")
    if not prefix and name.lower().startswith(tuple(known.lower() for known in _PREFIXES)):
        raise ConfigurationError(
            "SESSILE_COOKIE_NAME: write the prefix exactly as __Host-Http-, __Host-, __Http- or __Secure-"
        )
    if prefix in _HOST_PREFIXES and path != "/":
        raise ConfigurationError(f"SESSILE_COOKIE_PATH: a cookie whose name begins with {prefix} has the path /")
    plain = name.removeprefix(prefix)
    if not plain:
        raise ConfigurationError("SESSILE_COOKIE_NAME: there is nothing after the prefix")
    secure = name if prefix else ("__Host-Http-" if path == "/" else "__Secure-") + name
    return secure, plain
