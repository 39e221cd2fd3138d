"""Three nodes on one PostgreSQL and one Redis, a network that can break before each of them, and a balancer before all."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sessile.stores.sql.postgres import upgrade
from sessile.testing.balancer import Balancer
from sessile.testing.fault_proxy import FaultProxy
from sessile.testing.servers import PostgresServer, RedisSentinelSet, RedisServer, ServerProcess

NAMES = ("a", "b", "c")
SERVER = Path(__file__).with_name("server.py")
FENCE_PERIOD_S = 0.5
PING_INTERVAL_S = 1.0
PRESENCE_LEASE_S = 2.0
SETTINGS: dict[str, Any] = {
    "fence_period_s": FENCE_PERIOD_S,
    "ping_interval_s": PING_INTERVAL_S,
    "ping_timeout_s": 5.0,
    "presence_linger_s": 0.5,
    "presence_lease_s": PRESENCE_LEASE_S,
    "drain_timeout_s": 5.0,
}


class Node(ServerProcess):
    """One server process. `to_redis` and `to_postgres` are its own ways to them, where there is a way to break. `package` is the folder of the version that its next start
    is of, when that is another than ours."""

    _starts_within_s = 90.0  # a Python process on a busy machine takes its time

    def __init__(
        self,
        name: str,
        settings: dict[str, Any],
        to_postgres: FaultProxy | None = None,
        to_redis: FaultProxy | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.url = f"http://127.0.0.1:{self.port}"
        self.package: Path | None = None
        self._to_postgres = to_postgres
        self._to_redis = to_redis
        self._settings = settings

    @property
    def to_postgres(self) -> FaultProxy:
        assert self._to_postgres is not None, "nothing is between it and PostgreSQL"
        return self._to_postgres

    @property
    def to_redis(self) -> FaultProxy:
        assert self._to_redis is not None, "it asks the sentinels, or nothing is between it and Redis"
        return self._to_redis

    def heal(self) -> None:
        """Nothing is wrong between it and its servers any more."""
        for way in (self._to_postgres, self._to_redis):
            if way is not None:
                way.faults.heal()

    def plant(self, name: str | None) -> None:
        """An error of `tests.nodes.server.PLANTS`, or none any more."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", "/plant", body=json.dumps({"name": name}))
            assert connection.getresponse().status == 200
        finally:
            connection.close()

    def _command(self) -> Sequence[str]:
        settings = json.dumps(self._settings)
        run = [sys.executable, str(SERVER), "--name", self.name, "--port", str(self.port), "--settings", settings]
        return run if self.package is None else ["/usr/bin/env", f"PYTHONPATH={self.package}", *run]

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/alive")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@dataclass
class Running:
    """All of it. `redis` is the server, or the set of them that sentinels watch."""

    postgres: PostgresServer
    redis: RedisServer | RedisSentinelSet
    nodes: tuple[Node, ...]
    balancer: Balancer

    @property
    def master(self) -> RedisServer:
        return self.redis.master if isinstance(self.redis, RedisSentinelSet) else self.redis

    def heal(self) -> None:
        for node in self.nodes:
            node.heal()

    def serves_from_cache(self, tokens: Sequence[str]) -> bool:
        """Whether each node answers these sessions from Redis: each request is a hit there."""
        for node in self.nodes:
            before = self._hits()
            if any(_status(node, token) != 200 for token in tokens) or self._hits() - before < len(tokens):
                return False
        return True

    def wait_for_cache(self, token: str, timeout_s: float = 30.0) -> None:
        """Returns when every node answers this session from Redis. Nobody else may ask meanwhile. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while not self.serves_from_cache([token]):
            if time.monotonic() > deadline:
                raise TimeoutError("the cache is not used")
            time.sleep(0.1)

    def _hits(self) -> int:
        return int(self.master.info("stats")["keyspace_hits"])


def _status(node: Node, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    try:
        connection.request("GET", "/who", headers={"cookie": f"sessile={token}"})
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def running(postgres: PostgresServer, redis: RedisServer | RedisSentinelSet, **settings: Any) -> Iterator[Running]:
    """Starts the two servers that are given, and three nodes on them; closes all of it."""
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        for server in (postgres, redis):
            stack.callback(server.close)
        postgres.start()
        starting = threads.submit(redis.start)
        upgrade(postgres.url())
        starting.result()
        nodes = tuple(_node(stack, name, postgres, redis, settings) for name in NAMES)
        list(threads.map(ServerProcess.start, nodes))
        balancer = stack.enter_context(Balancer([node.port for node in nodes]))
        yield Running(postgres, redis, nodes, balancer)


def _node(
    stack: ExitStack,
    name: str,
    postgres: PostgresServer,
    redis: RedisServer | RedisSentinelSet,
    settings: dict[str, Any],
) -> Node:
    to_postgres = stack.enter_context(FaultProxy("127.0.0.1", postgres.port))
    to_redis: FaultProxy | None = None
    if isinstance(redis, RedisSentinelSet):
        redis_url = redis.url()
    else:
        to_redis = stack.enter_context(FaultProxy("127.0.0.1", redis.port))
        redis_url = redis.url(port=to_redis.port)
    urls = {"database_url": postgres.url(port=to_postgres.port), "redis_url": redis_url}
    node = Node(name, {**SETTINGS, **settings, **urls}, to_postgres, to_redis)
    stack.callback(partial(_end, node))
    return node


def _end(node: Node) -> None:
    """By force: in order it could wait for clients that a failed test has left."""
    if node.is_running:
        node.kill()
    node.close()
