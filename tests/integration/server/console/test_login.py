"""Into the console and out of it: the token, the cookie, and everything that is refused."""

from __future__ import annotations

import re

import pytest

from sessile.model.errors import AuthenticationRequired, ConfigurationError, InvalidValue
from sessile.model.operator_access import Role
from sessile.runtime.settings import Settings
from sessile.server.console import access
from tests.integration.server.console.bench import COOKIE, ORIGIN, console

OWN = {"origin": ORIGIN}


async def test_a_token_is_exchanged_once_for_a_cookie_of_its_own() -> None:
    async with console() as bench, bench.browser() as http:
        page = await http.get("/console/login", params={"next": "sessions?q=user:ada"})
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "script-src" not in page.headers["content-security-policy"]
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert 'value="sessions?q=user:ada"' in page.text
        token = await bench.token(Role.ADMIN)
        form = {"token": f" {token}\n", "next": "sessions?q=user:ada"}
        answer = await http.post("/console/login", data=form, headers=OWN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sessions?q=user:ada")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age=28800"} <= set(cookie.split("; "))
        assert token not in cookie
        again = await bench.browser().post("/console/login", data={"token": token}, headers=OWN)
        assert again.status_code == 401
        assert "used already" in again.text
        assert "set-cookie" not in again.headers
        secret = re.search(r"=([^;]+)", cookie)
        assert secret is not None
        told = repr(await bench.manager.operator_access.credentials()) + str(await bench.acts())
        assert secret[1].partition(".")[2] not in told
        kinds = [act["type"] for act in await bench.acts()]
        assert kinds == ["operator_token_made", "operator_signed_in", "operator_sign_in_refused"]


async def test_what_is_no_token_is_refused_and_noted() -> None:
    async with console() as bench, bench.browser() as http:
        good = await bench.token()
        session = (await bench.manager.create_session("ada")).token
        for wrong in ("", "x", good[:-1] + ("A" if good[-1] != "A" else "B"), session):
            answer = await http.post("/console/login", data={"token": wrong}, headers=OWN)
            assert answer.status_code == 401
            assert "not known" in answer.text
        bench.clock.advance(901)
        late = await http.post("/console/login", data={"token": good}, headers=OWN)
        assert "too old" in late.text
        refused = [act for act in await bench.acts() if act["type"] == "operator_sign_in_refused"]
        assert [act["reason"] for act in refused] == ["unknown"] * 4 + ["expired:absolute"]
        assert [act["by"] for act in refused] == [None] * 4 + ["ada"]


async def test_tries_are_limited_by_address() -> None:
    async with console(login_tries_max=3) as bench, bench.browser() as http:
        answers = [await http.post("/console/login", data={"token": "x"}, headers=OWN) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert answers[-1].headers["retry-after"] == "300"
        good = await bench.token()
        assert (await http.post("/console/login", data={"token": good}, headers=OWN)).status_code == 429
        other = bench.browser("198.51.100.1")
        assert (await other.post("/console/login", data={"token": good}, headers=OWN)).status_code == 303


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "same-site"}]
)
async def test_a_login_from_elsewhere_is_refused(headers: dict[str, str]) -> None:
    async with console() as bench, bench.browser() as http:
        token = await bench.token()
        assert (await http.post("/console/login", data={"token": token}, headers=headers)).status_code == 403
        assert (await http.post("/console/login", data={"token": token}, headers=OWN)).status_code == 303


@pytest.mark.parametrize("going_on", ["//evil.example", "https://evil.example", "/../x", "a\\b", "a\nb", "x" * 900])
async def test_nobody_is_sent_elsewhere(going_on: str) -> None:
    async with console() as bench, bench.browser() as http:
        token = await bench.token()
        answer = await http.post("/console/login", data={"token": token, "next": going_on}, headers=OWN)
        assert answer.headers["location"].startswith("/console/")
        assert "evil.example" not in answer.headers["location"].partition("/console/")[0]
        assert ".." not in answer.headers["location"]


async def test_pages_need_a_session_and_lead_to_the_login() -> None:
    async with console() as bench:
        http = bench.browser()
        answer = await http.get("/console/sessions/x", params={"tab": "devices"})
        assert answer.headers["location"] == "/console/login?next=sessions/x%3Ftab%3Ddevices"
        assert (await http.get("/console")).headers["location"] == "/console/"
        operator = await bench.sign_in()
        page = await operator.http.get("/console/sessions/x?tab=devices")
        assert page.status_code == 200
        assert '<base href="/console/">' in page.text
        csp = page.headers["content-security-policy"]
        assert "script-src 'self'" in csp
        assert "unsafe" not in csp
        assert "frame-ancestors 'none'" in csp
        assert page.headers["cache-control"] == "private, no-store"


async def test_signing_out_ends_it_everywhere() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        stolen = bench.browser()
        stolen.cookies.update(operator.http.cookies)
        assert (await stolen.get("/api/console/overview")).status_code == 200
        answer = await operator.send("DELETE", "/session")
        assert answer.status_code == 204
        assert "Max-Age=0" in answer.headers["set-cookie"]
        refused = await stolen.get("/api/console/overview")
        assert (refused.status_code, refused.json().get("reason")) == (401, "ended:signed_out")
        assert (await bench.acts())[-1]["type"] == "operator_signed_out"


async def test_it_ends_when_nobody_does_anything_and_in_any_case() -> None:
    async with console(console_idle_timeout_s=600, console_absolute_timeout_s=3600) as bench:
        operator = await bench.sign_in()
        for _ in range(5):
            bench.clock.advance(500)
            assert (await operator.get("/session")).status_code == 200
        operator.headers = {"sessile-background": "1"}
        bench.clock.advance(500)
        assert (await operator.get("/overview")).status_code == 200
        bench.clock.advance(500)
        assert (await operator.get("/overview")).json().get("reason") in {"expired:idle", "expired:absolute"}
        second = await bench.sign_in()
        bench.clock.advance(599)
        second.headers = {"sessile-background": "1"}
        assert (await second.get("/overview")).status_code == 200
        bench.clock.advance(1)
        assert (await second.get("/overview")).json().get("reason") == "expired:idle"


async def test_a_users_cookie_is_nothing_here_and_an_operators_nothing_there() -> None:
    async with console() as bench:
        user = await bench.manager.create_session("ada")
        http = bench.browser()
        http.cookies.set("__Host-Http-sessile", user.token)
        http.cookies.set(COOKIE, user.token)
        assert (await http.get("/api/console/overview")).json().get("reason") == "unknown"
        operator = await bench.sign_in()
        theirs = operator.http.cookies[COOKIE]
        http.cookies.set(COOKIE, theirs[:-5] + "AAAAA")
        assert (await http.get("/api/console/overview")).json().get("reason") == "unknown"
        other = bench.browser()
        other.cookies.set("__Host-Http-sessile", theirs)
        assert (await other.get("/api/session_state")).json().get("reason") == "unknown"


async def test_two_cookies_are_none() -> None:
    async with console() as bench:
        operator = await bench.sign_in()
        value = operator.http.cookies[COOKIE]
        http = bench.browser()
        twice = {"cookie": f"{COOKIE}={value}; {COOKIE}={value}"}
        assert (await http.get("/api/console/overview", headers=twice)).json().get("reason") == "duplicate_cookie"


async def test_an_admin_signs_somebody_out_and_takes_a_token_back() -> None:
    async with console() as bench:
        admin, other = await bench.sign_in(Role.ADMIN, "root"), await bench.sign_in(Role.OPERATOR, "bob")
        await bench.token(name="eve")
        listed = (await admin.json("/operators"))["operators"]
        assert {(one["operator"], one["kind"], one["is_current"]) for one in listed} == {
            ("root", "session", True),
            ("bob", "session", False),
            ("eve", "token", False),
        }
        for one in listed:
            if not one["is_current"]:
                assert (await admin.post(f"/operators/{one['id']}/end", reason="left")).status_code == 204
        assert (await other.get("/overview")).json().get("reason") == "ended:revoked"
        assert sorted(act["operator"] for act in await bench.acts() if act["type"] == "operator_ended") == [
            "bob",
            "eve",
        ]


async def test_names_and_lifetimes_are_checked() -> None:
    async with console() as bench:
        known = bench.manager.operator_access
        for name, lifetime_s in (("", 60), ("a b", 60), ("ada", 0), ("ada", 86401), ("x" * 65, 60)):
            with pytest.raises(InvalidValue):
                await known.issue_token(name, Role.ADMIN, lifetime_s=lifetime_s)
        with pytest.raises(AuthenticationRequired):
            await known.authenticate(await bench.token())


async def test_plain_http_is_for_this_machine_only() -> None:
    async with console() as bench:
        far = bench.browser()
        far.base_url = "http://ops.example"
        for path in ("/console/login", "/api/console/overview"):
            refused = await far.get(path)
            assert refused.status_code == 403
            assert refused.json()["code"] == "console_needs_https"
        near = bench.browser()
        near.base_url = "http://127.0.0.1:8000"
        form = {"token": await bench.token()}
        answer = await near.post("/console/login", data=form, headers={"origin": "http://127.0.0.1:8000"})
        assert answer.headers["set-cookie"].startswith("sessile-console=")
        assert "Secure" not in answer.headers["set-cookie"]


def test_it_is_not_served_in_clear_to_a_network() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        access.require_safe_bind(host, Settings())
    for host in ("0.0.0.0", "::", "10.1.2.3", "ops.example"):
        with pytest.raises(ConfigurationError, match="TRUSTED_PROXIES"):
            access.require_safe_bind(host, Settings())
        access.require_safe_bind(host, Settings(trusted_proxies=("10.0.0.1",)))
        with pytest.raises(ConfigurationError, match="insecure_lan"):
            access.require_safe_bind(host, Settings(insecure_lan=True, trusted_proxies=("10.0.0.1",)))


async def test_under_a_prefix() -> None:
    async with console(root_path="/ops") as bench:
        http = bench.browser()
        assert (await http.get("/ops/console/x")).headers["location"] == "/ops/console/login?next=x"
        page = await http.get("/ops/console/login")
        assert '<base href="/ops/console/">' in page.text
        form = {"token": await bench.token(), "next": "audit"}
        answer = await http.post("/ops/console/login", data=form, headers=OWN)
        assert answer.headers["location"] == "/ops/console/audit"
        assert (await http.get("/ops/api/console/overview")).status_code == 200


async def test_it_is_off_unless_it_is_asked_for() -> None:
    async with console(console=False) as bench, bench.browser() as http:
        for path in ("/console/login", "/api/console/session", "/console/static/signin.css"):
            assert (await http.get(path)).status_code == 404


async def test_files_have_a_type_and_a_tag() -> None:
    async with console() as bench, bench.browser() as http:
        answer = await http.get("/console/static/signin.css")
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        again = await http.get("/console/static/signin.css", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        for wrong in ("missing.css", "..%2fpages.py", "signin", "SIGNIN.css"):
            assert (await http.get(f"/console/static/{wrong}")).status_code == 404
