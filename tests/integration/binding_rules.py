"""The server's checklist for device bound sessions, D-1 to D-17 (the scenarios of the Web Platform Tests one by one), for an application in any framework; `make_shop` says which one. What only a browser can show
is in tests/e2e/test_device_binding.py; what only rows can show (failover, races) in the store contract's group `bindings`."""

from __future__ import annotations

import base64
import json
from contextlib import AbstractContextManager
from typing import Any

import pytest

from sessile.testing.device_key import DeviceKey, encoded
from sessile.testing.shows import shows_security
from sessile.web.binding import REFRESH_PATH, REGISTRATION_PATH
from tests.integration.soft_browser import BOUND, ORIGIN, Shop, SoftBrowser

TTL_S, GRACE_S = 600, 30


def decoded(part: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return loaded


class BindingRules:
    def make_shop(self, **settings: Any) -> AbstractContextManager[Shop]:
        raise NotImplementedError

    @shows_security("D-1", "D-17.1", "D-17.4", "D-17.11")
    def test_d1_a_log_in_alone_is_offered_a_binding(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop)
            answer = browser.login()
            offer = answer.one("secure-session-registration")
            assert offer.startswith("(ES256 RS256);")
            assert browser.offer is not None
            assert set(browser.offer.parameters) == {"path", "challenge", "authorization"}
            assert browser.token not in offer
            assert browser.register().status == 200
            assert not browser.login().all("secure-session-registration"), "it has one"
            assert not shop.login({"Host": "localhost"} | {"X-Plain": "1"}).all("secure-session-registration")
        with self.make_shop(dbsc=False) as shop:
            assert not SoftBrowser(shop).login().all("secure-session-registration")

    @pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
    @shows_security("D-2")
    def test_d2_what_a_browser_signs_is_good(self, algorithm: str) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop, algorithm=algorithm)
            browser.login()
            assert browser.register(browser.proof(aud=ORIGIN + REGISTRATION_PATH)).status == 200
            assert browser.challenge is not None
            assert browser.refresh(f'"{browser.key.refresh(browser.challenge)}"').status == 200, "quoted, as specified"

    @shows_security("D-2", "V9.1.2")
    def test_d2_anything_else_is_refused(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop)
            browser.login()
            good, other = browser.proof(), DeviceKey()
            head, body, signature = good.split(".")
            header, payload = decoded(head), decoded(body)
            again = json.dumps(payload)
            der = encoded(base64.urlsafe_b64decode(signature + "==") + b"\0")
            bad = {
                "unsigned": f"{encoded(json.dumps({**header, 'alg': 'none'}).encode())}.{body}.",
                "none": browser.key.signed({**header, "alg": "none"}, payload),
                "symmetric": browser.key.signed({**header, "alg": "HS256"}, payload),
                "type": browser.key.signed({**header, "typ": "jwt"}, payload),
                "critical": browser.key.signed({**header, "crit": ["x"]}, payload),
                "no key": browser.key.signed({k: v for k, v in header.items() if k != "jwk"}, payload),
                "private key": browser.key.signed({**header, "jwk": {**header["jwk"], "d": "AA"}}, payload),
                "off the curve": browser.key.signed(
                    {**header, "jwk": {**header["jwk"], "y": header["jwk"]["x"]}}, payload
                ),
                "another key": browser.key.signed({**header, "jwk": other.jwk}, payload),
                "twice": browser.key.signed(header, '{"jti":"x",' + again[1:]),
                "signature": f"{head}.{body}.{der}",
                "padding": good + "=",
                "size": browser.key.signed(header, {**payload, "x": "a" * 7000}),
                "address": browser.key.signed(header, {**payload, "aud": "https://evil.example/"}),
                "expired": browser.key.signed(header, {**payload, "exp": shop.now_s() - 1}),
                "deep": browser.key.signed(header, '{"jti":' + "[" * 2500),
                "nothing": "a.b.c",
            }
            for name, proof in bad.items():
                answer = browser.register(proof)
                assert (answer.status, answer.all("set-cookie")) == (403, []), name
            assert browser.register(good).status == 200, "and none of it left a trace"
            assert browser.challenge is not None
            challenge = browser.challenge
            wrong = [
                browser.key.signed({"alg": "ES256", "typ": "dbsc+jwt", "jwk": browser.key.jwk}, {"jti": challenge}),
                other.signed({"alg": "ES256", "typ": "dbsc+jwt", "jwk": other.jwk}, {"jti": challenge}),
                other.refresh(challenge),
                browser.key.refresh(challenge, aud="https://evil.example/"),
            ]
            for proof in wrong:
                answer = browser.refresh(proof)
                assert (answer.status, answer.all("set-cookie")) == (403, [])
                assert answer.all("secure-session-challenge"), "without one the browser would give up"
            assert browser.refresh(browser.key.refresh(challenge)).status == 200

    @shows_security("D-3", "D-17.11")
    def test_d3_a_registration_is_for_its_own_session_once_and_in_time(self) -> None:
        with self.make_shop() as shop:
            ada, other = SoftBrowser(shop), SoftBrowser(shop)
            ada.login()
            other.login()
            assert other.register(ada.proof()).json["code"] == "binding_refused"
            mixed = ada.key.register(ada.offer.parameters["challenge"], other.offer.parameters["authorization"])  # type: ignore[union-attr]
            assert ada.register(mixed).status == 403
            proof = ada.proof()
            shop.advance(301)
            late = ada.register(proof)
            assert (late.status, late.json["reason"]) == (403, "challenge")
            assert "device_registered" not in shop.audited(ada.handle)
            ada = SoftBrowser(shop)
            ada.login()
            proof = ada.proof()
            assert ada.register(proof).status == 200
            for again in (proof, ada.proof()):
                assert ada.register(again).json["reason"] == "bound"

    @shows_security("D-4", "D-17.9")
    def test_d4_what_is_unknown_or_over_is_told_to_be_forgotten(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            assert browser.instructions is not None
            known = browser.instructions["session_identifier"]
            for name in ("sid-1", known[:-1] + ("A" if known[-1] != "A" else "B"), browser.handle):
                answer = browser.refresh(**{"Sec-Secure-Session-Id": name})
                assert (answer.status, answer.json) == (200, {"session_identifier": name, "continue": False})
                assert not answer.all("set-cookie")
            shop.end(browser.handle)
            answer = browser.refresh()
            assert (answer.status, answer.json) == (200, {"session_identifier": known, "continue": False})
            assert not answer.all("set-cookie")

    @shows_security("D-5", "D-17.5", "D-17.7")
    def test_d5_an_earlier_challenge_is_good_for_a_while_and_a_used_one_is_replaced(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            assert browser.challenge is not None
            early, browser.challenge = browser.challenge, None
            assert browser.refresh().status == 403
            proof = browser.key.refresh(early)
            assert browser.refresh(proof).status == 200
            assert browser.refresh(proof).status == 403
            assert browser.refresh().status == 200, "one 403, never five in a row"
            shop.advance(301)
            assert [browser.refresh().status, browser.refresh().status] == [403, 200]

    @shows_security("D-7")
    def test_d7_the_cookie_before_is_good_for_a_moment_and_then_a_sign_of_theft(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            copy = dict(browser.jar)
            shop.advance(TTL_S - 60)
            while browser.refresh().status != 200:
                pass
            thief = SoftBrowser(shop)
            thief.jar = copy
            assert thief.user() is not None, "perhaps the answer is still under way"
            assert browser.user() is not None
            shop.advance(GRACE_S)
            for _ in range(2):
                assert thief.user() is None
            assert browser.user() is not None
            assert shop.audited(browser.handle).count("device_cookie_reuse") == 1

    @shows_security("D-7")
    def test_d7_late_use_ends_the_session_where_that_is_the_policy(self) -> None:
        with self.make_shop(end_on_late_use=True) as shop:
            browser = SoftBrowser(shop).bind()
            copied = browser.jar[BOUND][0]
            shop.advance(TTL_S + GRACE_S)
            while browser.refresh().status != 200:
                pass
            thief = SoftBrowser(shop)
            thief.jar = {**browser.jar, BOUND: (copied, 1e12)}
            assert thief.user() is None
            assert browser.user() is None
            assert browser.refresh().json["continue"] is False

    @shows_security("D-8")
    def test_d8_a_copy_of_all_cookies_is_worth_something_until_the_bound_one_ends(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            thief = SoftBrowser(shop)
            thief.jar = {name: (value, 1e12) for name, (value, _) in browser.jar.items()}
            thief.instructions, thief.challenge = browser.instructions, browser.challenge
            worked_s = 0
            while thief.user() is not None:
                shop.advance(10)
                worked_s += 10
                assert thief.refresh().status == 403, "it has no key"
            assert worked_s == TTL_S + GRACE_S
            thief.login()
            assert thief.user() is not None, "who knows the password gets a session, and not this one"
            assert thief.handle != browser.handle

    @shows_security("D-9")
    def test_d9_a_refresh_moves_no_deadline(self) -> None:
        with self.make_shop(idle_timeout_s=400) as shop:
            browser = SoftBrowser(shop).bind()
            for _ in range(2):
                shop.advance(150)
                assert browser.refresh().status == 200
            shop.advance(110)
            assert browser.refresh().json["continue"] is False
            assert browser.user() is None

    @shows_security("D-10", "D-17.9")
    def test_d10_an_end_ends_the_binding_at_once(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            shop.end(browser.handle)
            assert browser.user() is None
            assert browser.refresh().json["continue"] is False

    @shows_security("D-11")
    def test_d11_nothing_is_asked_before_the_first_refresh_nor_of_other_browsers(self) -> None:
        with self.make_shop() as shop:
            plain = SoftBrowser(shop, knows=False)
            plain.login()
            pending = SoftBrowser(shop)
            pending.login()
            pending.register()
            pending.drop()
            for _ in range(3):
                shop.advance(500)
                assert plain.user() is not None
                assert pending.user() is not None
            assert "device_unbound" in shop.audited(pending.handle)
            assert pending.login().all("secure-session-registration"), "it may try again"

    @pytest.mark.parametrize("policy", ["allow", "step_up", "deny"])
    @shows_security("D-12")
    def test_d12_what_a_browser_skipped_is_decided_by_policy(self, policy: str) -> None:
        with self.make_shop(dbsc_missing=policy, dbsc_missing_at={"/fresh": policy, "/": policy}) as shop:
            browser = SoftBrowser(shop).bind()
            identifier = browser.instructions["session_identifier"]  # type: ignore[index]
            browser.drop()
            for said in ({}, {"Secure-Session-Skipped": f'unreachable;session_identifier="{identifier}"'}):
                headers = browser.headers(**said)
                assert (shop.user(headers) is not None) is (policy != "deny")
                fresh = shop.send("GET", "/fresh", headers).status
                assert fresh == {"allow": 200, "step_up": 403, "deny": 401}[policy]
            before, bound_before = browser.handle, browser.instructions
            assert browser.login().all("secure-session-registration"), (
                "a log-in without the device is offered another binding"
            )
            assert browser.user() is not None
            assert (browser.handle == before) is (policy != "deny")
            browser.instructions = bound_before
            assert browser.refresh().json == {"session_identifier": identifier, "continue": False}, (
                "two would fight for one cookie"
            )
            assert shop.send("GET", "/fresh", browser.headers()).status == 200

    @shows_security("D-12")
    def test_d12_a_path_can_have_a_policy_of_its_own(self) -> None:
        with self.make_shop(dbsc_missing_at={"/me": "allow", "/m": "deny"}) as shop:
            browser = SoftBrowser(shop).bind()
            browser.drop()
            assert browser.user() is not None
            assert shop.send("GET", "/fresh", browser.headers()).status == 401

    @shows_security("D-13")
    def test_d13_two_tabs_that_refresh_log_nobody_out(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            shop.advance(TTL_S - 60)
            challenges: list[str | None] = []
            for _ in range(2):
                browser.challenge = None
                browser.refresh()
                challenges.append(browser.challenge)
            answers = [browser.refresh(browser.key.refresh(str(one))) for one in challenges]
            assert [answer.status for answer in answers] == [200, 200]
            assert len({answer.one("set-cookie").partition(";")[0] for answer in answers}) == 1
            assert browser.user() is not None

    @shows_security("D-14")
    def test_d14_other_sites_learn_nothing(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            bodies = set()
            for jar in (browser.headers(), {"Host": "app.test"}):
                for path in (REFRESH_PATH, REGISTRATION_PATH):
                    answer = shop.send("POST", path, {**jar, "Origin": "https://evil.example"})
                    bodies.add(answer.body)
                    assert answer.status == 403
                    names = [name for name, _ in answer.headers]
                    assert not [
                        name
                        for name in names
                        if name.startswith(("access-control", "secure-session", "set-cookie", "location"))
                    ]
                    assert answer.one("cross-origin-resource-policy") == "same-origin"
                    assert "frame-ancestors 'none'" in answer.one("content-security-policy")
            assert len(bodies) == 1
            bare = [shop.send("POST", REFRESH_PATH, jar).body for jar in (browser.headers(), {"Host": "app.test"})]
            assert bare[0] == bare[1], "without the browser's own header nothing is looked up"

    @shows_security("D-15", "D-17.2", "D-17.3", "D-17.10", "D-17.12", "D-17.13")
    def test_d15_d17_the_instructions_are_whole_each_time(self) -> None:
        with self.make_shop(dbsc_excluded_paths=("/static", "/img")) as shop:
            browser = SoftBrowser(shop)
            browser.login()
            for answer in (browser.register(), browser.refresh()):
                told = answer.json
                assert set(told) == {
                    "session_identifier", "refresh_url", "continue", "scope", "credentials", "allowed_refresh_initiators",
                }  # fmt: skip
                assert told["scope"]["origin"] == ORIGIN
                assert told["scope"]["include_site"] is False
                assert [one["path"] for one in told["scope"]["scope_specification"]] == ["/static", "/img"]
                (credential,) = told["credentials"]
                assert (credential["type"], credential["name"]) == ("cookie", BOUND)
                cookie = answer.one("set-cookie")
                said = {part.strip().lower() for part in credential["attributes"].split(";")}
                set_with = {part.strip().lower() for part in cookie.split(";")[1:] if "max-age" not in part.lower()}
                assert said == {one for one in set_with if not one.startswith("expires")}
                assert answer.item("secure-session-challenge").parameters == {"id": told["session_identifier"]}
                assert answer.one("content-type") == "application/json"

    @shows_security("D-1")
    def test_d1_a_hand_off_is_a_log_in_and_is_offered_one_too(self) -> None:
        with self.make_shop() as shop:
            first, second = SoftBrowser(shop), SoftBrowser(shop)
            first.bind()
            code = first.ask("/api/v0/handoff").json["code"]
            redeemed = second.ask("/api/v0/handoff/redeem", code=code).json
            waiting = {"handoff_id": redeemed["handoff_id"], "claim": redeemed["claim"]}
            early = second.ask("/api/v0/handoff/complete", **waiting)
            assert (early.status, early.all("secure-session-registration")) == (202, [])
            assert first.ask("/api/v0/handoff/confirm", handoff_id=redeemed["handoff_id"], accept=True).status == 200
            completed = second.ask("/api/v0/handoff/complete", **waiting)
            assert completed.status == 200
            assert second.token not in completed.one("secure-session-registration")
            assert second.register().status == 200
            assert second.refresh().status == 200
            assert second.user() == first.user()
            assert second.handle != first.handle
            second.drop()
            assert second.user() is None, "it is bound"
            assert first.user() is not None

    @shows_security("D-17.4")
    def test_d17_nothing_is_offered_over_a_connection_that_is_not_secure(self) -> None:
        with self.make_shop() as shop:
            plain = shop.login({"Host": "localhost", "X-Plain": "1"})
            assert not plain.all("secure-session-registration")
            assert not plain.all("secure-session-challenge")

    @shows_security("D-17.5", "D-17.6")
    def test_d17_the_challenge_of_the_registration_signs_the_first_refresh(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop)
            browser.login()
            registered = browser.register()
            assert registered.item("secure-session-challenge").value == browser.challenge
            assert browser.refresh().status == 200, "signed at once: no 403 before it"

    @shows_security("D-17.7")
    def test_d17_a_refresh_without_a_challenge_gets_one_and_is_then_signed(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            browser.challenge = None
            asked = browser.refresh()
            identifier = browser.instructions["session_identifier"]  # type: ignore[index]
            assert (asked.status, asked.item("secure-session-challenge").parameters) == (403, {"id": identifier})
            assert browser.refresh().status == 200

    @shows_security("D-17.9", "D-17.14")
    def test_d17_after_a_log_out_the_browser_is_told_once_and_keeps_nothing(self) -> None:
        with self.make_shop() as shop:
            browser = SoftBrowser(shop).bind()
            left = shop.send("POST", "/api/v0/session/logout", browser.headers())
            assert left.status == 204, left.body
            assert left.all("clear-site-data")
            browser.keep(left)
            told = browser.refresh()
            assert (told.status, told.json["continue"]) == (200, False)
            assert not told.all("set-cookie")
            assert not told.all("secure-session-challenge")
