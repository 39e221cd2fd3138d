"""One socket to Redis without a loop: how long a call may take, where the thread itself had no turn."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from sessile.stores.redis.blocking_connection import BlockingConnection

CALL_TIMEOUT_S = 0.05


class LateSocket(socket.socket):
    """Its sends take longer than a whole call may, as for a thread that gets no turn on a busy machine."""

    def sendall(self, data: object, flags: int = 0) -> None:
        time.sleep(2 * CALL_TIMEOUT_S)


@pytest.fixture
def ends() -> Iterator[tuple[BlockingConnection, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs, LateSocket(fileno=ours.detach()) as late:
        yield BlockingConnection(late, CALL_TIMEOUT_S), theirs


def test_a_reply_that_is_there_is_read_however_late_the_thread_is(
    ends: tuple[BlockingConnection, socket.socket],
) -> None:
    connection, server = ends
    server.sendall(b"+OK\r\n")
    assert connection.exchange_one(("PING",)) == b"OK"
    server.sendall(b"+OK\r\n+OK\r\n")
    assert connection.exchange([("PING",), ("PING",)]) == [b"OK", b"OK"]


def test_a_reply_that_is_not_there_then_is_too_late(ends: tuple[BlockingConnection, socket.socket]) -> None:
    connection, server = ends
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.exchange_one(("PING",))
    assert time.monotonic() - began < 1
    server.sendall(b"+O")  # a part of one gives no more time
    with pytest.raises(TimeoutError):
        connection.exchange_one(("PING",))
