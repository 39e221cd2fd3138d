"""One Redis for a file, emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessile.testing.servers import RedisServer
from tests.conftest import redis_or_skip


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisServer]:
    with redis_or_skip() as server:
        yield server


@pytest.fixture
def redis(redis_process: RedisServer) -> RedisServer:
    redis_process.flush()
    redis_process.run("CONFIG", "RESETSTAT")
    return redis_process
