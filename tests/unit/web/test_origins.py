"""Where requests come from: the matrix of ASVS 4.4.2 and 3.5."""

from __future__ import annotations

from typing import Any

import pytest

from sessile.model.errors import ConfigurationError, CsrfFailed, OriginRefused
from sessile.runtime.settings import Settings
from sessile.testing.shows import shows_security
from sessile.web.origins import OriginPolicy

COOKIE = (b"cookie", b"__Host-Http-sessile=whatever")
OWN = "https://app.example"


def policy(*allowed: str) -> OriginPolicy:
    return OriginPolicy(Settings(database_url="memory://", allowed_origins=allowed))


def scope(*headers: tuple[bytes, bytes], method: str = "POST", kind: str = "http", host: str = "app.example") -> dict[str, Any]:  # fmt: skip
    scheme = "https" if kind == "http" else "wss"
    return {"type": kind, "method": method, "scheme": scheme, "headers": [(b"host", host.encode()), *headers]}


def origin(text: str) -> tuple[bytes, bytes]:
    return (b"origin", text.encode())


REFUSED = [
    "http://app.example",
    "https://app.example:8443",
    "https://sub.app.example",
    "https://app.example.evil.example",
    "https://evilapp.example",
    "https://evil.example/https://app.example",
    "https://app.example/",
    "https://app.example@evil.example",
    "HTTPS://app.example",
    "https://APP.example",
    "https://xn--pp-example-9za.example",
    "null",
    "",
    " https://app.example",
    "https://app.example https://app.example",
    "*",
]


@pytest.mark.parametrize("text", REFUSED)
@shows_security("V3.5.1", "V4.4.2", "V-16")
def test_foreign_origins_are_refused(text: str) -> None:
    with pytest.raises(OriginRefused):
        policy().check_unsafe(scope(COOKIE, origin(text)))
    with pytest.raises(OriginRefused):
        policy().check_socket(scope(COOKIE, origin(text), kind="websocket"), has_token=False)
    with pytest.raises(OriginRefused):
        policy().check_socket(scope(origin(text), kind="websocket"), has_token=True)


@pytest.mark.parametrize("text", REFUSED)
@shows_security("V3.5.1")
def test_a_foreign_origin_is_refused_though_fetch_metadata_say_otherwise(text: str) -> None:
    with pytest.raises(OriginRefused):
        policy().check_unsafe(scope(COOKIE, origin(text), (b"sec-fetch-site", b"same-origin")))


def test_the_own_origin_and_exact_members_of_the_list_pass() -> None:
    for text in (OWN, "https://partner.example:8443"):
        policy("https://partner.example:8443").check_unsafe(scope(COOKIE, origin(text)))
        policy("https://partner.example:8443").check_socket(
            scope(COOKIE, origin(text), kind="websocket"), has_token=False
        )


def test_the_own_origin_follows_the_host_header_and_its_port() -> None:
    policy().check_unsafe(scope(COOKIE, origin("https://app.example:8443"), host="APP.example:8443"))
    with pytest.raises(OriginRefused):
        policy().check_unsafe(scope(COOKIE, origin(OWN), host="app.example:8443"))


@pytest.mark.parametrize("second", [OWN, "https://evil.example"])
@shows_security("V4.4.2")
def test_two_origin_headers_are_refused(second: str) -> None:
    with pytest.raises(OriginRefused):
        policy().check_unsafe(scope(COOKIE, origin(OWN), origin(second)))


def test_without_a_host_there_is_no_own_origin() -> None:
    nameless = scope(COOKIE, origin("https://"))
    nameless["headers"] = nameless["headers"][1:]
    with pytest.raises(OriginRefused):
        policy().check_unsafe(nameless)


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"none", b"Same-Origin", b""])
@shows_security("V3.7.5", "C-12")
def test_without_origin_only_a_same_origin_fetch_passes(site: bytes) -> None:
    policy().check_unsafe(scope(COOKIE, (b"sec-fetch-site", b"same-origin")))
    with pytest.raises(CsrfFailed):
        policy().check_unsafe(scope(COOKIE, (b"sec-fetch-site", site)))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
@shows_security("V3.7.5", "C-12")
def test_neither_header_with_a_cookie_is_refused(method: str) -> None:
    with pytest.raises(CsrfFailed):
        policy().check_unsafe(scope(COOKIE, method=method))


def test_two_cookies_of_our_name_are_still_a_cookie() -> None:
    with pytest.raises(CsrfFailed):
        policy().check_unsafe(scope((b"cookie", b"__Host-Http-sessile=a; __Host-Http-sessile=b")))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_pass(method: str) -> None:
    policy().check_unsafe(scope(COOKIE, origin("https://evil.example"), method=method))


def test_a_bearer_token_is_nothing_that_a_browser_adds() -> None:
    policy().check_unsafe(scope(COOKIE, (b"authorization", b"Bearer abc")))
    with pytest.raises(CsrfFailed):
        policy().check_unsafe(scope(COOKIE, (b"authorization", b"Basic YTpi")))
    with pytest.raises(CsrfFailed):
        policy().check_unsafe(scope(COOKIE, (b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")))


def test_without_any_credential_there_is_nothing_to_forge() -> None:
    policy().check_unsafe(scope())
    with pytest.raises(OriginRefused):
        policy().check_unsafe(scope(origin("https://evil.example")))


@shows_security("V4.4.2")
def test_a_socket_without_origin_needs_a_token() -> None:
    policy().check_socket(scope(kind="websocket"), has_token=True)
    with pytest.raises(OriginRefused):
        policy().check_socket(scope(kind="websocket"), has_token=False)


EVENT_SOURCE = (b"accept", b"text/event-stream")


def fetched(site: bytes) -> tuple[bytes, bytes]:
    return (b"sec-fetch-site", site)


def test_a_stream_of_the_own_pages_passes() -> None:
    for own in ((EVENT_SOURCE,), (EVENT_SOURCE, fetched(b"same-origin")), (fetched(b"same-origin"),), (origin(OWN),)):
        policy().check_stream(scope(COOKIE, *own, method="GET"), has_token=False)
    policy("https://partner.example").check_stream(scope(COOKIE, origin("https://partner.example")), has_token=False)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"accept", b"text/html,*/*;q=0.8"),),
        *((EVENT_SOURCE, fetched(site)) for site in (b"cross-site", b"same-site", b"none", b"Same-Origin", b"")),
        (EVENT_SOURCE, fetched(b"same-origin"), fetched(b"cross-site")),
        *((EVENT_SOURCE, fetched(b"same-origin"), origin(text)) for text in REFUSED),
        (EVENT_SOURCE, origin(OWN), origin(OWN)),
    ],
)
def test_a_stream_that_another_site_could_begin_is_refused(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(OriginRefused):
        policy().check_stream(scope(COOKIE, *headers, method="GET"), has_token=False)


def test_a_stream_with_a_token_is_nothing_that_a_browser_begins_by_itself() -> None:
    policy().check_stream(scope(method="GET"), has_token=True)
    with pytest.raises(OriginRefused):
        policy().check_stream(scope(origin("https://evil.example"), method="GET"), has_token=True)


@pytest.mark.parametrize("text", ["https://app.example/", "https://*.example", "*", "null", "app.example", "HTTPS://app.example", "https://app.example:443", "http://app.example:80", "ftp://app.example", "https://app.example/path", "https://", "https://a b"])  # fmt: skip
@shows_security("V3.4.2")
def test_a_list_entry_that_no_browser_sends_is_refused_at_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_ALLOWED_ORIGINS"):
        policy(text)


@pytest.mark.parametrize("text", ["https://app.example", "http://localhost:5173", "https://[::1]:8443", "http://127.0.0.1:8000", "https://app.example:8443"])  # fmt: skip
def test_list_entries_as_browsers_send_them(text: str) -> None:
    policy(text).check_unsafe(scope(COOKIE, origin(text)))
