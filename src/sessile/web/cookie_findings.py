"""What is wrong with the session cookie, in words: with its settings, in a request, in a response.

The measures are those of ASVS 5.0 section 3.3 (prefix, `Secure`, `SameSite`, `HttpOnly`, size) and of RFC 6265bis: section 4.1.3 for the
prefixes, 5.5 for the longest life that browsers grant, 5.6 for the size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sessile.model import token as tokens
from sessile.model.errors import SessionNotFound
from sessile.runtime.settings import Settings
from sessile.web.asgi import Headers, Scope, header_values, host_of, scheme_of
from sessile.web.cookie_names import PAIR_BYTES_MAX, PREFIXES, is_this_machine, values_of

LIFETIME_S_MAX: Final = 400 * 86400
"""RFC 6265bis section 5.5: browsers cut a longer Max-Age to this."""
LIFETIME_S_MIN: Final = 300
_RANKS: Final = ("error", "warning", "note")
_TRUST: Final = (
    "Let the server believe the proxy: SESSILE_TRUSTED_PROXIES for `sessile serve`, --proxy-headers --forwarded-allow-ips for uvicorn; and let the "
    "proxy send X-Forwarded-Proto."
)
_PREFIX_WEAKNESS: Final = {
    "__Host-": "page script can set a cookie of this name, which it cannot with __Host-Http-",
    "__Http-": "another host of the same domain can set a cookie of this name, which it cannot with __Host-Http-",
    "__Secure-": "page script and other hosts of the same domain can set a cookie of this name",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: sessions do not work, or are open to others. `warning`: they are weaker or shorter than they need be. `note`: good to know."""

    severity: Literal["error", "warning", "note"]
    what: str
    why: str
    cure: str

    @property
    def rank(self) -> int:
        """For sorting: errors are 0."""
        return _RANKS.index(self.severity)


def judged_settings(settings: Settings, secure_name: str) -> list[Finding]:
    """What the settings alone show. `secure_name` is the name under https."""
    findings = [*_of_name(secure_name, settings.cookie_path, settings.cookie_domain), *_of_lifetimes(settings)]
    if settings.cookie_samesite == "none":
        findings.append(
            Finding(
                "warning",
                "cookie_samesite is none.",
                "Every site can make a browser send the cookie along, and several browsers keep it back from frames altogether (ASVS 3.3.2).",
                "Use lax. Where the application does live in another site's frame, put require_same_origin on every route that changes something.",
            )
        )
    if settings.insecure_lan:
        findings.append(
            Finding(
                "warning",
                "insecure_lan is on.",
                "Over plain http whoever shares the network reads the cookie and has the session (ASVS 3.3.1).",
                "Serve with https and take SESSILE_INSECURE_LAN out.",
            )
        )
    return findings


def _of_name(name: str, path: str, domain: str | None) -> list[Finding]:
    findings = []
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")  # Django names its cookie itself
    if domain is not None:
        findings.append(
            Finding(
                "warning",
                f"cookie_domain is {domain}.",
                "Every host below it gets the cookie and can act for the user, and each of them can plant one (ASVS 3.3.3).",
                "Leave it out unless several of these hosts are to share the session.",
            )
        )
    if path != "/":
        findings.append(
            Finding(
                "warning",
                f"cookie_path is {path}.",
                "A path keeps nobody out: a page at another path of this host can open one below it in a frame. And the name cannot begin with __Host-, so "
                "other hosts of the same domain can plant a cookie (ASVS 3.3.3).",
                "Give the application a host of its own and leave cookie_path at /.",
            )
        )
    elif domain is None and prefix in _PREFIX_WEAKNESS:
        severity: Literal["warning", "note"] = "note" if prefix == "__Host-" else "warning"
        why = f"With {prefix} in front, {_PREFIX_WEAKNESS[prefix]} (RFC 6265bis section 4.1.3)."
        cure = "Leave the prefix out of cookie_name: the strongest one that the path allows is put in front."
        findings.append(Finding(severity, "The cookie's name does not have the strongest prefix.", why, cure))
    return findings


def _of_lifetimes(settings: Settings) -> list[Finding]:
    too_long = [
        Finding(
            "warning",
            f"{name} is longer than 400 days.",
            "Browsers forget any cookie after 400 days (RFC 6265bis section 5.5), so the session ends for people before it ends here.",
            f"Make {name} at most {LIFETIME_S_MAX}.",
        )
        for name in ("absolute_timeout_s", "remember_timeout_s")
        if getattr(settings, name) > LIFETIME_S_MAX
    ]
    too_short = [
        Finding(
            "warning",
            f"{name} is shorter than five minutes.",
            "People are logged out while they read a page or fill in a form.",
            f"Make {name} at least {LIFETIME_S_MIN}, or ask for a recent log-in where it matters (require_fresh).",
        )
        for name in ("idle_timeout_s", "absolute_timeout_s")
        if getattr(settings, name) < LIFETIME_S_MIN
    ]
    return too_long + too_short


def judged_request(scope: Scope, secure_name: str, plain_name: str, *, is_lan_allowed: bool) -> list[Finding]:
    """What arrived: which cookies, by which scheme, on which host."""
    is_secure = scheme_of(scope) == "https"
    name, other = (secure_name, plain_name) if is_secure else (plain_name, secure_name)
    values, imitated = values_of(scope["headers"], name)
    others, _ = values_of(scope["headers"], other)
    findings = [] if is_secure else _of_plain_http(scope, came_secure=bool(others), is_lan_allowed=is_lan_allowed)
    findings += _of_cookies(name, values, imitated)
    if is_secure and others:
        findings.append(
            Finding(
                "note",
                f"A cookie {other} came, which is the name over plain http.",
                "It could have been set by anybody on the way, so it is not believed under https.",
                "Nothing: whoever had a session over http logs in once more. Redirect http to https.",
            )
        )
    return findings


def _of_plain_http(scope: Scope, *, came_secure: bool, is_lan_allowed: bool) -> list[Finding]:
    is_local = is_this_machine(host_of(scope))
    behind_proxy = header_values(scope["headers"], b"x-forwarded-proto") == ["https"]
    if behind_proxy or (came_secure and not is_local):
        sign = (
            "X-Forwarded-Proto says https"
            if behind_proxy
            else "the browser sent a cookie that it only sends over https"
        )
        what = f"The request counts as plain http, but {sign}."
        why = "A proxy ends TLS and the server does not believe what it says about it, so the cookie of the other scheme is looked for."
        return [Finding("error", what, why, _TRUST)]
    if is_local:
        why = "Browsers take Secure cookies only over https, so there is neither Secure nor a prefix here. Only this machine is served like that."
        return [Finding("note", "Plain http on this machine.", why, "Nothing: under https the strong name is used.")]
    if is_lan_allowed:
        return []  # the settings have their finding already
    return [
        Finding(
            "error",
            "Plain http to another machine: no session cookie is set or read.",
            "Whoever shares the network could take the session over (ASVS 3.3.1).",
            f"Serve with https. Behind a proxy that ends TLS: {_TRUST}",
        )
    ]


def _of_cookies(name: str, values: Sequence[str], imitated: bool) -> list[Finding]:
    findings = []
    if imitated:
        findings.append(
            Finding(
                "error",
                f"A cookie without a name came, whose value begins with {name}.",
                "Some servers read it as a cookie of that name; somebody may have planted it (CVE-2023-23934). Such a request has no session.",
                "Delete this site's cookies in the browser. If it comes back, look for a neighbouring host or a script that sets it.",
            )
        )
    if len(values) > 1:
        findings.append(
            Finding(
                "error",
                f"{len(values)} cookies named {name} came.",
                "Nothing says which one is genuine, so such a request has no session. They were set for different paths or domains.",
                "Delete this site's cookies in the browser, and find who else sets one of that name.",
            )
        )
    if not values:
        findings.append(
            Finding(
                "note",
                f"No cookie {name} came.",
                "It is a first visit, or the visitor logged out; or it was set for another host name; or the browser keeps it back: from a page of "
                "another site, from a fetch without credentials, or because cookies are blocked.",
                "Compare the host name with the one that logged in, character by character, and look at the browser's list of cookies.",
            )
        )
    elif not all(_is_token(value) for value in values):
        findings.append(
            Finding(
                "warning",
                f"The cookie {name} holds no token of ours.",
                "It was cut short or changed on the way, or another application on this host sets a cookie of that name.",
                "Give this application a cookie_name of its own.",
            )
        )
    return findings


def _is_token(value: str) -> bool:
    try:
        tokens.parse(value)
    except SessionNotFound:
        return False
    return True


def judged_response(headers: Headers, names: Sequence[str]) -> list[Finding]:
    """What the headers of a response make the browser keep under one of these names."""
    cookies = [pair for value in header_values(headers, b"set-cookie") if (pair := _parsed(value))[0] in names]
    findings = []
    if len(cookies) > 1:
        findings.append(
            Finding(
                "error",
                f"The response sets the session cookie {len(cookies)} times.",
                "Which one the browser keeps depends on their order and attributes (RFC 6265bis section 4.1.1).",
                "Leave the cookie to Sessile: take out what else sets one of this name, or rename that one.",
            )
        )
    for name, value, attributes in cookies:
        findings += _of_set_cookie(name, value, attributes)
    return findings


def _of_set_cookie(name: str, value: str, attributes: frozenset[str]) -> list[Finding]:
    findings = []
    if "domain" in attributes:
        findings.append(
            Finding(
                "error",
                f"The cookie {name} has a Domain attribute.",
                "Every host below that domain gets the token; with a __Host- prefix the browser drops the cookie (ASVS 3.3.3).",
                "Find the proxy or middleware that adds it (nginx: proxy_cookie_domain). Sessile sends none.",
            )
        )
    missing = [attribute for attribute in ("Secure", "HttpOnly") if attribute.lower() not in attributes]
    if not name.startswith(PREFIXES):
        missing = [attribute for attribute in missing if attribute != "Secure"]  # that name is the one over plain http
    if missing:
        findings.append(
            Finding(
                "error",
                f"The cookie {name} has lost {' and '.join(missing)}.",
                "Without Secure it goes out over plain http, and browsers drop the prefixed name; without HttpOnly page script reads it (ASVS 3.3.1, 3.3.4).",
                "Find the proxy or middleware that rewrites Set-Cookie.",
            )
        )
    if len(name) + len(value) > PAIR_BYTES_MAX:
        findings.append(
            Finding(
                "error",
                f"Name and value of the cookie {name} have {len(name) + len(value)} bytes.",
                f"Browsers drop a cookie over {PAIR_BYTES_MAX} bytes and say nothing (RFC 6265bis section 5.6, ASVS 3.3.5).",
                "Find what adds to the value: a token of Sessile has 80 bytes.",
            )
        )
    return findings


def _parsed(header: str) -> tuple[str, str, frozenset[str]]:
    """Name, value, and the names of the attributes in lower case (RFC 6265bis section 5.6)."""
    pair, *attributes = header.split(";")
    name, _, value = pair.partition("=")
    return (
        name.strip(" \t"),
        value.strip(" \t"),
        frozenset(part.partition("=")[0].strip(" \t").lower() for part in attributes),
    )
