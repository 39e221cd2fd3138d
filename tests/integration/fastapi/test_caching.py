"""What caches are told: everything about responses that depended on the session, nothing about the others."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from sessile.integrations.fastapi import CurrentSession, WebSession
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, set_cookies, site

READS: dict[str, Callable[[WebSession], object]] = {
    "in": lambda session: "a" in session,
    "get": lambda session: session.get("a"),
    "getitem": lambda session: session.get("a") and session["a"],
    "iterate": list,
    "len": len,
    "truth": bool,
    "equal": lambda session: session == {},
    "not equal": lambda session: session != {},
    "keys": lambda session: list(session.keys()),
    "items": lambda session: list(session.items()),
    "setdefault": lambda session: session.setdefault("a", "?"),
    "pop": lambda session: session.pop("never", None),
    "handle": lambda session: session.handle,
    "user_id": lambda session: session.user_id,
    "platform_id": lambda session: session.platform_id,
    "public": lambda session: dict(session.public),
    "created_at": lambda session: str(session.created_at),
    "authenticated_at": lambda session: str(session.authenticated_at),
    "is_authenticated": lambda session: session.is_authenticated,
    "reason": lambda session: session.reason,
}


def add_reads(app: FastAPI) -> None:
    @app.get("/read/{how}")
    async def read(how: str, session: CurrentSession):
        return str(READS[how](session))

    @app.get("/plain")
    async def plain(session: CurrentSession, response: Response):
        response.headers["cache-control"] = "public, max-age=60"
        return f"the same for all, and this is not a read: {session!r}"

    @app.get("/login/{name}")
    async def login(name: str, session: CurrentSession, response: Response):
        response.headers["cache-control"] = "public, max-age=60"
        await session.login(name)
        session["a"] = name

    @app.get("/public-but-read/{how}")
    async def public_but_read(how: str, session: CurrentSession, response: Response):
        response.headers["cache-control"] = "public, max-age=60"
        return str(READS[how](session))


@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("logged_in", [False, True])
@shows_security("V14.2.2", "V-12")
async def test_every_form_of_reading_makes_the_response_private(how: str, logged_in: bool) -> None:
    async with site() as here, here.client() as client:
        add_reads(here.app)
        if logged_in:
            await client.get("/login/ann")
        response = await client.get(f"/read/{how}")
        assert response.headers.get_list("vary") == ["Cookie"]
        assert response.headers.get_list("cache-control") == ["private, no-store"]


@pytest.mark.parametrize("verb", ["save", "rotate", "logout", "documents"])
async def test_every_verb_makes_the_response_private(verb: str) -> None:
    async with site() as here, here.client() as client:

        @here.app.get("/verb")
        async def handler(session: CurrentSession):
            await (session.documents.list() if verb == "documents" else getattr(session, verb)())

        response = await client.get("/verb")
        assert response.headers["vary"] == "Cookie"
        assert response.headers["cache-control"] == "private, no-store"
        assert set_cookies(response) == []


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        (None, "Cookie"),
        ("Accept-Encoding", "Accept-Encoding, Cookie"),
        ("cookie", "cookie"),
        ("Accept, COOKIE, Origin", "Accept, COOKIE, Origin"),
        ("*", "*"),
        ("Cookie-Consent", "Cookie-Consent, Cookie"),
    ],
)
async def test_vary_is_merged_and_names_the_cookie_once(own: str | None, merged: str) -> None:
    async with site() as here, here.client() as client:

        @here.app.get("/")
        async def handler(session: CurrentSession, response: Response):
            if own is not None:
                response.headers["vary"] = own
            response.headers["cache-control"] = "public, max-age=3600"
            return session.user_id

        response = await client.get("/")
        assert response.headers.get_list("vary") == [merged]
        assert response.headers.get_list("cache-control") == ["private, no-store"]


async def test_a_response_that_did_not_use_the_session_is_left_as_it_is() -> None:
    async with site() as here, here.client() as client:
        add_reads(here.app)
        response = await client.get("/plain")
        assert response.headers["cache-control"] == "public, max-age=60"
        assert "vary" not in response.headers


async def test_a_stream_cannot_begin_to_depend_on_the_session_when_it_has_started() -> None:
    async with site() as here, here.client(raising=False) as client:
        add_reads(here.app)
        seen: list[type[BaseException]] = []

        @here.app.get("/stream")
        async def stream(session: CurrentSession):
            async def parts():
                yield "a"
                try:
                    yield str(session.get("a"))
                except Exception as error:
                    seen.append(type(error))
                    raise

            return StreamingResponse(parts())

        await client.get("/login/ann")
        response = await client.get("/stream")
        assert "ann" not in response.text
        assert [error.__name__ for error in seen] == ["SessionClosed"]
        assert "vary" not in response.headers


@dataclass
class Stored:
    vary: dict[str, str]
    response: httpx.Response


class SharedCache:
    """What a cache between many browsers and the application may do by RFC 9111, and everything that it may."""

    def __init__(self, here: Site) -> None:
        self._client = here.client()
        self._stored: dict[str, list[Stored]] = {}
        self.hits = 0

    async def get(self, path: str, cookie: str) -> httpx.Response:
        self._client.cookies.clear()
        headers = {"cookie": cookie} if cookie else {}
        for stored in self._stored.get(path, []):
            if all(headers.get(name, "") == value for name, value in stored.vary.items()):
                self.hits += 1
                return stored.response
        response = await self._client.get(path, headers=headers)
        control = response.headers.get("cache-control", "")
        if "no-store" not in control and "private" not in control:
            names = [name.strip().lower() for name in response.headers.get("vary", "").split(",") if name.strip()]
            if "*" not in names:
                vary = {name: headers.get(name, "") for name in names}
                self._stored.setdefault(path, []).append(Stored(vary, response))
        return response


@shows_security("V14.2.2", "V-12")
async def test_a_shared_cache_never_hands_one_persons_page_to_another(rng: random.Random) -> None:
    async with site() as here:
        add_reads(here.app)
        cache = SharedCache(here)
        cookies = {"": ""}
        for name in ("ann", "bob", "eve"):
            (header,) = set_cookies(await here.client().get(f"/login/{name}"))
            cookies[name] = header.split(";")[0]
        paths = ["/plain", *(f"/public-but-read/{how}" for how in ("get", "user_id", "items", "in"))]
        for _ in range(400):
            name = rng.choice(sorted(cookies))
            path = rng.choice(paths)
            response = await cache.get(path, cookies[name])
            assert set_cookies(response) == []
            if path != "/plain":
                shown = {who for who in ("ann", "bob", "eve") if who in response.text}
                assert shown <= {name}, (path, name, response.text)
        assert cache.hits > 50, "the cache was of no use, so it proved nothing"


async def test_the_shared_cache_would_be_caught() -> None:
    """The simulator finds a page that is not marked."""
    async with site() as here:

        @here.app.get("/leaky")
        async def leaky(session: CurrentSession, response: Response):
            text = f"for {session._record.user_id if session._record else None}"  # around the tracking
            response.headers["cache-control"] = "public, max-age=60"
            return text

        add_reads(here.app)
        cache = SharedCache(here)
        (header,) = set_cookies(await here.client().get("/login/ann"))
        await cache.get("/leaky", header.split(";")[0])
        assert "ann" in (await cache.get("/leaky", "")).text


@pytest.mark.parametrize("path", ["/login/ann", "/refused"])
@shows_security("V14.2.2")
async def test_a_response_that_sets_the_cookie_or_refuses_is_not_stored(path: str) -> None:
    async with site() as here, here.client() as client:
        add_reads(here.app)

        @here.app.get("/refused")
        async def refused(session: CurrentSession):
            session.require_user()

        response = await client.get(path)
        assert response.headers["vary"] == "Cookie"
        assert response.headers["cache-control"] == "private, no-store"
