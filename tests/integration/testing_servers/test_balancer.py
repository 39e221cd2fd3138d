"""The balancer deals connections out, and leaves out who is taken out or away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sessile.testing.balancer import Balancer
from sessile.testing.servers import free_port
from tests.integration.testing_servers.echo import EchoServer, asked, connect, heard, until


@pytest.fixture
def nodes() -> Iterator[list[EchoServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(EchoServer()) for _ in range(3)]


@pytest.fixture
def balancer(nodes: list[EchoServer]) -> Iterator[Balancer]:
    with Balancer([node.port for node in nodes]) as made:
        yield made


def visit(balancer: Balancer, times: int) -> None:
    for _ in range(times):
        with connect(balancer.port) as client:
            assert asked(client, b"hello") == b"hello"


def is_cut(client: socket.socket) -> bool:
    """Whether the connection is ended from the other side; whether by a reset or in order is the kernel's choice."""
    try:
        return heard(client, 1) == b""
    except ConnectionResetError:
        return True


def test_connections_go_round(balancer: Balancer, nodes: list[EchoServer]) -> None:
    visit(balancer, 9)
    assert balancer.carried == {node.port: 3 for node in nodes}
    assert all(node.received == b"hello" * 3 for node in nodes)
    assert balancer.url == f"http://127.0.0.1:{balancer.port}"


def test_much_passes_and_the_end_is_passed_on(balancer: Balancer, nodes: list[EchoServer]) -> None:
    much = bytes(range(256)) * 512
    with connect(balancer.port) as client:
        assert asked(client, much) == much
        client.shutdown(socket.SHUT_WR)
        assert heard(client, 1) == b""
    until(lambda: [node.ends for node in nodes] == [["fin"], [], []])


def test_a_node_that_refuses_is_skipped() -> None:
    with EchoServer() as node, Balancer([free_port(), node.port, free_port()]) as balancer:
        visit(balancer, 4)
        assert balancer.carried[node.port] == 4


def test_a_node_that_is_taken_out_keeps_what_it_has(balancer: Balancer, nodes: list[EchoServer]) -> None:
    first = nodes[0].port
    with connect(balancer.port) as client:
        assert asked(client, b"one") == b"one"
        balancer.take_out(first)
        visit(balancer, 4)
        assert asked(client, b"two") == b"two"
        assert balancer.carried[first] == 1
        balancer.put_back(first)
        visit(balancer, 3)
        assert balancer.carried[first] == 2


def test_without_a_node_a_connection_is_cut() -> None:
    with Balancer([free_port()]) as balancer, connect(balancer.port) as client:
        assert is_cut(client)


def test_a_reset_passes_through(balancer: Balancer, nodes: list[EchoServer]) -> None:
    client = connect(balancer.port)
    assert asked(client, b"hello") == b"hello"
    client.close()
    until(lambda: [len(node.ends) for node in nodes] == [1, 0, 0])


def test_a_closed_one_takes_no_orders(nodes: list[EchoServer]) -> None:
    balancer = Balancer([node.port for node in nodes])
    client = connect(balancer.port)
    assert asked(client, b"hello") == b"hello"
    balancer.close()
    balancer.close()
    assert is_cut(client)
    client.close()
    with pytest.raises(RuntimeError):
        balancer.take_out(nodes[0].port)


def test_a_port_of_nobody_is_refused(balancer: Balancer) -> None:
    for order in (balancer.take_out, balancer.put_back):
        with pytest.raises(ValueError, match="no node"):
            order(1)
