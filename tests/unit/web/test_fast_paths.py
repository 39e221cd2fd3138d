"""What nearly every request takes a short way through comes to the same as the long way, which is written here as simply as can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sessile import Settings
from sessile.model import token as tokens
from sessile.model import values
from sessile.model.errors import SessionNotFound
from sessile.model.expiry import ExpiryPolicy
from sessile.model.session import Session
from sessile.testing.fakes import FakeClock
from sessile.web.cookie_names import values_in
from sessile.web.cookies import CookiePolicy
from sessile.web.loading import load

NAME = "sessile"
PIECES = st.sampled_from([
    "sessile", "SESSILE", "Sessile", "__Host-Http-sessile", "sessile2", "asessile", "sessilesessile", "=", "==", ";", "; ", " ", "\t", "a", "theme=dark", "\u00e4", ",", '"',
])  # fmt: skip
COOKIES = st.lists(PIECES, max_size=12).map("".join)


def looked_for(headers: list[str], name: str) -> tuple[list[str], bool]:
    """Every pair of every header."""
    found, imitated = [], False
    for header in headers:
        for pair in header.split(";"):
            key, _, value = pair.partition("=")
            key = key.strip(" \t")
            if key == name:
                found.append(value.strip(" \t"))
            elif not key and value.lstrip(" \t=").lower().startswith(name.lower()):
                imitated = True
    return found, imitated


@settings(max_examples=600, deadline=None)
@given(st.lists(COOKIES, max_size=3))
@example(["sessile=a; theme=dark"])
@example(["theme=dark; sessile=a; sessile=b"])
@example(["=sessile=a"])
@example(["a=b; == Sessile"])
@example(["sessile"])
@example([" \tsessile\t =\ta b\t ;"])
@example(["x=sessile"])
@example(["sessile=sessile"])
def test_cookies_are_found_as_if_each_pair_had_been_looked_at(headers: list[str]) -> None:
    assert values_in(headers, NAME) == looked_for(headers, NAME)


TOKEN = tokens.make("01987c2e-0000-7000-8000-000000000000", bytes(32))
HEADERS = st.lists(
    st.sampled_from([
        (b"cookie", b"sessile=" + TOKEN.encode()), (b"Cookie", b"sessile=" + TOKEN.encode()), (b"cookie", b"theme=dark"), (b"cookie", b"=sessile"),
        (b"host", b"localhost"), (b"HOST", b"localhost:8000"), (b"host", b"shop.example"), (b"accept", b"*/*"), (b"1", b""),
        (b"authorization", b"Bearer " + TOKEN.encode()), (b"authorization", b"Bearer other"), (b"Authorization", b"Basic YTpi"),
    ]),
    max_size=6,
)  # fmt: skip


class Asked:
    """Stands for a manager: remembers which token it was asked for."""

    is_open = True
    clock = FakeClock()

    def __init__(self) -> None:
        self.token: str | None = None

    async def authenticate(self, token: str) -> Session:
        self.token = token
        raise SessionNotFound


def credential_of(headers: list[tuple[bytes, bytes]], scheme: str) -> tuple[str, str | None, str | None]:
    """Where a request's token is, which one, and why there is none: header by header."""

    def named(name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in headers if key.lower() == name]

    if named(b"authorization") == [f"Bearer {TOKEN}"]:
        return "bearer", TOKEN, "unknown"
    hosts = named(b"host")
    name = "__Host-Http-sessile" if scheme == "https" else NAME
    is_local = len(hosts) == 1 and hosts[0].startswith("localhost")
    found, imitated = looked_for(named(b"cookie"), name) if scheme == "https" or is_local else ([], False)
    if imitated or len(found) > 1:
        return "none", None, "duplicate_cookie"
    return ("cookie", found[0], "unknown") if found else ("none", None, "no_cookie")


@settings(max_examples=400, deadline=None)
@given(HEADERS, st.sampled_from(["http", "https"]))
@example([(b"host", b"localhost"), (b"cookie", b"sessile=" + TOKEN.encode())], "http")
@example([(b"host", b"localhost"), (b"Cookie", b"sessile=" + TOKEN.encode())], "http")
@example([(b"host", b"localhost"), (b"cookie", b"theme=dark"), (b"cookie", b"sessile=" + TOKEN.encode())], "http")
def test_a_credential_is_found_as_if_each_header_had_been_looked_for(
    headers: list[tuple[bytes, bytes]], scheme: str
) -> None:
    manager: Any = Asked()
    loading = load(
        manager,
        CookiePolicy(Settings(database_url="memory://")),
        {"type": "http", "scheme": scheme, "headers": headers},
    )
    with pytest.raises(StopIteration) as finished:
        loading.send(None)
    loaded = finished.value.value
    assert (loaded.source.value, manager.token, loaded.reason) == credential_of(headers, scheme)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.sampled_from('a~t\\u"\x00\x1f\u00e4'), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from("a~t\\"), max_size=3), inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(st.sampled_from("a~t\\u"), max_size=4), PLAIN, max_size=4))
@example({"~t": "tuple", "v": []})
@example({"a": {"~t": 1}})
def test_what_is_read_is_what_was_kept_tagged_or_not(data: dict[str, Any]) -> None:
    assert values.decode(values.encode(data)) == data


def test_a_tag_that_is_written_with_an_escape_is_one_too() -> None:
    assert values.decode(b'{"a":{"\\u007et":"tuple","v":[1]}}') == {"a": (1,)}


START = datetime(2026, 3, 1, tzinfo=UTC)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 4000), st.booleans(), st.booleans(), st.booleans()
)  # fmt: skip
@example(0, 1000, 4000, 0, False, True, False)
@example(51, 1000, 4000, 0, False, True, False)
@example(50, 1000, 4000, 0, False, True, False)
def test_a_touch_is_due_exactly_when_the_deadline_would_move_by_a_twentieth(
    now_s: int, idle_s: int, absolute_s: int, seen_s: int, remembered: bool, token_seen: bool, ended: bool
) -> None:
    def at(seconds: int) -> datetime:
        return START + timedelta(seconds=seconds)

    policy = ExpiryPolicy(
        timedelta(seconds=1000), timedelta(seconds=4000), timedelta(seconds=30), timedelta(seconds=8000)
    )
    session = Session(
        session_id="s", created_at=START, last_seen_at=at(seen_s), idle_expires_at=at(idle_s), absolute_expires_at=at(absolute_s),
        token_seen_at=START if token_seen else None, is_remembered=remembered, ended_at=START if ended else None,
    )  # fmt: skip
    life_s = 8000 if remembered else 1000
    moved_s = min(now_s + life_s, absolute_s) - idle_s
    if remembered:
        moved_s = max(moved_s, now_s - seen_s)
    assert policy.touch_is_due(session, at(now_s)) is (not ended and (moved_s > 50 or not token_seen))
