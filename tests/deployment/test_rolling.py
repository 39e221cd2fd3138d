"""The next version takes over node by node, with its schema, while people work: nothing acknowledged is lost, nobody is logged out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from sessile import __version__
from sessile.client import Client
from sessile.client.outbox import new_id
from sessile.stores.sql.postgres import upgrade
from sessile.testing.balancer import Balancer
from tests.conftest import postgres_or_skip, redis_or_skip
from tests.deployment.next_version import REVISION, VERSION, make_next, newest
from tests.deployment.running import sessile
from tests.nodes.crowd import IS_SOAK
from tests.nodes.running import SETTINGS, Node, Running
from tests.nodes.test_leaving import at_work
from tests.nodes.visits import logged_in, plain_client

pytestmark = pytest.mark.server

ROUNDS = 5 if IS_SOAK else 1
SIDE_BY_SIDE_S = 5.0 if IS_SOAK else 0.7
"""How long both versions serve together."""
ANSWERS_WITHIN_S = 30


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_next(tmp_path_factory.mktemp("next"))


@pytest.fixture
def service() -> Iterator[Running]:
    """Two nodes of this version behind a balancer."""
    postgres, redis = postgres_or_skip(), redis_or_skip()
    with ExitStack() as stack:
        stack.enter_context(postgres)
        stack.enter_context(redis)
        upgrade(postgres.url())
        settings = {**SETTINGS, "database_url": postgres.url(), "redis_url": redis.url()}
        nodes = tuple(Node(name, settings) for name in ("a", "b"))
        for node in nodes:
            stack.callback(node.close)
            node.start()
        balancer = stack.enter_context(Balancer([node.port for node in nodes]))
        yield Running(postgres, redis, nodes, balancer)


async def replaced(service: Running, node: Node, package: Path | None) -> None:
    """As a deployment does it: out of the balancer, SIGTERM, the other version in its place, and back."""
    service.balancer.take_out(node.port)
    await asyncio.to_thread(node.stop)
    node.package = package
    await asyncio.to_thread(node.start)
    service.balancer.put_back(node.port)


async def version_of(node: Node, token: str) -> str:
    async with Client(node.url, token=token) as client:
        return (await client.api.check_connection()).version


async def test_the_next_version_takes_over_while_people_work(service: Running, later: Path) -> None:
    first, second = service.nodes
    url = service.postgres.url()
    async with plain_client() as http:
        token = (await logged_in(http, first, "operator")).token
    for number in range(ROUNDS):
        async with at_work(service, f"ann {number}") as those:
            status, told = await asyncio.to_thread(partial(sessile, later, "db", "upgrade", url=url))
            assert (status, told["schema"]["at"], told["schema"]["compatible_from"]) == (0, REVISION, newest()), told
            await asyncio.to_thread(second.kill)
            await asyncio.to_thread(second.start)  # an older one that has to be started anew works on the newer schema
            await replaced(service, first, later)
            assert [await version_of(node, token) for node in service.nodes] == [VERSION, __version__]
            await features_are_looked_over(newer=first, older=second, token=token)
            # What only the next version says to the others is left alone by the older ones.
            news = json.dumps(["another", [["later", "any", 1, "", ""], ["session_changed", "any", 1, "", ""]]])
            await asyncio.to_thread(service.postgres.run_sql, f"NOTIFY sessile, '{news}'")
            answers = those.answers
            await asyncio.sleep(SIDE_BY_SIDE_S)
            assert those.answers > answers
            await replaced(service, second, later)
            assert await version_of(second, token) == VERSION
            if IS_SOAK:  # and back, as if the next one were no good: the schema stays
                await replaced(service, first, None)
                await replaced(service, second, None)
        assert those.failed == []


async def features_are_looked_over(*, newer: Node, older: Node, token: str) -> None:
    """What one side says and the other does not know: a newer server's welcome to this client, and a newer client's frames to this server."""
    async with asyncio.timeout(ANSWERS_WITHIN_S):
        welcome, _ = await greeted(newer, token)
        assert welcome["features"] == ["later"], "the newer one has more to say"
        async with Client(newer.url, token=token) as client:
            document = await client.document("features", default={})
            await (await document.change([{"op": "set", "path": "/by", "value": "an older client"}])).durable
        welcome, answer = await greeted(older, token, features=["later"], later={"any": 1})
        assert "features" not in welcome, "who does not know a feature does not confirm it"
        assert (answer["type"], answer["code"], answer["ref"]) == ("error", "unknown_type", "7")


async def greeted(node: Node, token: str, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a node says to a client that has more fields in its greeting, and then to a frame that nobody knows. The socket stays open: a ping comes."""
    async with connect(node.url.replace("http", "ws") + "/ws") as socket:
        hello = {"type": "hello", "protocol": 1, "device_id": new_id(), "tab_id": "t", "token": token, "documents": []}
        await socket.send(json.dumps({**hello, **more}))
        welcome = json.loads(await socket.recv())
        await socket.send(json.dumps({"type": "later", "request_id": "7"}))
        answer = json.loads(await socket.recv())
        while json.loads(await socket.recv())["type"] != "ping":
            pass
    return welcome, answer
