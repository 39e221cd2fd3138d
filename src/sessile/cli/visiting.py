"""What `sessile doctor --url` sees of a running service from outside: cookie, proxy, the browser's bundle, and how it says it is."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from sessile.cli.diagnosis import Diagnosis
from sessile.runtime.settings import Settings
from sessile.web.cookie_names import is_this_machine
from sessile.web.cookies import NO_COOKIE, CookiePolicy

_TIMEOUT_S: Final = 10
_MOUNT: Final = "Put Sessile(app) on the application, and let the proxy pass /api/v0, /ws and /sessile.js"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_given: Any, **_named: Any) -> None:
        """A redirect is an answer like any other."""


def visit(url: str) -> Iterator[Diagnosis]:
    """Asks the service four things, without a session."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield Diagnosis("url", "error", f"{url} is no address.", "", "Write it as https://app.example")
        return
    if parts.scheme == "http" and not is_this_machine(parts.netloc):
        why = "No session cookie is set or read over plain http, except on this machine."
        yield Diagnosis("url", "error", f"{url} is plain http.", why, "Serve it with https")
    try:
        status, headers, body = _get(f"{url.rstrip('/')}/api/v0/session")
    except OSError as error:
        yield Diagnosis("url", "error", f"{url} does not answer: {error}", "Nobody can be served.", "sessile serve")
        return
    settings = Settings()
    yield from _domain(settings, parts.hostname)
    if parts.scheme == "https":
        yield from _scheme(url, settings)
    policy = CookiePolicy(settings)
    for finding in policy.check(None, headers):
        if finding.severity == "error":
            yield Diagnosis("cookie", finding.severity, finding.what, finding.why, finding.cure)
    if status == 404:
        yield Diagnosis("url", "error", "There is no /api/v0.", "Tabs and devices hear nothing of each other.", _MOUNT)
    elif status >= 500:
        told = _problem(body)
        yield Diagnosis(
            "url",
            "error",
            f"The service answers {status}: {told}",
            "Nobody is logged out, and nobody is served.",
            "sessile doctor",
        )
    else:
        yield Diagnosis("url", "ok", f"{url} answers.")
    status, headers, _ = _get(f"{url.rstrip('/')}/sessile.js")
    kinds = [value for name, value in headers if name == b"content-type"]
    if status != 200 or not any(b"javascript" in kind for kind in kinds):
        why = "Pages load it from there; without it tabs are not told of each other."
        yield Diagnosis("tabs", "error", f"/sessile.js answers {status}.", why, _MOUNT)
    else:
        yield Diagnosis("tabs", "ok", "The browser's bundle is there.")
    yield from _readiness(url)


def _domain(settings: Settings, host: str) -> Iterator[Diagnosis]:
    domain = (settings.cookie_domain or "").lstrip(".").lower()
    if domain and host != domain and not host.endswith(f".{domain}"):
        what = f"cookie_domain is {domain}, and {host} is not below it."
        why = "Browsers drop the cookie (RFC 6265bis section 5.7), so nobody stays logged in."
        yield Diagnosis("cookie", "error", what, why, "unset SESSILE_COOKIE_DOMAIN  # and start the service again")


def _scheme(url: str, settings: Settings) -> Iterator[Diagnosis]:
    """A cookie of the name under https is looked at by a service that knows it is behind https, and by no other."""
    name = CookiePolicy(settings).name_for("https", "")
    _, _, body = _get(f"{url.rstrip('/')}/api/v0/session", {"Cookie": f"{name}=asked-by-sessile-doctor"})
    try:
        reason = json.loads(body).get("reason")
    except (ValueError, AttributeError):
        return
    if reason == NO_COOKIE:
        what = "The service takes requests for plain http: what ends TLS before it does not say so, or is not believed."
        why = "The cookie of https is not looked for, so nobody stays logged in."
        cure = "export SESSILE_COOKIE_SECURE=1  # and start the service again"
        yield Diagnosis("proxy", "error", what, why, cure)


def _readiness(url: str) -> Iterator[Diagnosis]:
    status, _, body = _get(f"{url.rstrip('/')}/readyz")
    if status == 404:
        return  # an application has its own
    try:
        told = json.loads(body)
    except ValueError:
        return
    link = _within(_within(_within(told, "cache"), "link"), "state")
    pool = _figures(_within(_within(told, "store"), "pool"))
    if pool and pool["in_use"] >= pool["size_max"] and (status == 503 or pool["waiting"]):
        yield _exhausted(pool, is_away=status == 503)
    elif status == 503 and _within(told, "status") == "draining":
        yield Diagnosis(
            "ready", "error", "The service is draining.", "It is being stopped, and takes no work.", "sessile serve"
        )
    elif status == 503:
        yield Diagnosis("ready", "error", "The service has no database.", "It takes no work.", "sessile db check")
    elif link == "down":
        why = "The running process has its breaker open: the database answers everything."
        yield Diagnosis("breaker", "warning", "The service's way to Redis is down.", why, "systemctl start redis")


def _within(told: Any, name: str) -> Any:
    """What it has under that name: an application's own page may look in any way."""
    return told.get(name) if isinstance(told, dict) else None


def _figures(pool: Any) -> Mapping[str, int] | None:
    found = {name: _within(pool, name) for name in ("size", "in_use", "size_max", "waiting")}
    return found if all(isinstance(value, int) for value in found.values()) else None


def _exhausted(pool: Mapping[str, int], *, is_away: bool) -> Diagnosis:
    """Its figures, and the setting."""
    what = (
        f"The service's pool is exhausted: {pool['in_use']} of {pool['size_max']} connections to the database in use "
        f"({pool['size']} open), {pool['waiting']} callers wait. pool_size is {pool['size_max']}."
    )
    why = (
        "Who gets none within pool_timeout_s is answered 503, and nobody is logged out. If the load is as ever, something holds connections for long (locks, slow "
        "statements: pg_stat_activity), and a larger pool only puts it off."
    )
    cure = f"export SESSILE_POOL_SIZE={2 * pool['size_max']}  # and start the service again"
    return Diagnosis("pool", "error" if is_away else "warning", what, why, cure)


def _get(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers, body. Raises OSError when nobody answers."""
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"Accept": "application/json", **headers})  # noqa: S310 - its scheme was looked at
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return answer.status, _headers(answer.headers), answer.read(1_000_000)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _headers(error.headers), error.read(1_000_000)


def _headers(given: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in given.items()]


def _problem(body: bytes) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return "something that is not JSON"
    return str(told.get("detail") or told.get("title") or told) if isinstance(told, dict) else "something unknown"
