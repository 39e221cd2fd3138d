"""PostgreSQL is lost and put back to what it was at a moment, while people have work under way. Afterwards: a new life, in which nobody who was let out is back, and what
the devices had not sent is sent once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from sessile.cli.main import app
from sessile.client import ConnectionStatus
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisServer
from tests.conftest import redis_or_skip, server_or_skip
from tests.nodes.running import SETTINGS, Node
from tests.nodes.visits import Login, ended, logged_in, plain_client, visited
from tests.nodes.writers import CONVERGES_WITHIN_S, NAME, Writer, converged, writers

pytestmark = pytest.mark.server


@dataclass
class Site:
    postgres: PostgresServer
    redis: RedisServer
    node: Node

    def sessile(self, *words: str, status: int = 0) -> Any:
        """A command that must end so; what it says with --json."""
        environment = {"SESSILE_DATABASE_URL": self.postgres.url(), "SESSILE_REDIS_URL": self.redis.url()}
        done = CliRunner(env=environment).invoke(app, [*words, "--json"], catch_exceptions=False)
        assert done.exit_code == status, done.output
        return json.loads(done.stdout)


@pytest.fixture
def site() -> Iterator[Site]:
    postgres, redis = server_or_skip(lambda: PostgresServer(archives=True)), redis_or_skip()
    with ExitStack() as stack:
        stack.enter_context(postgres)
        stack.enter_context(redis)
        upgrade(postgres.url())
        urls = {"database_url": postgres.url(), "redis_url": redis.url()}
        node = Node("a", {**SETTINGS, **urls})
        stack.callback(node.close)
        node.start()
        yield Site(postgres, redis, node)


async def written(those: Sequence[Writer], lines: int) -> None:
    """Each of them writes so many lines, and all are acknowledged."""
    for writer in those:
        for _ in range(lines):
            await writer.write()
    async with asyncio.timeout(CONVERGES_WITHIN_S):
        for writer in those:
            await writer.changes[-1].durable


async def away(those: Sequence[Writer]) -> None:
    """Returns when each has noticed that nobody answers, or that it has to log in."""
    async with asyncio.timeout(CONVERGES_WITHIN_S):
        while any(writer.client.is_connected for writer in those):  # noqa: ASYNC110 - any of several events
            await asyncio.sleep(0.02)


async def test_a_restored_database_begins_a_new_life(site: Site) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(plain_client())
        node = site.node
        ann = [await logged_in(http, node, "ann") for _ in range(3)]
        ben, dan = await logged_in(http, node, "ben"), await logged_in(http, node, "dan")
        *those, late = await stack.enter_async_context(writers([(node.url, login.token) for login in ann]))
        backup = await asyncio.to_thread(site.postgres.back_up)
        await written(those, 2)
        await converged(those)
        site.sessile("db", "check")
        moment = await asyncio.to_thread(site.postgres.now)
        before = those[0].document.epoch

        # What the database knew and will have forgotten: an end, a beginning, acknowledged work.
        assert (await ended(http, node, ben.session_id)).did_end
        cat = await logged_in(http, node, "cat")
        assert [(await visited(http, node, one)).status for one in (ben, cat, dan)] == [401, 200, 200]
        await written([late], 1)
        (lost,) = late.made
        await asyncio.to_thread(site.postgres.finish_archiving)

        # It is lost. People go on typing.
        await asyncio.to_thread(site.postgres.kill)
        for writer in those:
            await writer.write()
        unsent = [writer.changes.pop() for writer in those]  # whoever waits for one is told that the session is over
        await asyncio.to_thread(node.stop)
        await away([*those, late])
        await asyncio.to_thread(site.postgres.restore, backup, moment)

        with SessionManager(Settings(database_url=site.postgres.url())) as manager:
            assert manager.operators.session(ben.session_id).ended_at is None, "the copy does not know that he left"
        refused = site.sessile("db", "check", status=1)["error"]["message"]
        assert "restored, promoted or moved" in refused, "what starts a node only after this command starts none now"
        told = await asyncio.to_thread(site.sessile, "recover", "system", "--apply", "--yes", "--reason", "the disk")
        assert (told["done"], told["documents"], told["sessions_ended"]) == (True, 1, 5)
        site.sessile("db", "check")
        await asyncio.to_thread(node.start)
        await everybody_is_out(site, [*ann, ben, cat, dan])
        await asyncio.gather(*(until(writer, ConnectionStatus.NEEDS_AUTH) for writer in those))

        for writer in those:
            writer.client.reconnect(token=(await logged_in(http, node, "ann")).token)
        await converged(those)
        assert those[0].document.epoch != before, "a new log, so no position of before can be taken for one of it"
        assert lost not in those[0].lines()
        assert all(change.answer is None for change in unsent)
        await nothing_is_left_to_send(those)
        await what_was_acknowledged_can_be_given_back(those[0], lost)
        with SessionManager(Settings(database_url=site.postgres.url())) as manager:
            assert manager.audit.verify().faults == []


async def nothing_is_left_to_send(those: Sequence[Writer]) -> None:
    """Soon: the echo of a change may come before its answer."""
    async with asyncio.timeout(CONVERGES_WITHIN_S):
        while any([await writer.client.outbox.entries(NAME) for writer in those]):  # noqa: ASYNC110 - see `until`
            await asyncio.sleep(0.02)


async def everybody_is_out(site: Site, logins: Sequence[Login]) -> None:
    async with plain_client() as http:
        for _ in range(2):  # from the database, and from the cache
            assert {(await visited(http, site.node, login)).status for login in logins} == {401}


async def until(writer: Writer, status: ConnectionStatus) -> None:
    async with asyncio.timeout(CONVERGES_WITHIN_S):
        while writer.client.connection_status is not status:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


async def what_was_acknowledged_can_be_given_back(writer: Writer, line: str) -> None:
    """A device that still knows it tells it again: from another log it overwrites nothing, it only adds what nobody has."""
    backup = {"epoch": "0", "version": 0, "values": {"/given_back": line}}
    await writer.client.api.restore(NAME, backup=backup)
    async with asyncio.timeout(CONVERGES_WITHIN_S):
        while writer.document.state.get("given_back") != line:  # noqa: ASYNC110 - it comes as an update among others
            await asyncio.sleep(0.02)
