"""The proxy in front of the real thing: Redis, PostgreSQL, HTTP."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Iterator

import asyncpg  # type: ignore[import-untyped]
import psycopg
import pytest
import redis

from sessile.testing.fault_proxy import FaultProxy
from sessile.testing.servers import PostgresServer, RedisServer
from tests.integration.testing_servers.echo import connect, heard, until


@pytest.fixture
def to_redis(redis_server: RedisServer) -> Iterator[FaultProxy]:
    redis_server.flush()
    with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def client(to_redis: FaultProxy, redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Without retries of its own: a test is to see each fault."""
    with redis.Redis.from_url(redis_server.url(port=to_redis.port), socket_timeout=0.3, retry=None) as made:
        yield made


@pytest.fixture
def to_postgres(postgres_server: PostgresServer) -> Iterator[FaultProxy]:
    postgres_server.run_sql("DROP TABLE IF EXISTS t; CREATE TABLE t (n int)")
    with FaultProxy("127.0.0.1", postgres_server.port) as proxy:
        yield proxy


def test_redis_did_what_it_could_not_tell(to_redis: FaultProxy, client: redis.Redis, redis_server: RedisServer) -> None:
    client.incr("other")
    to_redis.faults.drop_reply(b"INCR")
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert redis_server.run("GET", "n") == b"1"
    assert client.incr("n") == 2


def test_all_of_a_pipeline_is_done_before_its_reply_is_lost(
    to_redis: FaultProxy, client: redis.Redis, redis_server: RedisServer
) -> None:
    to_redis.faults.drop_reply(b"first")
    pipeline = client.pipeline(transaction=False)
    pipeline.set("first", 1)
    for number in range(2000):
        pipeline.rpush("many", b"x" * 100 + b"%d" % number)
    with pytest.raises(redis.ConnectionError):
        pipeline.execute()
    assert redis_server.run("LLEN", "many") == 2000


def test_a_command_in_two_pieces_is_one_request(to_redis: FaultProxy, redis_server: RedisServer) -> None:
    to_redis.faults.drop_reply(b"SET key value")
    with connect(to_redis.port) as client:
        client.sendall(b"SET ke")
        until(lambda: to_redis.counts.bytes_up == 6)
        client.sendall(b"y value\r\n")
        assert heard(client, 5) == b""
    assert redis_server.run("GET", "key") == b"value"


def test_a_command_that_is_cut_in_the_middle_was_not_done(
    to_redis: FaultProxy, client: redis.Redis, redis_server: RedisServer
) -> None:
    client.ping()
    to_redis.faults.reset_after(20)
    with pytest.raises(redis.ConnectionError):
        client.set("key", "a value that is longer")
    to_redis.faults.heal()
    assert client.get("key") is None
    assert redis_server.run("EXISTS", "key") == 0


def test_a_client_of_redis_sees_each_fault(to_redis: FaultProxy, client: redis.Redis) -> None:
    client.set("n", 1)
    faults = to_redis.faults
    faults.refuse()
    with pytest.raises(redis.ConnectionError, match="refused"):
        client.get("n")
    faults.heal()
    assert client.get("n") == b"1"
    faults.half_open()
    with pytest.raises(redis.TimeoutError):
        client.get("n")
    faults.heal()
    assert client.get("n") == b"1"
    faults.latency(1.0)
    with pytest.raises(redis.TimeoutError):
        client.get("n")
    faults.latency(0.05)
    assert client.get("n") == b"1"
    faults.slice(1)
    assert client.get("n") == b"1"


def test_a_subscriber_hears_nothing_and_no_error_of_a_dead_network(
    to_redis: FaultProxy, client: redis.Redis, redis_server: RedisServer
) -> None:
    with client.pubsub() as listener:
        listener.subscribe("news")
        assert listener.get_message(timeout=1)
        to_redis.faults.half_open()
        redis_server.run("PUBLISH", "news", "lost")
        assert listener.get_message(timeout=0.2) is None
        to_redis.faults.heal()
        with pytest.raises(redis.ConnectionError):
            listener.get_message(timeout=1)


def test_postgres_committed_what_it_could_not_tell(to_postgres: FaultProxy, postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.url(port=to_postgres.port)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        to_postgres.faults.drop_reply(b"COMMIT")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    with psycopg.connect(postgres_server.url(port=to_postgres.port)) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == [(1,)]


def test_postgres_did_not_commit_what_was_cut(to_postgres: FaultProxy, postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.url(port=to_postgres.port)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        to_postgres.faults.reset_after(3)
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    with psycopg.connect(postgres_server.url()) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == []


async def test_a_client_of_postgres_on_a_loop_sees_each_fault(
    to_postgres: FaultProxy, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(port=to_postgres.port)
    connection = await asyncpg.connect(url)
    to_postgres.faults.half_open()
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT 1", timeout=0.2)
    connection.terminate()
    to_postgres.faults.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(url)
    to_postgres.faults.heal()
    to_postgres.faults.slice(2)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


def test_a_request_over_http_was_handled_and_never_answered() -> None:
    posted = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
        FaultProxy("127.0.0.1", server.server_port) as proxy,
    ):
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{proxy.port}/orders"
        proxy.faults.drop_reply(b"POST /orders")
        with pytest.raises(ConnectionError):
            urllib.request.urlopen(url, data=b"one")
        with urllib.request.urlopen(url, data=b"two") as answer:
            assert answer.status == 204
        server.shutdown()
    assert posted == [b"one", b"two"]
