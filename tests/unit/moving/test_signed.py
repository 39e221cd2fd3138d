"""Signed cookies: those that the real libraries made are read, and nothing else is."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import flask
import httpx
import itsdangerous
import pytest
from django.core import signing
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sessile.model.errors import ConfigurationError
from sessile.model.legacy import LegacyKind
from sessile.moving.payload import PAYLOAD_BYTES_MAX, PayloadRefused
from sessile.moving.signed import DJANGO_COOKIE_SALT, DJANGO_STORE_SALT, MAX_AGES, SignedCookies, django_reader

SECRET, OTHER = "the old secret, with a comma", "another one"
KINDS = sorted(MAX_AGES)
VALUES = {"_user_id": "ada", "user_id": "ada", "cart": {"a": [1, "ï"]}}
LONG = {**VALUES, "much": "abc" * 2000}
"""Compressed by those who compress."""


async def by_flask(values: dict[str, Any], secret: str = SECRET) -> str:
    app = flask.Flask("moving", static_folder=None)
    app.secret_key = secret

    @app.get("/")
    def visit() -> str:
        flask.session.update(values)
        return ""

    return app.test_client().get("/").headers["Set-Cookie"].partition("=")[2].partition(";")[0]


async def by_starlette(values: dict[str, Any], secret: str = SECRET) -> str:
    async def visit(request: Request) -> Response:
        request.session.update(values)
        return Response()

    app = Starlette(routes=[Route("/", visit)], middleware=[Middleware(SessionMiddleware, secret_key=secret)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://testserver") as client:
        response = await client.get("/")
    return response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]


async def by_django(values: dict[str, Any], secret: str = SECRET) -> str:
    # What `signed_cookies` does with the settings of a project; a test here has none.
    signer = signing.TimestampSigner(key=secret, salt=DJANGO_COOKIE_SALT, fallback_keys=[])
    return str(signer.sign_object(values, compress=True))


MAKERS: dict[LegacyKind, Callable[..., Any]] = {
    LegacyKind.FLASK_COOKIE: by_flask,
    LegacyKind.STARLETTE_COOKIE: by_starlette,
    LegacyKind.DJANGO_COOKIE: by_django,
}


def now() -> datetime:
    """The libraries stamp by the system's clock."""
    return datetime.now(UTC)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [VALUES, LONG])
async def test_a_real_cookie_is_read(kind: LegacyKind, values: dict[str, Any]) -> None:
    if kind is LegacyKind.STARLETTE_COOKIE and values is LONG:
        values = VALUES  # it never compresses, and this would be no cookie any more
    found = SignedCookies(kind, [SECRET]).read(await MAKERS[kind](values), now())
    assert found.values == values
    assert abs(found.expires_at - now() - MAX_AGES[kind]) < timedelta(minutes=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_earlier_secret_still_counts_and_a_foreign_one_does_not(kind: LegacyKind) -> None:
    cookie = await MAKERS[kind](VALUES)
    assert SignedCookies(kind, [OTHER, SECRET]).read(cookie, now()).values == VALUES
    with pytest.raises(PayloadRefused) as refused:
        SignedCookies(kind, [OTHER]).read(cookie, now())
    assert refused.value.reason == "signature"


@pytest.mark.parametrize("kind", KINDS)
async def test_no_changed_cookie_is_read_as_another_one(kind: LegacyKind) -> None:
    cookie = await MAKERS[kind](VALUES)
    reader = SignedCookies(kind, [SECRET])
    original = reader.read(cookie, now())
    accepted = 0
    for index in range(len(cookie)):
        for other in "Ab1-_":
            changed = cookie[:index] + other + cookie[index + 1 :]
            try:
                found = reader.read(changed, now())
            except PayloadRefused:
                continue
            # A signature in base64 has bits that mean nothing; the cookie is still the same one, and leads to the same session.
            assert found == original
            accepted += 1
    assert accepted < 40
    for cut in (cookie[:-1], cookie[1:], cookie + "A", cookie.upper(), "", ".", ":", "a.b.c", "é" * 10, "x" * 5000):
        with pytest.raises(PayloadRefused):
            reader.read(cut, now())


@pytest.mark.parametrize("kind", KINDS)
async def test_an_old_one_is_refused_and_so_is_one_from_the_future(kind: LegacyKind) -> None:
    cookie = await MAKERS[kind](VALUES)
    reader = SignedCookies(kind, [SECRET], timedelta(hours=1))
    made = now()
    reader.read(cookie, made + timedelta(minutes=59))
    for moment in (made + timedelta(minutes=61), made - timedelta(minutes=5)):
        with pytest.raises(PayloadRefused) as refused:
            reader.read(cookie, moment)
        assert refused.value.reason == "expired"


async def test_kinds_do_not_take_each_others_cookies() -> None:
    for kind in KINDS:
        for maker in KINDS:
            if maker is not kind:
                with pytest.raises(PayloadRefused):
                    SignedCookies(kind, [SECRET]).read(await MAKERS[maker](VALUES), now())


def test_a_signed_bomb_is_not_unpacked() -> None:
    packed = base64.urlsafe_b64encode(zlib.compress(json.dumps({"a": "0" * PAYLOAD_BYTES_MAX}).encode(), 9)).rstrip(
        b"="
    )
    assert len(packed) < 4000
    flask_signer = itsdangerous.TimestampSigner(SECRET, salt="cookie-session", key_derivation="hmac")
    django_signer = signing.TimestampSigner(key=SECRET, salt=DJANGO_COOKIE_SALT, fallback_keys=[])
    bombs = {
        LegacyKind.FLASK_COOKIE: flask_signer.sign(b"." + packed).decode(),
        LegacyKind.DJANGO_COOKIE: django_signer.sign("." + packed.decode()),
    }
    for kind, bomb in bombs.items():
        with pytest.raises(PayloadRefused) as refused:
            SignedCookies(kind, [SECRET]).read(bomb, now())
        assert refused.value.reason == "too_large"


class _Pickles:
    """As `django.contrib.sessions.serializers.PickleSerializer` was until Django 5.0."""

    def dumps(self, value: object) -> bytes:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


@pytest.mark.parametrize("values", [VALUES, LONG])
def test_djangos_pickles_are_refused_with_a_word(values: dict[str, Any]) -> None:
    signer = signing.TimestampSigner(key=SECRET, salt=DJANGO_COOKIE_SALT, fallback_keys=[])
    cookie = signer.sign_object(values, serializer=_Pickles, compress=True)
    if len(cookie) < 4096:
        with pytest.raises(PayloadRefused) as refused:
            SignedCookies(LegacyKind.DJANGO_COOKIE, [SECRET]).read(cookie, now())
        assert refused.value.reason == "pickle"
    stored = signing.TimestampSigner(key=SECRET, salt=DJANGO_STORE_SALT, fallback_keys=[]).sign_object(
        values, serializer=_Pickles
    )
    payload = django_reader([SECRET], DJANGO_STORE_SALT)(stored).payload
    assert pickle.loads(payload) == values, "it is one"


def test_without_a_secret_nothing_is_read() -> None:
    for kind in KINDS:
        for secrets in ([], [""], [SECRET, ""]):
            with pytest.raises(ConfigurationError, match="SESSILE_LEGACY_SECRETS"):
                SignedCookies(kind, secrets)


@pytest.mark.parametrize(
    ("kind", "missing", "told"),
    [
        (LegacyKind.FLASK_COOKIE, "itsdangerous", "pip install itsdangerous"),
        (LegacyKind.DJANGO_COOKIE, "django.core", r"sessile\[django\]"),
    ],
)
def test_what_is_not_installed_is_named(
    kind: LegacyKind, missing: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=told):
        SignedCookies(kind, [SECRET])
