"""A Redis of one's own: what each option means, and what is there after each kind of end."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sessile.testing.servers import RedisRefused, RedisServer
from tests.conftest import redis_or_skip


@pytest.mark.parametrize("aof", ["everysec", "always"])
def test_what_was_written_is_there_after_a_kill(aof: str) -> None:
    with redis_or_skip(aof=aof) as server:
        first_run = server.run_id
        server.run("SET", "a", b"1")
        server.kill()
        assert not server.is_running
        server.start()
        assert server.run("GET", "a") == b"1"
        assert server.run_id != first_run
        server.stop()
        server.start()
        assert server.run("GET", "a") == b"1"


def test_without_a_file_everything_is_gone_after_a_kill() -> None:
    with redis_or_skip() as server:
        server.run("SET", "a", 1)
        server.kill()
        server.start()
        assert server.run("GET", "a") is None


def test_restarted_empty() -> None:
    with redis_or_skip(aof="always") as server:
        server.run("SET", "a", 1)
        server.restart_empty()
        assert server.run("DBSIZE") == 0
        server.run("SET", "a", 2)
        server.kill()
        server.start()
        assert server.run("GET", "a") == b"2", "it keeps again what it is given"


@pytest.mark.parametrize("aof", ["no", "everysec", "always"])
def test_restarted_from_an_older_copy(aof: str) -> None:
    with redis_or_skip(aof=aof) as server:
        server.run("SET", "a", "old")
        server.run("SET", "revoked later", 1)
        copy = server.copy_data()
        server.run("SET", "a", "new")
        server.run("DEL", "revoked later")
        for _ in range(2):
            server.restart_from(copy)
            assert server.run("GET", "a") == b"old"
            assert server.run("EXISTS", "revoked later") == 1
            server.run("SET", "a", "newer")


def test_flushed() -> None:
    with redis_or_skip() as server:
        server.run("SET", "a", 1)
        server.flush()
        assert server.run("DBSIZE") == 0


def test_a_password_is_needed() -> None:
    with redis_or_skip(password="open sesame") as server:
        assert server.url() == f"redis://:open%20sesame@127.0.0.1:{server.port}/0"
        assert server.run("PING") == "PONG"
        server.password = None
        with pytest.raises(RedisRefused, match="NOAUTH"):
            server.run("PING")


def test_tls_is_spoken_and_nothing_else() -> None:
    with redis_or_skip(tls=True, password="secret") as server:
        assert server.url(3, port=1) == "rediss://:secret@127.0.0.1:1/3"
        assert server.run("SET", "a", 1) == "OK"
        assert server.ca_file.read_text().startswith("-----BEGIN CERTIFICATE")
        with redis.Redis.from_url(server.url(), ssl_ca_certs=str(server.ca_file)) as client:
            assert client.get("a") == b"1"
        with (
            redis.Redis(port=server.port, password="secret", retry=Retry(NoBackoff(), 0)) as plain,
            pytest.raises(redis.ConnectionError),
        ):
            plain.get("a")


def fill(server: RedisServer) -> None:
    """Ten megabytes."""
    for number in range(100):
        server.run("SET", number, b"x" * 100_000)


def test_a_full_one_refuses_writes_and_answers_reads() -> None:
    with redis_or_skip(maxmemory="3mb") as server:
        server.run("SET", "first", 1)
        with pytest.raises(RedisRefused, match="OOM"):
            fill(server)
        assert server.run("GET", "first") == b"1"


def test_a_full_one_may_be_told_to_forget() -> None:
    with redis_or_skip(maxmemory="3mb", extra={"maxmemory-policy": "allkeys-lru"}) as server:
        fill(server)
        assert int(server.info("stats")["evicted_keys"]) > 0


def test_a_replica_follows() -> None:
    with (
        redis_or_skip(tls=True, password="secret") as master,
        redis_or_skip(password="secret", replica_of=master) as follower,
    ):
        follower.wait_for_replication()
        master.run("SET", "a", 1)
        assert master.run("WAIT", 1, 5000) == 1
        assert follower.run("GET", "a") == b"1"
        with pytest.raises(RedisRefused, match="READONLY"):
            follower.run("SET", "a", 2)


def test_a_paused_one_answers_nothing_until_it_goes_on() -> None:
    with redis_or_skip() as server:
        server.pause()
        assert (server.is_running, server.is_active) == (True, False)
        with pytest.raises(TimeoutError):
            server.run("PING", timeout_s=0.2)
        server.resume()
        assert server.run("PING") == "PONG"
        server.pause()
    assert not server.is_running, "it can be closed while it is paused"
    assert not server.folder.exists()


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (("ECHO", b"\x00\r\n\xff"), b"\x00\r\n\xff"),
        (("EVAL", "return {1, 'a', {}, {false}}", 0), [1, b"a", [], [None]]),
        (("HGETALL", "nothing"), []),
        (("SET", "f", 0.5), "OK"),
    ],
)
def test_every_kind_of_reply_is_read(command: tuple[str, ...], reply: object) -> None:
    with redis_or_skip() as server:
        assert server.run(*command) == reply


def test_a_wrong_setting_is_told_at_the_start() -> None:
    server = redis_or_skip(extra={"no-such-setting": "1"})
    with pytest.raises(TimeoutError, match="no-such-setting"):
        server.start()
    server.close()
