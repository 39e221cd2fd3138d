"""Payloads of other libraries: what is kept, what is told to be lost, and what is never read."""

from __future__ import annotations

import json
import pickle
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from flask import Flask
from flask.json.tag import TaggedJSONSerializer
from markupsafe import Markup

from sessile.model.legacy import LegacyKind, has_own_shape
from sessile.model.limits import DEPTH_MAX, SESSION_DATA_BYTES_MAX
from sessile.model.values import decode
from sessile.moving.payload import (
    PAYLOAD_BYTES_MAX,
    Loss,
    PayloadRefused,
    content_of,
    decoded,
    from_base64,
    inflated,
    untagged,
    user_of,
)

FLASK = LegacyKind.FLASK_SESSION
VALUES = {"a": [1, {"b": "ï"}], "_user_id": "ada"}


@pytest.mark.parametrize("payload", [json.dumps(VALUES).encode(), msgspec.msgpack.encode(VALUES)])
def test_json_and_messagepack_are_told_apart(payload: bytes) -> None:
    assert decoded(payload) == VALUES


def test_empty_ones_are_read() -> None:
    assert decoded(b"{}") == decoded(msgspec.msgpack.encode({})) == {}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [VALUES, {}, [], print, {"when": datetime(2026, 1, 1, tzinfo=UTC)}])
def test_a_pickle_is_named_and_never_read(protocol: int, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pickle.dumps(value, protocol)

    def read(*_arguments: Any) -> None:
        raise AssertionError("somebody reads a pickle")

    monkeypatch.setattr(pickle, "loads", read)
    monkeypatch.setattr(pickle, "Unpickler", read)
    with pytest.raises(PayloadRefused) as refused:
        decoded(packed)
    assert refused.value.reason == "pickle"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "unreadable"),
        (b"{", "unreadable"),
        (b"[1]", "unreadable"),
        (b'{"a":' * 100_000, "unreadable"),
        (msgspec.msgpack.encode([1]), "unreadable"),
        (b"\x81" * 100_000, "unreadable"),
        (b"{" + b" " * PAYLOAD_BYTES_MAX, "too_large"),
        (b"\xff\xfe{}", "unreadable"),
        (b'{"n":' + b"9" * 5000 + b"}", "unreadable"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_so(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadRefused) as refused:
        decoded(payload)
    assert refused.value.reason == reason


def test_what_cannot_be_kept_is_told_with_its_path() -> None:
    deep: Any = 1
    for _ in range(DEPTH_MAX + 1):
        deep = [deep]
    values = {
        "_user_id": "ada",
        "good": {"when": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\x00"},
        "cart": {"a/b": [1, float("nan"), 3], "~": float("inf")},
        "ext": msgspec.msgpack.Ext(5, b"x"),
        7: "seven",
        "bad\ud800": 1,
        "deep": deep,
        "text": "\udfff",
    }
    content = content_of(FLASK, values)
    kept = decode(content.data)
    assert kept.pop("deep") is not None
    assert kept == {
        "_user_id": "ada",
        "good": {"when": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\x00"},
        "cart": {"a/b": [1, None, 3]},
    }
    assert {loss.path for loss in content.losses} == {
        "/cart/a~1b/1", "/cart/~0", "/ext", "/7", r"/bad\ud800", "/deep" + "/0" * (DEPTH_MAX - 1), "/text"
    }  # fmt: skip
    assert Loss("/cart/a~1b/1", "NaN and infinity cannot be stored") in content.losses


def test_data_beyond_the_bound_is_told_and_the_user_stays() -> None:
    content = content_of(FLASK, {"_user_id": "ada", "big": "x" * SESSION_DATA_BYTES_MAX})
    assert (content.user_id, content.data) == ("ada", b"{}")
    (loss,) = content.losses
    assert loss.path == ""
    assert str(SESSION_DATA_BYTES_MAX) in loss.reason


def test_a_librarys_own_notes_are_left_out() -> None:
    content = content_of(LegacyKind.STARSESSIONS, {"__metadata__": {"created": 1.0}, "user_id": "ada"})
    assert decode(content.data) == {"user_id": "ada"}
    assert content_of(LegacyKind.STARSESSIONS, {"__metadata__": {}}).is_empty


@pytest.mark.parametrize(
    ("values", "keys", "user_id"),
    [
        ({"_user_id": "ada", "user_id": "eve"}, ("_user_id", "user_id"), "ada"),
        ({"user_id": 7}, ("_user_id", "user_id"), "7"),
        ({"user_id": UUID(int=1)}, ("user_id",), str(UUID(int=1))),
        ({"user": {"id": "ada"}}, ("/user/id",), "ada"),
        ({"a/b": {"~": "ada"}}, ("/a~1b/~0",), "ada"),
        ({"user": "ada"}, ("/user/id",), None),
        ({"user_id": None}, ("user_id",), None),
        ({}, ("user_id",), None),
    ],
)
def test_whose_it_is(values: Any, keys: tuple[str, ...], user_id: str | None) -> None:
    assert user_of(values, keys) == user_id


@pytest.mark.parametrize("value", ["", "x" * 256, "a\n", True, 1.5, ["ada"], {"id": 1}])
def test_what_is_no_users_id_is_not_taken_for_nobody(value: Any) -> None:
    with pytest.raises(PayloadRefused) as refused:
        user_of({"user_id": value}, ("user_id",))
    assert refused.value.reason == "user"


def test_flasks_tags_mean_what_flask_means() -> None:
    serializer = TaggedJSONSerializer()
    values = {
        "tuple": (1, (2, b"\x00\xff")),
        "markup": Markup("<b>safe</b>"),
        "id": UUID("12345678-1234-5678-1234-567812345678"),
        "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "escaped": {" t": [1]},
        "twice": {" di": {" b": "x"}},
        "plain": {"a": [1, {"b": None}]},
    }
    with Flask("moving").app_context():
        text = serializer.dumps(values)
        assert serializer.loads(text) == values, "the values are ones that Flask itself keeps"
    found = untagged(json.loads(text))
    assert found == values
    assert hasattr(found["markup"], "__html__")
    assert decode(content_of(LegacyKind.FLASK_COOKIE, found).data) == values


@pytest.mark.parametrize("bad", [{" u": "x"}, {" b": 1}, {" d": "never"}, {" t": 5}, {" di": {"a": 1, "b": 2}}])
def test_a_damaged_tag_is_refused(bad: Any) -> None:
    with pytest.raises(PayloadRefused) as refused:
        untagged({"a": [bad]})
    assert refused.value.reason == "unreadable"


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(PayloadRefused) as refused:
        inflated(zlib.compress(b"0" * (PAYLOAD_BYTES_MAX + 1)))
    assert refused.value.reason == "too_large"
    assert len(inflated(zlib.compress(b"0" * PAYLOAD_BYTES_MAX))) == PAYLOAD_BYTES_MAX
    for bad in (b"", b"x", zlib.compress(b"abc")[:-3]):
        with pytest.raises(PayloadRefused):
            inflated(bad)


def test_base64_needs_no_padding_and_is_strict() -> None:
    assert from_base64(b"YQ", urlsafe=True) == from_base64(b"YQ==", urlsafe=False) == b"a"
    for bad in (b"Y", b"Y!Q=", b"\xff"):
        with pytest.raises(PayloadRefused):
            from_base64(bad, urlsafe=True)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            FLASK,
            ["A" * 43, "12345678-1234-4678-9234-567812345678"],
            ["A" * 21, "A" * 129, "A" * 42 + ".", "é" * 43, ""],
        ),
        (LegacyKind.DJANGO, ["a0" * 16], ["A0" * 16, "a" * 31, "a" * 41, "a" * 31 + "\n"]),
        (LegacyKind.STARSESSIONS, ["0f" * 16], ["0g" * 16, "0f" * 17, "0F" * 16]),
        (LegacyKind.LITESTAR, ["0f" * 32, "0f" * 16], ["0f" * 15, "0f" * 65, "null"]),
        (LegacyKind.FLASK_COOKIE, [], ["A" * 43]),
    ],
)
def test_ids_have_the_shape_that_their_library_gives_them(kind: LegacyKind, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not has_own_shape(kind, text)] == []
    assert [text for text in bad if has_own_shape(kind, text)] == []


def test_dates_come_back() -> None:
    values = {"day": date(2026, 1, 2), "price": Decimal("9.90"), "user_id": "ada"}
    assert decode(content_of(FLASK, values).data) == values


@pytest.mark.parametrize("year", ["9" * 5, "9" * 40])
def test_a_date_that_no_clock_has_is_refused_like_any_damage(year: str) -> None:
    with pytest.raises(PayloadRefused) as caught:
        untagged({" d": f"Fri, 02 Jan {year} 00:00:00 GMT"})
    assert caught.value.reason == "unreadable"
