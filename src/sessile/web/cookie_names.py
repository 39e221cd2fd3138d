"""The session cookie's names, and what in a request counts as one (RFC 6265bis; ASVS 5.0 section 3.3)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from sessile.model.errors import ConfigurationError
from sessile.web.asgi import Headers

DEFAULT_NAME: Final = "sessile"
PAIR_BYTES_MAX: Final = 4096
"""RFC 6265bis section 5.6: a browser silently drops a cookie whose name and value are longer."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_PATH: Final = re.compile(r"/[^\x00-\x20;\x7f-\uffff]*")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
PREFIXES: Final = ("__Host-Http-", "__Http-", "__Host-", "__Secure-")
_HOST_PREFIXES: Final = ("__Host-Http-", "__Host-")


@lru_cache(maxsize=256)
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


def values_of(headers: Headers, name: str) -> tuple[list[str], bool]:
    """Values of cookies of exactly that name (prefixed names are compared byte by byte, though browsers ignore their case), and whether
    a nameless cookie imitates it. HTTP/2 may split the cookies over several headers (RFC 9113 section 8.2.3)."""
    return values_in([header.decode("latin-1") for key, header in headers if key.lower() == b"cookie"], name)


def values_in(cookies: Iterable[str], name: str) -> tuple[list[str], bool]:
    """The same for Cookie headers. A pair that counts has the name in it, in whatever case: where that is found once, as nearly always, there is one
    pair to look at, however many cookies a site has."""
    values: list[str] = []
    imitated = False
    lowered = name.lower()
    for header in cookies:
        folded = header.lower()
        at = folded.find(lowered)
        if at < 0:
            continue
        # In Latin-1, which headers are, a letter's other case is one letter, too; in what else a test may put there `at` could be another place.
        if len(folded) == len(header) and folded.find(lowered, at + 1) < 0:
            end = header.find(";", at)
            pairs = [header[header.rfind(";", 0, at) + 1 : end if end >= 0 else None]]
        else:
            pairs = header.split(";")
        for pair in pairs:
            key, _, value = pair.partition("=")
            key = key.strip(" \t")
            if key == name:
                values.append(value.strip(" \t"))
            elif not key and value.lstrip(" \t=").lower().startswith(lowered):
                imitated = True
    return values, imitated


def carries(headers: Headers, names: Iterable[str]) -> bool:
    """Whether there is a cookie of one of these names, whatever it is worth."""
    return any(values or imitated for values, imitated in (values_of(headers, name) for name in names))


def checked_path(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ConfigurationError(
            "SESSILE_COOKIE_PATH: begins with / and has no space, semicolon or letters beyond ASCII"
        )
    return path


def checked_domain(domain: str | None) -> str | None:
    """Without the leading dot that old browsers wanted. Raises ConfigurationError."""
    if domain is None or _DOMAIN.fullmatch(domain.removeprefix(".")):
        return None if domain is None else domain.removeprefix(".")
    raise ConfigurationError(
        "SESSILE_COOKIE_DOMAIN: a domain such as example.org, without a scheme, a port or spaces; leave it out for this very host"
    )


def names_of(name: str, path: str, domain: str | None = None) -> tuple[str, str]:
    """The names under https and on plain http. A name without a prefix gets the strongest one that its path and domain allow."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            "SESSILE_COOKIE_NAME: a cookie's name has letters, digits and !#$%&'*+-.^_`|~ only (RFC 6265)"
        )
    prefix = next((known for known in PREFIXES if name.startswith(known)), "")
    if not prefix and name.lower().startswith(tuple(known.lower() for known in PREFIXES)):
        raise ConfigurationError(
            "SESSILE_COOKIE_NAME: write the prefix exactly as __Host-Http-, __Host-, __Http- or __Secure-"
        )
    if prefix in _HOST_PREFIXES and path != "/":
        raise ConfigurationError(f"SESSILE_COOKIE_PATH: a cookie whose name begins with {prefix} has the path /")
    if prefix in _HOST_PREFIXES and domain is not None:
        raise ConfigurationError(f"SESSILE_COOKIE_DOMAIN: a cookie whose name begins with {prefix} has no domain")
    plain = name.removeprefix(prefix)
    if not plain:
        raise ConfigurationError("SESSILE_COOKIE_NAME: there is nothing after the prefix")
    secure = name if prefix else ("__Host-Http-" if path == "/" and domain is None else "__Secure-") + name
    return secure, plain
