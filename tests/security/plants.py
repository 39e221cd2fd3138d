"""Weaknesses that are planted into the product, and the test that has to catch each. docs/security/planted.md is made from this list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CONTRACT: Final = "contract:"
"""Before the name of a test of the store contract, which is run on memory in the blocking lane."""


@dataclass(frozen=True, slots=True)
class Plant:
    """`where` (`module:function` or `module:Class.method`) with `old` replaced by `new`. `caught_by`: `contract:test`, or `module:test` with `arguments`."""

    name: str
    where: str
    old: str
    new: str
    caught_by: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


SESSIONS: Final = "sessile.engine.sessions:"
LOGINS: Final = "sessile.engine.logins:Logins."
EXPIRY: Final = "sessile.model.expiry:ExpiryPolicy."
ORIGINS: Final = "sessile.web.origins:OriginPolicy."
COOKIES: Final = "sessile.web.cookies:CookiePolicy."
UNIT: Final = "tests.unit.web."
FASTAPI: Final = "tests.integration.fastapi."
SERVER: Final = "tests.integration.server."
CONSOLE: Final = "sessile.server.console."
OPERATORS: Final = "sessile.engine.operator_access:"
HTTPS: Final = {
    "scheme": "https",
    "settings": {},
    "expected": "__Host-Http-sessile=t; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
}
TWO: Final = {
    "cookies": ["__Host-Http-sessile=abc; __Host-Http-sessile=def"],
    "token": None,
    "reason": "duplicate_cookie",
}
NAMELESS: Final = {
    "cookies": ["__Host-Http-sessile=abc; =__Host-Http-sessile=def"],
    "token": None,
    "reason": "duplicate_cookie",
}

PLANTS: Final = (
    Plant(
        "a write does not compare with what stands there: it brings an ended session back",
        f"{SESSIONS}_changed", "    check_alive(session, now)\n", "",
        f"{CONTRACT}test_an_ended_session_stays_ended",
    ),
    Plant(
        "the tombstone is skipped: a token of an ended session is accepted",
        f"{SESSIONS}SessionEngine.authenticate", "check_alive(session, self._clock.now())", "pass",
        f"{CONTRACT}test_late_use_can_end_the_session",
    ),
    Plant(
        "the old token is accepted for ever",
        f"{EXPIRY}window_is_open", "return now < start + self.rotation_window", "return True",
        f"{CONTRACT}test_a_rotated_token_serves_what_was_under_way_until_its_window_closes",
    ),
    Plant(
        "the token from before a login sees the login",
        f"{SESSIONS}SessionEngine._standing", "if retired.principal_changed:", "if False:",
        f"{CONTRACT}test_the_token_from_before_a_login_sees_an_anonymous_session_without_data",
    ),
    Plant(
        "a login keeps the token (fixation)",
        f"{LOGINS}with_new_token", "token_hash=tokens.hash_secret(tokens.parse(token)[1]),", "token_hash=session.token_hash,",
        f"{CONTRACT}test_a_rotation_gives_a_new_token_to_the_same_session",
    ),
    Plant(
        "a login takes over a session that is over",
        f"{LOGINS}usable", "return live(tx, session_id, self._clock.now())", "return tx.sessions.get(session_id, lock=True)",
        f"{CONTRACT}test_a_login_without_a_usable_session_begins_one",
    ),
    Plant(
        "the token itself is kept in the row",
        "sessile.model.token:hash_secret", "hashlib.sha256(secret.encode()).digest()", "secret.encode()",
        "tests.security.test_tokens:test_nothing_that_is_kept_or_written_has_the_token",
    ),
    Plant(
        "a rotation or another login of the same user moves the absolute deadline",
        f"{LOGINS}with_new_token", "        version=session.version + 1,\n", "        version=session.version + 1, absolute_expires_at=self._rules.expiry.absolute_deadline(now),\n",
        f"{CONTRACT}test_a_login_of_the_same_user_rotates",
    ),
    Plant(
        "a disabled user gets in",
        "sessile.engine.principals:admit_user", "if known is not None and known.disabled_at is not None:", "if False:",
        f"{CONTRACT}test_a_disabled_user_is_out_at_once_and_stays_out",
    ),
    Plant(
        "another password leaves the other sessions",
        f"{SESSIONS}SessionEngine._credentials_changed", "ended = end(tx, others, EndReason.PASSWORD_CHANGED, now)", "ended = len(others)",
        f"{CONTRACT}test_other_credentials_end_the_users_other_sessions",
    ),
    Plant(
        "a login too many is let in",
        "sessile.engine.principals:admit_user", "if known_as is None and allowed and len(live) >= allowed:", "if False:",
        f"{CONTRACT}test_a_login_too_many_is_refused_where_the_setting_says_so",
    ),
    Plant(
        "the use of a stolen, retired token is told to nobody",
        f"{SESSIONS}SessionEngine._late_use", "note_anomaly(tx, session, Anomaly.TOKEN_REUSE, now)", "pass",
        f"{CONTRACT}test_late_use_is_told_to_who_listens",
    ),
    Plant(
        "a session that was lent is as fresh as one that was proved",
        f"{LOGINS}enter", "authenticated_at = now if entry.is_proven else None", "authenticated_at = now",
        f"{CONTRACT}test_the_new_session_is_the_users_and_not_fresh",
    ),
    Plant(
        "the provider's log-out ends nothing",
        f"{SESSIONS}SessionEngine._end_of_provider", "return end(tx, live, reason, now)", "return len(live)",
        f"{CONTRACT}test_a_provider_ends_what_was_begun_with_its_session",
    ),
    Plant(
        "wrong hand-off codes may be tried for ever",
        "sessile.engine.handoff:HandoffEngine._redeem", "if tx.counted(counter, now) >= HANDOFF_TRIES_MAX:", "if False:",
        f"{CONTRACT}test_wrong_codes_are_counted_by_address_and_stay_counted",
    ),
    Plant(
        "passwords may be tried for ever",
        "sessile.engine.limits:TryLimit._spend", "if counted > count_max:", "if False:",
        f"{CONTRACT}test_a_name_from_elsewhere_and_another_name_have_tries_of_their_own",
    ),
    Plant(
        "no origin check",
        f"{ORIGINS}_check", "if len(origins) != 1 or not self.allows(scope, origins[0]):", "if False:",
        f"{UNIT}test_origins:test_foreign_origins_are_refused", {"text": "https://evil.example/https://app.example"},
    ),
    Plant(
        "origins are compared by how they begin",
        f"{ORIGINS}allows", 'origin == f"{scheme}://{host}"', 'origin.startswith(f"{scheme}://{host}")',
        f"{UNIT}test_origins:test_foreign_origins_are_refused", {"text": "https://app.example.evil.example"},
    ),
    Plant(
        "of two origins the first one counts",
        f"{ORIGINS}_check", "len(origins) != 1 or ", "",
        f"{UNIT}test_origins:test_two_origin_headers_are_refused", {"second": "https://evil.example"},
    ),
    Plant(
        "a request with the cookie and without Origin and Fetch Metadata is taken",
        f"{ORIGINS}check_unsafe", "raise CsrfFailed", "return",
        f"{UNIT}test_origins:test_neither_header_with_a_cookie_is_refused", {"method": "POST"},
    ),
    Plant(
        "of two cookies the first one counts",
        f"{COOKIES}token_in", "if imitated or len(values) > 1:", "if imitated:",
        f"{UNIT}test_cookies:test_reading", TWO,
    ),
    Plant(
        "a nameless cookie that imitates ours is ignored",
        f"{COOKIES}token_in", "if imitated or len(values) > 1:", "if len(values) > 1:",
        f"{UNIT}test_cookies:test_reading", NAMELESS,
    ),
    Plant(
        "page script may read the cookie",
        f"{COOKIES}_header", 'parts.append("HttpOnly")', "pass",
        f"{UNIT}test_cookies:test_attributes", HTTPS,
    ),
    Plant(
        "the cookie goes over plain http as well",
        f"{COOKIES}_header", 'parts.append("Secure")', "pass",
        f"{UNIT}test_cookies:test_attributes", HTTPS,
    ),
    Plant(
        "the browser of a thief is told and let in, though it is to be refused",
        "sessile.web.fingerprint:is_same_browser", 'return mode != "enforce"', "return True",
        f"{FASTAPI}test_security:test_another_browser_with_the_cookie_is_told_and_refused_as_the_setting_says", {"mode": "enforce"},
    ),
    Plant(
        "whoever counts tries believes the address that a client says",
        "sessile.web.request_session:RequestSession._count_login_try", 'self._scope.get("client")',
        'header_values(self._scope["headers"], b"x-forwarded-for") or self._scope.get("client")',
        f"{FASTAPI}test_security:test_tries_to_log_in_are_limited_and_nobody_tries_while_nobody_can_count",
    ),
    Plant(
        "a log-out leaves what the browser kept of the site",
        f"{COOKIES}forget_site", "if not self._site_data or not (is_secure or self._is_always_secure):", "if True:",
        f"{FASTAPI}test_security:test_a_log_out_over_https_clears_what_the_browser_kept",
    ),
    Plant(
        "a refresh in trouble is answered with 429",
        "sessile.server.problems:problem_response", "status_code=error.http_status", "status_code=429",
        f"{SERVER}test_limits:test_a_refresh_is_never_answered_with_429_and_in_an_outage_with_503",
    ),
    Plant(
        "a socket outlives its session",
        "sessile.server.realtime.hub:Hub._session_ended", "connection.end(event.detail)", "pass",
        "tests.security.test_sockets:test_a_socket_is_closed_when_its_user_is_disabled",
    ),
    Plant(
        "a user opens as many sockets as they like",
        "sessile.server.realtime.places:Places.take", "if self.most and self._taken[key] >= self.most:", "if False:",
        f"{SERVER}test_socket_limits:test_a_user_has_so_many_sockets_and_gets_a_place_back_with_each_that_closes",
    ),
    Plant(
        "answers of the service may run scripts and be framed",
        "sessile.server.answers:PrivateAnswers.__call__", "headers += [(name, value) for name, value in _STRICT if name not in known]", "pass",
        f"{SERVER}test_strict_answers:test_an_answer_renders_nothing_runs_nothing_and_is_embedded_by_nobody",
        {"method": "GET", "path": "/api/v0/session"},
    ),
    Plant(
        "the console asks nobody for the right to act",
        f"{CONSOLE}console:Console._endpoint", "if not operator.may(route.right):", "if False:",
        f"{SERVER}console.test_rights:test_each_role_gets_what_it_may_and_nothing_else",
    ),
    Plant(
        "an act in the console needs no token against forgery",
        f"{CONSOLE}access:ConsoleAccess.check_csrf", "raise CsrfFailed", "return",
        f"{SERVER}console.test_rights:test_every_act_needs_the_header_of_this_very_session",
    ),
    Plant(
        "a page of another origin acts in the console",
        f"{CONSOLE}access:ConsoleAccess.check_own_origin", "raise OriginRefused", "return",
        f"{SERVER}console.test_rights:test_no_page_of_another_origin_gets_anything",
        {"headers": {"origin": "https://evil.example"}},
    ),
    Plant(
        "a page of another host of the site reads the console",
        f"{CONSOLE}access:ConsoleAccess.check_read", 'not in ([], ["same-origin"], ["none"])', "== []",
        f"{SERVER}console.test_rights:test_no_page_of_another_origin_gets_anything",
        {"headers": {"sec-fetch-site": "same-site"}},
    ),
    Plant(
        "the console is served in clear to other machines",
        f"{CONSOLE}access:ConsoleAccess.check_transport", "raise ConsoleNeedsHttps", "return",
        f"{SERVER}console.test_login:test_plain_http_is_for_this_machine_only",
    ),
    Plant(
        "the console may be bound to a network without https",
        f"{CONSOLE}access:require_safe_bind", "if settings.insecure_lan:", "if False:",
        f"{SERVER}console.test_login:test_it_is_not_served_in_clear_to_a_network",
    ),
    Plant(
        "many sessions are ended without their number",
        f"{CONSOLE}sessions:check_confirmed", "confirmed != count", "False",
        f"{SERVER}console.test_resources:test_many_are_ended_only_with_their_number",
    ),
    Plant(
        "whoever may not see content sees it in the history",
        f"{CONSOLE}documents:_entry", "if entry.change is not None and not may_see:", "if False:",
        f"{SERVER}console.test_resources:test_who_may_not_see_content_sees_none_in_the_history",
    ),
    Plant(
        "an operator's token is good more than once",
        f"{OPERATORS}OperatorAccessEngine._exchange",
        "tx.console.put_credential(replace(given, ended_at=now, end_reason=str(OperatorEnd.USED)))", "pass",
        f"{CONTRACT}test_a_token_is_good_once_for_two_who_come_at_once",
    ),
    Plant(
        "an operator's session goes on for ever",
        "sessile.model.operator_access:OperatorCredential.refusal", "if now >= self.absolute_expires_at:", "if False:",
        f"{CONTRACT}test_a_session_ends_idle_absolutely_and_by_hand",
    ),
    Plant(
        "the secret of an operator's cookie is not compared",
        f"{OPERATORS}OperatorAccessEngine.authenticate",
        "or not tokens.hashes_equal(credential.secret_hash, secret_hash)", "",
        f"{SERVER}console.test_login:test_a_users_cookie_is_nothing_here_and_an_operators_nothing_there",
    ),
    Plant(
        "operators' tokens may be guessed without end",
        f"{OPERATORS}OperatorAccessEngine._spend", "return counted > self.rules.tries_max", "return False",
        f"{CONTRACT}test_tries_are_counted_by_address_and_stay_counted",
    ),
)  # fmt: skip
