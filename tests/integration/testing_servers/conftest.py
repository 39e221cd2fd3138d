"""One server of each kind for a module, with a proxy for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessile.testing.fault_proxy import FaultProxy
from sessile.testing.servers import PostgresServer, RedisServer
from tests.conftest import SEED, postgres_or_skip, redis_or_skip
from tests.integration.testing_servers.echo import EchoServer


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture
def proxy(echo: EchoServer) -> Iterator[FaultProxy]:
    """In front of `echo`."""
    with FaultProxy("127.0.0.1", echo.port, seed=SEED) as made:
        yield made


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with redis_or_skip() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    with postgres_or_skip() as server:
        yield server
