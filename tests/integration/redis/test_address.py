"""What `SESSILE_REDIS_URL` may say, and what is wrong with the rest, without repeating it."""

from __future__ import annotations

import pytest

from sessile.model.errors import ConfigurationError
from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Address, Login, Node, TlsFiles, Topology, parse_address
from sessile.stores.redis.slots import SLOTS, digest, key_slot, read_slots
from sessile.stores.redis.wire import Greeting, ServerFault

LOCAL = Node("localhost", 6379)
RUN_ID = "a" * 40


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address(Topology.SINGLE, (LOCAL,))),
        ("valkey://localhost:7000/5/", Address(Topology.SINGLE, (Node("localhost", 7000),), database=5)),
        ("redis://:secret@localhost", Address(Topology.SINGLE, (LOCAL,), Login("default", "secret"))),
        ("redis://a%40b:s%2F%3A@[::1]:7000", Address(Topology.SINGLE, (Node("::1", 7000),), Login("a@b", "s/:"))),
        ("redis://a:b@c@localhost", Address(Topology.SINGLE, (LOCAL,), Login("a", "b@c"))),
        ("rediss://localhost", Address(Topology.SINGLE, (LOCAL,), tls=TlsFiles())),
        (
            "valkeys://localhost?ca=/a%20b.pem&cert=/c.pem&key=/k.pem",
            Address(Topology.SINGLE, (LOCAL,), tls=TlsFiles("/a b.pem", "/c.pem", "/k.pem")),
        ),
        (
            "redis+sentinel://u:p@a,b:7000/main/2?sentinel_password=x",
            Address(
                Topology.SENTINEL,
                (Node("a", 26379), Node("b", 7000)),
                Login("u", "p"),
                service="main",
                sentinel_login=Login("default", "x"),
                database=2,
            ),
        ),
        (
            "rediss+sentinel://a/main?ca=/a.pem",
            Address(Topology.SENTINEL, (Node("a", 26379),), service="main", tls=TlsFiles("/a.pem")),
        ),
        ("redis+cluster://a,b:7000", Address(Topology.CLUSTER, (Node("a", 6379), Node("b", 7000)))),
        ("rediss+cluster://a", Address(Topology.CLUSTER, (Node("a", 6379),), tls=TlsFiles())),
        ("unix:///run/redis.sock", Address(Topology.SINGLE, (Node("", 0, "/run/redis.sock"),))),
        (
            "unix://u:p@/run/redis.sock?db=3",
            Address(Topology.SINGLE, (Node("", 0, "/run/redis.sock"),), Login("u", "p"), database=3),
        ),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:6379", "redis://"),
        ("http://localhost", "redis://"),
        ("redis+nothing://localhost", "redis://"),
        ("redis://", "no host"),
        ("redis://a..b", "no host"),
        ("redis://a,b", "redis\\+sentinel"),
        ("redis://secret@localhost", "user needs a password"),
        ("redis://u:sec/ret@localhost", "%2F"),
        ("redis://u:1/secret@localhost", "%2F"),
        ("redis://u:sec?ret@localhost", "name=value"),
        ("redis://localhost:99999", "65535"),
        ("redis://localhost/secret", "number"),
        ("redis://localhost/1/2", "too much"),
        ("redis://localhost?secret=1", "nothing"),
        ("redis://localhost?ca=/a.pem", "not known here"),
        ("rediss://localhost?insecure=1", "always verified"),
        ("rediss://localhost?key=/secret.pem", "needs cert"),
        ("redis://[::1", "brackets"),
        ("redis+sentinel://a", "service"),
        ("redis+cluster://a/1", "database 0"),
        ("unix://host/run/redis.sock", "whole path"),
        ("unix://", "whole path"),
    ],
)
def test_what_is_wrong_is_said_and_not_repeated(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        parse_address(url)
    assert str(refused.value).startswith("SESSILE_REDIS_URL: ")
    assert "secret" not in str(refused.value)


def test_slots_are_those_of_redis() -> None:
    # From the specification of Redis Cluster, and what CLUSTER KEYSLOT says.
    assert key_slot("123456789") == 0x31C3 % SLOTS
    assert key_slot("foo") == 12182
    assert key_slot("{user1000}.following") == key_slot("{user1000}.followers") == key_slot("user1000")
    assert key_slot("foo{}{bar}") == key_slot("foo{}{bar}"[:]) != key_slot("bar")
    assert key_slot("foo{{bar}}zap") == key_slot("{bar")
    assert key_slot("foo{bar}{zap}") == key_slot("bar")


def test_the_identity_of_a_cluster_is_of_all_and_in_no_order() -> None:
    assert digest(["b", "a"]) == digest(["a", "b", "a"])
    assert len(digest(["a"])) == 64
    assert digest(["a"]) != digest(["a", "b"])


def test_a_node_that_does_not_name_itself_is_the_one_that_was_asked() -> None:
    reply = [[0, 99, [b"", 7000, b"id"]], [100, 200, [None, 7001, b"id", []], [b"replica", 7002, b"id"]]]
    assert read_slots(reply, LOCAL) == [(0, 99, Node("localhost", 7000)), (100, 200, Node("localhost", 7001))]


@pytest.mark.parametrize("reply", [[], None, b"", [[1]], [[0, 1]], [[0, 1, [b"a"]]], ServerFault("ERR no cluster")])
def test_slots_that_make_no_sense_are_unavailable(reply: object) -> None:
    with pytest.raises(CacheUnavailable):
        read_slots(reply, LOCAL)


def info(mode: str = "standalone", run_id: str = RUN_ID) -> bytes:
    return f"# Server\r\nredis_mode:{mode}\r\nrun_id:{run_id}\r\n".encode()


def test_a_greeting_tells_who_answers() -> None:
    assert Greeting(Login()).commands() == [("HELLO", "3", "SETNAME", "sessile"), ("INFO", "server"), ("ROLE",)]
    assert Greeting(Login("u", "p"), 2).commands()[:2] == [
        ("HELLO", "3", "AUTH", "u", "p", "SETNAME", "sessile"),
        ("SELECT", 2),
    ]
    assert Greeting(Login()).identity([{}, info(), [b"master", 0, []]]) == RUN_ID
    assert Greeting(Login(), in_cluster=True).identity([{}, info("cluster"), [b"master", 0, []]]) == RUN_ID


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        ([ServerFault("ERR unknown command 'HELLO'"), info(), [b"master"]], "Redis 6"),
        ([ServerFault("WRONGPASS secret"), ServerFault("NOAUTH"), ServerFault("NOAUTH")], "WRONGPASS"),
        ([{}, ServerFault("NOPERM info"), [b"master"]], "NOPERM"),
        ([{}, info(), [b"slave", b"host", 1, b"connected", 0]], "replica"),
        ([{}, info(), [b"sentinel", []]], "replica, or a sentinel"),
        ([{}, info("cluster"), [b"master"]], "redis\\+cluster"),
        ([{}, info(run_id=""), [b"master"]], "run_id"),
        ([b"+PONG", b"what", b"ever"], "like Redis"),
    ],
)
def test_a_greeting_refuses(replies: list[object], told: str) -> None:
    with pytest.raises(CacheUnavailable, match=told) as refused:
        Greeting(Login()).identity(replies)
    assert "secret" not in str(refused.value)


def test_an_error_keeps_its_first_word_only() -> None:
    fault = ServerFault("ERR unknown command `HELLO`, with args beginning with: `AUTH`, `secret`")
    assert "secret" not in repr(fault) + str(fault) + repr(vars(fault))
    assert ServerFault("MOVED 12 a:7000").detail == "12 a:7000"
