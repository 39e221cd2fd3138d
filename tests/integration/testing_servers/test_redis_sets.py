"""Sentinels and clusters: who leads is known, another one takes over, and what is lost is what was to be lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel

from sessile.testing.servers import RedisClusterSet, RedisRefused, RedisSentinelSet
from sessile.testing.servers.process import wait_until
from sessile.testing.servers.resp import text_of
from tests.conftest import server_or_skip


@pytest.fixture(scope="module")
def started_sentinels() -> Iterator[RedisSentinelSet]:
    with server_or_skip(lambda: RedisSentinelSet(password="secret")) as made:
        yield made


@pytest.fixture
def sentinels(started_sentinels: RedisSentinelSet) -> RedisSentinelSet:
    """All of them there, and empty."""
    started_sentinels.rejoin()
    started_sentinels.master.flush()
    return started_sentinels


@pytest.fixture(scope="module")
def started_cluster() -> Iterator[RedisClusterSet]:
    with server_or_skip(RedisClusterSet) as made:
        yield made


@pytest.fixture
def cluster(started_cluster: RedisClusterSet) -> RedisClusterSet:
    started_cluster.rejoin()
    return started_cluster


def test_the_url_names_every_sentinel(sentinels: RedisSentinelSet) -> None:
    scheme, _, rest = sentinels.url(2).partition("://:secret@")
    places, _, name = rest.partition("/")
    assert (scheme, name) == ("redis+sentinel", "sessile/2")
    asked = Sentinel([tuple(place.split(":")) for place in places.split(",")])
    try:
        assert asked.discover_master("sessile") == ("127.0.0.1", sentinels.master.port)
        assert len(asked.discover_slaves("sessile")) == 2
    finally:
        for client in asked.sentinels:
            client.close()


def test_an_ordered_failover_loses_nothing(sentinels: RedisSentinelSet) -> None:
    before = sentinels.master
    with redis.Redis(port=before.port, password="secret") as client:
        for _ in range(100):
            client.incr("n")
        after = sentinels.failover()
        assert after is sentinels.master
        assert after is not before
        assert after.run("GET", "n") == b"100"
        with pytest.raises(redis.ReadOnlyError):
            client.incr("n")
    assert after.run("INCR", "n") == 101


def test_the_last_writes_are_lost_when_that_is_wanted(sentinels: RedisSentinelSet) -> None:
    before = sentinels.master
    before.run("SET", "kept", 1)
    assert before.run("WAIT", 2, 5000) == 2
    sentinels.hold_replication()
    assert before.run("SET", "lost", 1) == "OK"
    assert before.run("DEL", "kept") == 1
    after = sentinels.failover(lose_last_writes=True)
    assert after is not before
    assert after.run("GET", "lost") is None
    assert after.run("GET", "kept") == b"1", "what was deleted is back"
    sentinels.rejoin()
    assert [server.run("EXISTS", "lost") for server in sentinels.servers] == [0, 0, 0]
    with pytest.raises(RedisRefused, match="READONLY"):
        before.run("SET", "lost", 2)


def test_held_replication_can_go_on(sentinels: RedisSentinelSet) -> None:
    sentinels.hold_replication()
    sentinels.master.run("SET", "late", 1)
    assert sentinels.master.run("WAIT", 1, 100) == 0
    sentinels.release_replication()
    wait_until(lambda: sentinels.master.run("WAIT", 2, 200) == 2, "both replicas have it")
    assert [replica.run("GET", "late") for replica in sentinels.replicas] == [b"1", b"1"]


def test_a_dead_master_is_replaced(sentinels: RedisSentinelSet) -> None:
    killed = sentinels.kill_master()
    after = sentinels.wait_for_failover()
    assert after is sentinels.master
    assert after is not killed
    assert killed in sentinels.replicas
    assert after.run("SET", "a", 1) == "OK"


def test_without_a_majority_of_sentinels_nobody_is_promoted(sentinels: RedisSentinelSet) -> None:
    for sentinel in sentinels.sentinels[:2]:
        sentinel.kill()
    killed = sentinels.kill_master()
    with pytest.raises(TimeoutError, match="agree on another master"):
        sentinels.wait_for_failover(timeout_s=2)
    for sentinel in sentinels.sentinels[:2]:
        sentinel.start()
    assert sentinels.wait_for_failover() is not killed


def test_a_cluster_serves_and_shares_the_keys(cluster: RedisClusterSet) -> None:
    places = [place.split(":") for place in cluster.url().removeprefix("redis+cluster://").split(",")]
    assert len(places) == 6
    with RedisCluster(startup_nodes=[ClusterNode(host, int(port)) for host, port in places]) as client:
        for number in range(50):
            client.set(f"key-{number}", number)
        assert [int(client.get(f"key-{number}")) for number in range(50)] == list(range(50))
    sizes = [int(text_of(master.run("DBSIZE"))) for master in cluster.masters()]
    assert len(sizes) == 3
    assert sum(sizes) == 50
    assert 0 not in sizes


def test_a_replica_of_a_cluster_takes_over_by_order(cluster: RedisClusterSet) -> None:
    before = cluster.masters()
    after = cluster.failover(1)
    assert cluster.masters() == [before[0], after, before[2]]
    assert after not in before


def test_a_replica_of_a_cluster_takes_over_from_a_dead_master(cluster: RedisClusterSet) -> None:
    before = cluster.masters()
    assert cluster.kill(0) is before[0]
    cluster.wait_for_failover()
    after = cluster.masters()
    assert after[0] not in before
    assert after[1:] == before[1:]
    cluster.rejoin()
    assert cluster.masters() == after, "it comes back as a replica"
