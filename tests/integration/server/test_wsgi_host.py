"""WSGI applications under our server: bodies in both directions piece by piece, `close()` in any case, errors, and no more threads than were said."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from wsgiref.validate import validator

import httpx
import pytest

from sessile.server.serving import make_server
from sessile.server.wsgi_host import WsgiHost
from tests.integration.server.running import until

Environ = dict[str, Any]
Start = Callable[..., Any]
PIECE = b"x" * 64 * 1024
PATIENCE_S = 20.0


async def _nothing() -> None:
    pass


@asynccontextmanager
async def hosted(app: Any, *, threads: int = 4) -> AsyncIterator[httpx.AsyncClient]:
    host = WsgiHost(app, threads=threads)
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = make_server(
        host,
        host="127.0.0.1",
        port=0,
        drain=_nothing,
        on_started=lambda name, port: started.set_result(f"http://{name}:{port}"),
    )
    serving = asyncio.create_task(server._serve())
    try:
        origin = await asyncio.wait_for(started, PATIENCE_S)
        async with httpx.AsyncClient(base_url=origin, timeout=PATIENCE_S) as client:
            yield client
    finally:
        server.should_exit = True
        await serving
        await asyncio.to_thread(host.close)


def text(start: Start, body: bytes, status: str = "200 OK") -> list[bytes]:
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def test_a_request_arrives_as_it_was_sent() -> None:
    @validator
    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        kept = {name: value for name, value in environ.items() if isinstance(value, str)}
        body = environ["wsgi.input"].read(100)
        return text(start, json.dumps({**kept, "body": body.decode()}).encode(), "201 Created")

    async with hosted(app) as client:
        headers = [("X-Two", "a"), ("X-Two", "b"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("X_Two", "smuggled")]
        response = await client.post("/caf%C3%A9/x?q=%20", content=b"hello", headers=headers)
    seen = response.json()
    assert response.status_code == 201
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/café/x"
    assert (seen["REQUEST_URI"], seen["QUERY_STRING"], seen["SCRIPT_NAME"]) == ("/caf%C3%A9/x?q=%20", "q=%20", "")
    assert (seen["HTTP_X_TWO"], seen["HTTP_COOKIE"]) == ("a,b", "a=1; b=2")
    assert (seen["body"], seen["CONTENT_LENGTH"], seen["REMOTE_ADDR"]) == ("hello", "5", "127.0.0.1")


async def test_an_upload_is_read_while_it_comes() -> None:
    """The client goes on sending only when the application has read: nobody keeps the whole."""
    read = asyncio.Event()
    loop = asyncio.get_running_loop()
    count = 128  # 8 MiB

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        digest, size = hashlib.sha256(), 0
        while piece := environ["wsgi.input"].read(len(PIECE)):
            digest.update(piece)
            size += len(piece)
            if size >= 16 * len(PIECE):
                loop.call_soon_threadsafe(read.set)
        return text(start, f"{size} {digest.hexdigest()}".encode())

    async def upload() -> AsyncIterator[bytes]:
        for number in range(count):
            if number == 64:
                await asyncio.wait_for(read.wait(), PATIENCE_S)
            yield PIECE

    async with hosted(app) as client:
        response = await client.post("/", content=upload())
    assert response.text == f"{count * len(PIECE)} {hashlib.sha256(PIECE * count).hexdigest()}"


async def test_lines_of_a_body() -> None:
    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        first = source.readline()
        return text(start, repr([first, source.readlines(), source.read()]).encode())

    async with hosted(app) as client:
        assert (await client.post("/", content=b"a\nb\nc")).text == repr([b"a\n", [b"b\n", b"c"], b""])


async def test_a_response_goes_out_while_it_is_made() -> None:
    seen, closed = threading.Event(), threading.Event()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            assert seen.wait(PATIENCE_S), "the first piece did not arrive before the second was made"
            yield b"second"

        def close(self) -> None:
            closed.set()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return Body()

    async with hosted(app) as client, client.stream("GET", "/") as response:
        pieces = response.aiter_bytes()
        assert await anext(pieces) == b"first"
        seen.set()
        assert b"".join([piece async for piece in pieces]) == b"second"
        await until(closed.is_set)


async def test_a_stream_without_end_ends_when_its_reader_leaves() -> None:
    closed = threading.Event()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield PIECE

        def close(self) -> None:
            closed.set()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return Body()

    async with hosted(app) as client:
        async with client.stream("GET", "/") as response:
            await anext(response.aiter_bytes())
        await until(closed.is_set)


async def test_an_error_before_the_first_byte_is_500_and_after_it_a_cut(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            raise ZeroDivisionError

        def close(self) -> None:
            closed.append("closed")

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/early":
            raise ZeroDivisionError
        if environ["PATH_INFO"] == "/silent":
            return [b"no start_response"]
        start("200 OK", [("Content-Type", "text/plain")])
        return Body()

    async with hosted(app) as client:
        assert (await client.get("/early")).status_code == 500
        assert (await client.get("/silent")).status_code == 500
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/late")
    assert closed == ["closed"]
    assert "ZeroDivisionError" in caplog.text


async def test_start_response_as_pep_3333_has_it() -> None:
    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        import sys

        match environ["PATH_INFO"]:
            case "/write":
                write = start("200 OK", [("Content-Type", "text/plain")])
                write(b"by write, ")
                return [b"", b"by return"]
            case "/twice":
                start("200 OK", [])
                start("200 OK", [])
            case "/instead":
                start("200 OK", [("X-First", "1")])
                try:
                    int("no number")
                except ValueError:
                    start("503 Not Now", [("Content-Type", "text/plain")], sys.exc_info())
                return [b"instead"]
            case "/hop":
                start("200 OK", [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("Content-Length", "2")])
                return [b"ok"]
        start("204 No Content", [])
        return []

    async with hosted(app) as client:
        assert (await client.get("/write")).text == "by write, by return"
        assert (await client.get("/twice")).status_code == 500
        instead = await client.get("/instead")
        assert (instead.status_code, instead.text, "x-first" in instead.headers) == (503, "instead", False)
        assert (await client.get("/hop")).text == "ok"
        empty = await client.get("/")
        assert (empty.status_code, empty.content) == (204, b"")


async def test_no_more_threads_than_were_said_and_nobody_is_lost() -> None:
    here, most, lock, gate = 0, 0, threading.Lock(), threading.Event()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        nonlocal here, most
        with lock:
            here += 1
            most = max(most, here)
        gate.wait(PATIENCE_S)
        with lock:
            here -= 1
        return text(start, environ["QUERY_STRING"].encode())

    async with hosted(app, threads=2) as client:
        asked = [asyncio.create_task(client.get(f"/?{number}")) for number in range(8)]
        await until(lambda: most == 2)
        gate.set()
        assert [(await one).text for one in asked] == [str(number) for number in range(8)]
    assert most == 2


async def test_a_form_that_comes_slowly_takes_no_thread() -> None:
    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        return text(start, environ["wsgi.input"].read())

    async with hosted(app, threads=1) as client:
        rest = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"a"
            await rest.wait()
            yield b"b"

        slow = asyncio.create_task(client.post("/", content=slowly()))
        await asyncio.sleep(0.05)
        assert (await client.post("/", content=b"quick")).text == "quick"
        rest.set()
        assert (await slow).text == "ab"
