"""The session cookie: names, attributes, and which cookies of a request are believed."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings
from sessile.web.cookies import CookiePolicy, is_this_machine

HTTPS = "__Host-Http-sessile"
LEFT = timedelta(hours=1, milliseconds=900)


def policy(**settings: Any) -> CookiePolicy:
    return CookiePolicy(Settings(database_url="memory://", **settings))


def request(*cookies: str, scheme: str = "https", host: str = "app.example") -> dict[str, Any]:
    headers = [(b"host", host.encode()), *((b"cookie", cookie.encode("latin-1")) for cookie in cookies)]
    return {"type": "http", "scheme": scheme, "headers": headers}


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "a.localhost", "127.0.0.1:80", "127.9.9.9", "[::1]", "[::1]:8000", "testserver", "LOCALHOST"])  # fmt: skip
def test_plain_http_works_on_this_machine(host: str) -> None:
    assert is_this_machine(host)
    assert policy().name_for("http", host) == "sessile"
    assert policy().name_for("https", host) == HTTPS


@pytest.mark.parametrize("host", ["example.org", "192.168.1.5:8000", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "[::2]", "10.0.0.1", "", "testserver.evil.example", "[::1].evil"])  # fmt: skip
def test_plain_http_elsewhere_is_refused_with_the_way_out(host: str) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_INSECURE_LAN") as caught:
        policy().set_header(request(scheme="http", host=host), "t", LEFT)
    assert "https" in caught.value.message
    assert "--proxy-headers" in caught.value.message


def test_a_cookie_is_not_believed_where_it_could_not_have_been_set() -> None:
    found = policy().read(request("sessile=t", scheme="http", host="192.168.1.5"))
    assert (found.token, found.reason) == (None, "no_cookie")


def test_insecure_lan_is_possible_and_said_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    lan = policy(insecure_lan=True)
    with caplog.at_level(logging.WARNING, "sessile.cookies"):
        headers = [lan.set_header(request(scheme="http", host="192.168.1.5"), "t", LEFT) for _ in range(2)]
    assert headers == [b"sessile=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"] * 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("scheme", "settings", "expected"),
    [
        ("https", {}, "__Host-Http-sessile=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ("wss", {}, "__Host-Http-sessile=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ("https", {"cookie_samesite": "strict"}, "__Host-Http-sessile=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Strict"),
        ("https", {"cookie_samesite": "none"}, "__Host-Http-sessile=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=None"),
        ("http", {}, "sessile=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        ("http", {"cookie_samesite": "none"}, "sessile=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        ("https", {"cookie_name": "shop"}, "__Host-Http-shop=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ("http", {"cookie_name": "shop"}, "shop=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        ("https", {"cookie_name": "__Host-shop"}, "__Host-shop=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ("http", {"cookie_name": "__Host-shop"}, "shop=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        ("https", {"cookie_name": "shop", "cookie_path": "/shop"}, "__Secure-shop=t; Path=/shop; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
    ],
)  # fmt: skip
def test_attributes(scheme: str, settings: dict[str, Any], expected: str) -> None:
    header = policy(**settings).set_header(request(scheme=scheme, host="localhost"), "t", LEFT)
    assert header.decode() == expected


def test_clearing_keeps_the_attributes_that_the_prefix_asks_for() -> None:
    header = policy().clear_header(request())
    assert header == b"__Host-Http-sessile=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"


def test_a_pair_that_browsers_would_drop_is_never_sent() -> None:
    with pytest.raises(AssertionError):
        policy().set_header(request(), "t" * 4096, LEFT)


@pytest.mark.parametrize(
    "settings",
    [
        {"cookie_name": "__host-sessile"},
        {"cookie_name": "__HOST-HTTP-sessile"},
        {"cookie_name": "__secure-sessile"},
        {"cookie_name": "__Host-"},
        {"cookie_name": "with space"},
        {"cookie_name": "semi;colon"},
        {"cookie_name": "a=b"},
        {"cookie_name": "x; Domain=example.org"},
        {"cookie_name": "__Host-a", "cookie_path": "/deep"},
        {"cookie_path": "relative"},
        {"cookie_path": "/; Domain=example.org"},
        {"cookie_path": "/\r\nX: y"},
    ],
)
def test_names_and_paths_that_browsers_refuse_are_refused_at_start(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_COOKIE_"):
        policy(**settings)


@pytest.mark.parametrize(
    ("cookies", "token", "reason"),
    [
        ([f"{HTTPS}=abc"], "abc", ""),
        ([f"a=1; {HTTPS}=abc; b=2"], "abc", ""),
        (["a=1", f"{HTTPS}=abc"], "abc", ""),
        ([], None, "no_cookie"),
        (["a=1; flag"], None, "no_cookie"),
        (["sessile=abc"], None, "no_cookie"),
        (["__host-http-sessile=abc"], None, "no_cookie"),
        (["__HOST-Http-sessile=bad; " + HTTPS + "=abc"], "abc", ""),
        ([f"{HTTPS}=abc; {HTTPS}=abc"], None, "duplicate_cookie"),
        ([f"{HTTPS}=abc; {HTTPS}=def"], None, "duplicate_cookie"),
        ([f"{HTTPS}=abc", f"{HTTPS}=def"], None, "duplicate_cookie"),
        ([f"={HTTPS}=bad"], None, "duplicate_cookie"),
        ([f"{HTTPS}=abc; =__host-http-sessile=bad"], None, "duplicate_cookie"),
        ([f"{HTTPS}=abc; =={HTTPS}=bad"], None, "duplicate_cookie"),
        ([f"{HTTPS}="], "", ""),
    ],
)
def test_reading(cookies: list[str], token: str | None, reason: str) -> None:
    found = policy().read(request(*cookies))
    assert (found.token, found.reason) == (token, reason)


def test_two_host_headers_name_no_host() -> None:
    scope = request("sessile=abc", scheme="http", host="localhost")
    scope["headers"].append((b"host", b"localhost"))
    assert policy().read(scope).token is None


def test_duplicates_are_told_once_and_without_values(caplog: pytest.LogCaptureFixture) -> None:
    cookies = policy()
    with caplog.at_level(logging.WARNING, "sessile.cookies"):
        for _ in range(3):
            cookies.read(request(f"{HTTPS}=secret-one; {HTTPS}=secret-two"))
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_a_token_is_not_in_the_repr() -> None:
    assert "abc" not in repr(policy().read(request(f"{HTTPS}=abc")))
