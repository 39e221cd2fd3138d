"""The session cookie: names, attributes, and which cookies of a request are believed."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from sessile.model.errors import ConfigurationError
from sessile.runtime.settings import Settings
from sessile.testing.shows import shows_security
from sessile.web.cookie_findings import Finding
from sessile.web.cookie_names import is_this_machine
from sessile.web.cookies import CookiePolicy
from sessile.web.origins import OriginPolicy

HTTPS = "__Host-Http-sessile"
LEFT = timedelta(hours=1, milliseconds=900)
TOKEN = "01900000-0000-7000-8000-00000000000a." + "A" * 43
DAY_S = 86_400


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


@shows_security("V4.4.1", "N-5")
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
        ("https", {"cookie_domain": ".example.org"}, "__Secure-sessile=t; Path=/; Domain=example.org; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ("http", {"cookie_secure": True}, "__Host-Http-sessile=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ("https", {"cookie_partitioned": True}, "__Host-Http-sessile=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax; Partitioned"),
        ("http", {"cookie_partitioned": True}, "sessile=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        ("http", {"cookie_name": "shop"}, "shop=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        ("https", {"cookie_name": "__Host-shop"}, "__Host-shop=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ("http", {"cookie_name": "__Host-shop"}, "shop=t; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        ("https", {"cookie_name": "shop", "cookie_path": "/shop"}, "__Secure-shop=t; Path=/shop; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
    ],
)  # fmt: skip
@shows_security("V3.3.1", "V3.3.2", "V3.3.4", "K-4", "C-1")
def test_attributes(scheme: str, settings: dict[str, Any], expected: str) -> None:
    header = policy(**settings).set_header(request(scheme=scheme, host="localhost"), "t", LEFT)
    assert header.decode() == expected


def test_clearing_keeps_the_attributes_that_the_prefix_asks_for() -> None:
    header = policy().clear_header(request())
    assert header == b"__Host-Http-sessile=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"


@shows_security("V3.3.5")
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
@shows_security("K-2")
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
@shows_security("K-3", "K-2", "V-19")
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


@shows_security("V-15")
def test_a_token_is_not_in_the_repr() -> None:
    assert "abc" not in repr(policy().read(request(f"{HTTPS}=abc")))


def test_applying_and_clearing_add_one_header_to_those_that_are_there() -> None:
    headers = [(b"content-type", b"text/plain")]
    policy().apply(request(), headers, "t", LEFT)
    policy().clear(request(), headers)
    assert headers == [
        (b"content-type", b"text/plain"),
        (b"set-cookie", policy().set_header(request(), "t", LEFT)),
        (b"set-cookie", policy().clear_header(request())),
    ]
    before = list(headers)
    for give in (
        lambda cookies, scope: cookies.apply(scope, headers, "t", LEFT),
        lambda cookies, scope: cookies.clear(scope, headers),
    ):
        with pytest.raises(ConfigurationError):
            give(policy(), request(scheme="http", host="app.example"))
    assert headers == before


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    assert all(finding.why and finding.cure for finding in findings)
    assert TOKEN[40:] not in repr(findings), "a finding ends up in terminals and tickets"
    return [(finding.severity, finding.what) for finding in findings]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"cookie_samesite": "strict"}, []),
        ({"cookie_samesite": "none"}, [("warning", "cookie_samesite is none.")]),
        ({"insecure_lan": True}, [("warning", "insecure_lan is on.")]),
        ({"cookie_path": "/shop"}, [("warning", "cookie_path is /shop.")]),
        ({"cookie_name": "__Secure-shop"}, [("warning", "The cookie's name does not have the strongest prefix.")]),
        ({"cookie_name": "__Http-shop"}, [("warning", "The cookie's name does not have the strongest prefix.")]),
        ({"cookie_name": "__Host-shop"}, [("note", "The cookie's name does not have the strongest prefix.")]),
        ({"cookie_name": "__Host-Http-shop"}, []),
        ({"remember_timeout_s": 400 * DAY_S}, []),
        ({"remember_timeout_s": 400 * DAY_S + 1}, [("warning", "remember_timeout_s is longer than 400 days.")]),
        ({"absolute_timeout_s": 401 * DAY_S, "remember_timeout_s": 401 * DAY_S},
         [("warning", "absolute_timeout_s is longer than 400 days."), ("warning", "remember_timeout_s is longer than 400 days.")]),
        ({"idle_timeout_s": 300}, []),
        ({"idle_timeout_s": 299}, [("warning", "idle_timeout_s is shorter than five minutes.")]),
        ({"idle_timeout_s": 200, "absolute_timeout_s": 299},
         [("warning", "idle_timeout_s is shorter than five minutes."), ("warning", "absolute_timeout_s is shorter than five minutes.")]),
    ],
)  # fmt: skip
def test_settings_are_judged_in_words(settings: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert told(policy(**settings).check()) == expected


NO_COOKIE_CAME = ("note", f"No cookie {HTTPS} came.")
LOCAL = ("note", "Plain http on this machine.")


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (request(f"a=1; {HTTPS}={TOKEN}"), []),
        (request(), [NO_COOKIE_CAME]),
        (request("sessile=abc"), [NO_COOKIE_CAME, ("note", "A cookie sessile came, which is the name over plain http.")]),
        (request(f"{HTTPS}={TOKEN}", f"{HTTPS}={TOKEN}"), [("error", f"2 cookies named {HTTPS} came.")]),
        (request(f"{HTTPS}={TOKEN}; =__host-http-sessile=x"), [("error", f"A cookie without a name came, whose value begins with {HTTPS}.")]),
        (request(f"{HTTPS}={TOKEN[:-1]}"), [("warning", f"The cookie {HTTPS} holds no token of ours.")]),
        (request(f"sessile={TOKEN}", scheme="http", host="localhost:8000"), [LOCAL]),
        (request(f"sessile={TOKEN}; {HTTPS}={TOKEN}", scheme="http", host="localhost"), [LOCAL]),
        (request(f"sessile={TOKEN}", scheme="ws", host="[::1]:80"), [LOCAL]),
        (request(f"sessile={TOKEN}", scheme="http"), [("error", "Plain http to another machine: no session cookie is set or read.")]),
        (request(f"{HTTPS}={TOKEN}", scheme="http"),
         [("error", "The request counts as plain http, but the browser sent a cookie that it only sends over https."), ("note", "No cookie sessile came.")]),
    ],
)  # fmt: skip
def test_what_arrived_is_judged_in_words(scope: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert told(policy().check(scope)) == expected


def test_a_proxy_that_is_not_believed_is_told_with_the_way_out() -> None:
    scope = request(scheme="http")
    scope["headers"].append((b"x-forwarded-proto", b"https"))
    finding, _ = policy().check(scope)
    assert (finding.severity, finding.what) == (
        "error",
        "The request counts as plain http, but X-Forwarded-Proto says https.",
    )
    assert "SESSILE_TRUSTED_PROXIES" in finding.cure


def test_where_plain_http_is_allowed_the_setting_alone_is_told() -> None:
    lan = policy(insecure_lan=True)
    assert told(lan.check(request(f"sessile={TOKEN}", scheme="http"))) == [("warning", "insecure_lan is on.")]


@pytest.mark.parametrize(
    ("set_cookies", "expected"),
    [
        ([], []),
        (["other=1; Domain=example"], []),
        ([f"{HTTPS}={TOKEN}; Path=/; HttpOnly; Secure"], []),
        ([f"{HTTPS}={TOKEN}; HttpOnly; Secure", f"{HTTPS}=x; httponly; secure"], ["The response sets the session cookie 2 times."]),
        ([f"{HTTPS}=x; HttpOnly; Secure", "sessile=x; HttpOnly"], ["The response sets the session cookie 2 times."]),
        ([f"{HTTPS}=x; HttpOnly; Secure; domain = example"], [f"The cookie {HTTPS} has a Domain attribute."]),
        ([f"{HTTPS}=x; Path=/"], [f"The cookie {HTTPS} has lost Secure and HttpOnly."]),
        (["sessile=x; Path=/; HttpOnly"], []),
        (["sessile=x; Path=/"], ["The cookie sessile has lost HttpOnly."]),
        ([f"{HTTPS}={'x' * (4096 - len(HTTPS))}; HttpOnly; Secure"], []),
        ([f"{HTTPS}={'x' * (4097 - len(HTTPS))}; HttpOnly; Secure"], [f"Name and value of the cookie {HTTPS} have 4097 bytes."]),
    ],
)  # fmt: skip
def test_what_a_response_makes_the_browser_keep_is_judged_in_words(set_cookies: list[str], expected: list[str]) -> None:
    headers = [(b"content-type", b"text/plain"), *((b"Set-Cookie", cookie.encode()) for cookie in set_cookies)]
    assert told(policy().check(response_headers=headers)) == [("error", what) for what in expected]


def test_the_policys_own_headers_are_found_in_order() -> None:
    for scope in (request(f"{HTTPS}={TOKEN}"), request(f"sessile={TOKEN}", scheme="http", host="localhost")):
        for give in ("set", "cleared"):
            headers: list[tuple[bytes, bytes]] = []
            if give == "set":
                policy().apply(scope, headers, TOKEN, LEFT)
            else:
                policy().clear(scope, headers)
            assert [finding for finding in policy().check(scope, headers) if finding.severity != "note"] == []


def test_the_worst_comes_first() -> None:
    findings = policy(cookie_samesite="none").check(
        request(), [(b"set-cookie", f"{HTTPS}=x; Secure; HttpOnly; Domain=a".encode())]
    )
    assert [finding.severity for finding in findings] == ["error", "warning", "note"]


def test_a_cookie_without_an_age_goes_when_the_browser_is_closed() -> None:
    assert policy().set_header(request(), "t", None) == (
        b"__Host-Http-sessile=t; Path=/; HttpOnly; Secure; SameSite=Lax"
    )


@pytest.mark.parametrize("domain", ["https://example.org", "example.org:80", "a b", "", "example.org; Secure"])
def test_a_domain_is_a_domain(domain: str) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_COOKIE_DOMAIN"):
        policy(cookie_domain=domain)


@shows_security("V3.3.3")
def test_a_prefix_that_binds_to_the_host_allows_no_domain() -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_COOKIE_DOMAIN"):
        policy(cookie_name="__Host-shop", cookie_domain="example.org")


@shows_security("V3.3.1")
def test_always_secure_holds_behind_a_proxy_that_the_server_does_not_know_of() -> None:
    behind = request(f"{HTTPS}={TOKEN}", scheme="http")
    assert policy(cookie_secure=True).read(behind).token == TOKEN
    assert policy(cookie_secure=True).check(behind) == []
    assert OriginPolicy(Settings(database_url="memory://", cookie_secure=True)).allows(behind, "https://app.example")
    with pytest.raises(ConfigurationError, match="insecure_lan"):
        policy(cookie_secure=True, insecure_lan=True)


def test_a_shared_domain_is_pointed_out() -> None:
    (finding,) = policy(cookie_domain="example.org").check()
    assert (finding.severity, finding.what) == ("warning", "cookie_domain is example.org.")
