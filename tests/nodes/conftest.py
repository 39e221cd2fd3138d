"""One set of servers for all tests of this folder that a worker runs; healed, and all of its nodes there, after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import postgres_or_skip, redis_or_skip
from tests.nodes.running import Node, Running, running


@pytest.fixture(scope="package")
def started() -> Iterator[Running]:
    with running(postgres_or_skip(), redis_or_skip()) as made:
        yield made


@pytest.fixture
def service(started: Running) -> Iterator[Running]:
    yield started
    started.heal()
    for node in started.nodes:
        if not node.is_running:
            node.start()
        started.balancer.put_back(node.port)


@pytest.fixture
def nodes(service: Running) -> tuple[Node, ...]:
    return service.nodes
