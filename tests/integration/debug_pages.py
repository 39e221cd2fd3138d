"""What the pages for debugging answer, and to whom: the same cases for each framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PAGES = ("session", "cookie", "request-cookies")
PROXIED: tuple[dict[str, str], ...] = (
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Real-IP": "::1"},
    {"Via": "1.1 proxy"},
    {"Host": "app.example"},
    {"Host": "localhost.evil.example"},
)
"""Requests whose other end is this machine, and that come from somewhere else."""
SECRET = "what-nobody-is-to-read"


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


Get = Callable[[str, Mapping[str, str]], Answer]


def nothing_is_there(get: Get, headers: Mapping[str, str]) -> None:
    """Each page answers like one that never was."""
    for page in PAGES:
        there = get(f"/api/v0/debug/{page}", headers)
        absent = get("/api/v0/debug/no-such-page", headers)
        assert (there.status, there.text) == (404, absent.text)


def only_this_machine_sees_them(get: Get, token: str) -> None:
    """With the setting on: pages, redacted, and nothing for who comes by way of a proxy."""
    for headers in PROXIED:
        nothing_is_there(get, headers)
    cookies = {"Cookie": f"sessile={token}; other={SECRET}"}
    answers = {page: get(f"/api/v0/debug/{page}", cookies) for page in PAGES}
    for page, answer in answers.items():
        assert answer.status == 200, page
        assert token not in answer.text, page
        assert token.partition(".")[2] not in answer.text, page
        assert SECRET not in answer.text, page
    session = answers["session"].json["session"]
    assert (session["user_id"], session["data"]["keys"]) == ("ada", {"note": "[redacted]"})
    assert session["ends_in_s"] > 0
    cookie = answers["cookie"].json["would_set"]
    assert (cookie["name"], cookie["value"]) == ("sessile", "[redacted]")
    assert "HttpOnly" in cookie["attributes"]
    sent = {one["name"]: one for one in answers["request-cookies"].json["cookies"]}
    assert sent["sessile"]["is_session"] is True
    assert (sent["other"]["is_session"], sent["other"]["bytes"]) == (False, len(SECRET))
    nobody = get("/api/v0/debug/session", {}).json
    assert (nobody["session"], nobody["reason"]) == (None, "no_cookie")
    twice = get("/api/v0/debug/request-cookies", {"Cookie": f"sessile={token}; sessile={token}"}).json
    assert twice["cookie_reason"] == "duplicate_cookie"
