"""Nodes go, by force or in order, while people work: nobody is logged out, nothing is lost, and whoever was on one goes on on another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from sessile.client import ConnectionStatus
from tests.nodes.crowd import IS_SOAK
from tests.nodes.running import PRESENCE_LEASE_S, Node, Running
from tests.nodes.visits import Login, logged_in, plain_client
from tests.nodes.writers import converged, writers

pytestmark = pytest.mark.server

ROUNDS = 5 if IS_SOAK else 1
VISITORS = 6 if IS_SOAK else 3
PAUSE_S = 0.1
WRITERS = 3
SHOWN_WITHIN_S = PRESENCE_LEASE_S + 10.0
"""The lease, and the time until somebody looks; the rest is for a busy machine."""


class Visitors:
    """People behind the balancer. What was not answered, or answered with 503, is asked once more; `failed` has what that did not mend."""

    def __init__(self, url: str, logins: list[Login]) -> None:
        self.answers = 0
        self.repeated: list[str] = []
        self.failed: list[str] = []
        self._url = url
        self._logins = logins

    async def visit_on(self, http: httpx.AsyncClient, login: Login) -> None:
        """Until it is cancelled."""
        while True:
            reason = await self._ask(http, login)
            if reason:
                self.repeated.append(reason)
                reason = await self._ask(http, login)
            if reason:
                self.failed.append(reason)
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, http: httpx.AsyncClient, login: Login) -> str:
        """Why there was no answer; empty when there was one. Whatever is not 200 or 503 has failed at once."""
        try:
            answer = await http.get(f"{self._url}/who", headers={"cookie": f"sessile={login.token}"})
        except httpx.TransportError as error:
            return repr(error)
        if answer.status_code == 503:
            return "503"
        if answer.status_code != 200 or answer.json()["user"] != login.user:
            self.failed.append(f"{answer.status_code}: {answer.text}")
        self.answers += 1
        return ""


@asynccontextmanager
async def visitors(service: Running) -> AsyncIterator[Visitors]:
    """At work from here on."""
    async with plain_client() as http:
        logins = [await logged_in(http, service.nodes[0], f"visitor {number}") for number in range(VISITORS)]
        those = Visitors(service.balancer.url, logins)
        tasks = [asyncio.create_task(those.visit_on(http, login)) for login in logins]
        try:
            yield those
        finally:
            over = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in over:
                task.result()


@asynccontextmanager
async def at_work(service: Running, user: str) -> AsyncIterator[Visitors]:
    """Visitors and writers behind the balancer; at the end all that was written is there, in one order, and nobody was sent to log in."""
    async with plain_client() as http:
        tokens = [(await logged_in(http, service.nodes[0], user)).token for _ in range(WRITERS)]
    async with visitors(service) as those, writers([(service.balancer.url, token) for token in tokens]) as devices:
        writing = [asyncio.create_task(device.write_on(2 * PAUSE_S)) for device in devices]
        try:
            await asyncio.sleep(0.5)
            yield those
            await asyncio.sleep(0.5)
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)
        await converged(devices)
        assert not {ConnectionStatus.NEEDS_AUTH, ConnectionStatus.STOPPED} & {
            it for one in devices for it in one.statuses
        }
        assert sum(one.statuses.count(ConnectionStatus.CONNECTED) for one in devices) > len(devices), "nobody was moved"


async def test_a_killed_node_takes_nothing_with_it(service: Running) -> None:
    """Kill -9. Whoever was there alone is shown as gone when the lease is over; everybody else works on."""
    door, victim, _ = service.nodes
    for number in range(ROUNDS):
        async with plain_client() as http, at_work(service, f"ann {number}") as those:
            alone = await logged_in(http, door, "alone on the victim")
            async with writers([(victim.url, alone.token)]):
                await connected(http, door, alone, True)
                await asyncio.to_thread(victim.kill)
                await connected(http, door, alone, False)
            answers = those.answers
            await asyncio.sleep(10 * PAUSE_S)
            assert those.answers > answers
            await asyncio.to_thread(victim.start)
        assert those.failed == []


async def connected(http: httpx.AsyncClient, node: Node, login: Login, expected: bool) -> None:
    """Returns when this node knows that a device of the session is there, or that none is."""
    question = {"session_ids": [login.session_id]}
    async with asyncio.timeout(SHOWN_WITHIN_S):
        while True:
            answer = await http.post(f"{node.url}/connected", json=question)
            if answer.raise_for_status().json()[login.session_id] is expected:
                return
            await asyncio.sleep(0.05)


@pytest.mark.soak  # the ordinary run has the rolling upgrade of tests/deployment, which restarts nodes in the same way
async def test_a_rolling_restart_is_noticed_by_nobody(service: Running) -> None:
    """SIGTERM, one node after the other: the first one out of the blue, the others taken out of the balancer before, as a deployment does."""
    for number in range(ROUNDS):
        async with at_work(service, f"ben {number}") as those:
            for node in service.nodes:
                if node is not service.nodes[0]:
                    service.balancer.take_out(node.port)
                await asyncio.to_thread(node.stop)
                await asyncio.to_thread(node.start)
                service.balancer.put_back(node.port)
        assert those.failed == []
