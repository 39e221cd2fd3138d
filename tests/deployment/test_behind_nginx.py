"""The shipped configuration of nginx, before a real node and beside one that is away: requests, a socket and a stream of events get through."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from sessile.client.outbox import new_id
from sessile.testing.servers import ServerProcess, free_port
from sessile.testing.servers.process import wait_until
from tests.deployment.test_files import adapted
from tests.integration.server.running import ServerProcess as Served
from tests.integration.server.running import process_on
from tests.integration.server.stream import address

pytestmark = pytest.mark.server
WITHIN_S = 20


class Nginx(ServerProcess):
    """Before one node that is there and one that is not."""

    def __init__(self, binary: str, node: int) -> None:
        super().__init__()
        self._binary = binary
        self.plain_port = free_port()
        self._configuration = adapted(self.folder, port=self.port, plain=self.plain_port, nodes=(free_port(), node))

    def _command(self) -> Sequence[str]:
        run = [self._binary, "-p", str(self.folder), "-c", str(self._configuration), "-e", "stderr"]
        return [*run, "-g", "daemon off;"]

    def _answers(self) -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{self.plain_port}/").status_code)
        except httpx.TransportError:
            return False


@dataclass
class Site:
    url: str
    plain_url: str
    tls: ssl.SSLContext
    node: Served
    log: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, require: Callable[[str], str]) -> Iterator[Site]:
    binary = require("nginx")
    database = tmp_path_factory.mktemp("node") / "a.db"
    proxied = {
        "SESSILE_TRUSTED_PROXIES": "127.0.0.1",
        "SESSILE_COOKIE_SECURE": "true",
        "SESSILE_PING_INTERVAL_S": "0.5",
    }
    with process_on(database, **proxied) as node, Nginx(binary, int(node.origin.rpartition(":")[2])) as nginx:
        tls = ssl.create_default_context(cafile=nginx.folder / "ca.crt")
        plain_url = f"http://127.0.0.1:{nginx.plain_port}"
        yield Site(f"https://127.0.0.1:{nginx.port}", plain_url, tls, node, nginx.folder / "access.log")


async def test_requests_go_to_the_node_that_is_there(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.url, verify=site.tls, trust_env=False) as http:
        assert [(await http.get("/readyz")).status_code for _ in range(8)] == [200] * 8
        assert (await http.get("/metrics")).status_code == 404, "not for the outside"
        away = await http.get(f"{site.plain_url}/any?a=1")
        assert (away.status_code, away.headers["location"]) == (308, "https://127.0.0.1/any?a=1")
        headers = {"origin": site.url, "cookie": f"__Host-Http-sessile={site.node.token()}"}
        out = await http.post("/api/v0/session/logout", headers=headers)
        assert out.status_code == 204, "host and scheme are the browser's, or the origin would be another's"
        assert "Secure" in out.headers["set-cookie"]
        assert "max-age" in out.headers["strict-transport-security"]


async def test_a_socket_gets_through_and_stays(site: Site) -> None:
    hello = {"type": "hello", "protocol": 1, "device_id": new_id(), "tab_id": "t", "documents": []}
    where = site.url.replace("https", "wss") + "/ws"
    async with asyncio.timeout(WITHIN_S), connect(where, ssl=site.tls, proxy=None) as socket:
        await socket.send(json.dumps({**hello, "token": site.node.token()}))
        kinds = [json.loads(await socket.recv())["type"] for _ in range(4)]
        assert kinds[0] == "welcome"
        assert kinds.count("ping") >= 2


async def test_a_stream_of_events_is_not_held_back(site: Site) -> None:
    """Its first frames are some hundred bytes: a proxy that buffers would wait for thousands."""
    headers = {"cookie": f"__Host-Http-sessile={site.node.token()}", "sec-fetch-site": "same-origin"}
    async with (
        asyncio.timeout(WITHIN_S),
        httpx.AsyncClient(base_url=site.url, verify=site.tls, trust_env=False) as http,
        http.stream("GET", address(), headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        lines = answer.aiter_lines()
        while '"welcome"' not in await anext(lines):
            pass
        while '"ping"' not in await anext(lines):
            pass


def test_the_log_has_no_query_in_it(site: Site) -> None:
    httpx.get(f"{site.url}/healthz?secret=9e107d9d", verify=site.tls, trust_env=False)
    wait_until(lambda: "/healthz" in site.log.read_text(encoding="utf-8"), "the request is in the log")
    assert "9e107d9d" not in site.log.read_text(encoding="utf-8")
