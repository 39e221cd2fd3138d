"""Whose headers say where a request comes from (ASVS 5.0 4.1.3)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from sessile import ConfigurationError, Settings
from sessile.server.serving import make_server
from sessile.testing.shows import shows_security
from sessile.web.asgi import Receive, Scope, Send

SAID = {
    "X-Forwarded-For": "1.2.3.4, 203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "1.2.3.4",
    "True-Client-IP": "1.2.3.4",
    "CF-Connecting-IP": "1.2.3.4",
    "Forwarded": "for=1.2.3.4;proto=https",
    "X-Forwarded-Host": "evil.example",
}


@shows_security("V4.1.3", "V-22", "V-25")
@pytest.mark.parametrize(
    ("trusted", "address", "scheme"),
    [
        ((), "127.0.0.1", "http"),
        (("192.0.2.1",), "127.0.0.1", "http"),
        (("127.0.0.1",), "203.0.113.9", "https"),  # not the first one, which anybody can have put there
        (("127.0.0.0/8", "203.0.113.0/24"), "1.2.3.4", "https"),  # two proxies of our own
    ],
)
async def test_forwarded_headers_count_from_a_proxy_that_is_named(
    trusted: tuple[str, ...], address: str, scheme: str
) -> None:
    seen: list[Scope] = []

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(dict(scope))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing() -> None:
        return

    started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    proxies = Settings(trusted_proxies=trusted).trusted_proxies
    server = make_server(
        application,
        host="127.0.0.1",
        port=0,
        drain=nothing,
        trusted_proxies=proxies,
        on_started=lambda host, port: started.set_result((host, port)),
    )
    serving = asyncio.create_task(server._serve())
    waited: set[asyncio.Future[Any]] = {serving, started}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    try:
        async with httpx.AsyncClient() as client:
            await client.get(f"http://127.0.0.1:{started.result()[1]}/", headers=SAID)
    finally:
        server.should_exit = True
        await serving
    (scope,) = [one for one in seen if one["type"] == "http"]
    assert (scope["client"][0], scope["scheme"]) == (address, scheme)
    assert dict(scope["headers"])[b"host"].startswith(b"127.0.0.1")


@shows_security("V4.1.3")
@pytest.mark.parametrize("proxy", ["*", "0.0.0.0/0", "::/0", "proxy.example", "10.0.0.0/33"])
def test_nobody_trusts_everybody(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="SESSILE_TRUSTED_PROXIES"):
        Settings(trusted_proxies=(proxy,))
