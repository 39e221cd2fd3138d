"""Every fault does what it says, seen from a client and from a server that says back what it hears."""

from __future__ import annotations

import asyncio
import errno
import statistics
import threading
import time

import pytest

from sessile.testing.fault_proxy import FaultProxy
from sessile.testing.proxy_link import Matching, Trouble
from tests.integration.testing_servers.echo import EchoServer, asked, connect, heard, until


def test_without_a_fault_everything_passes(proxy: FaultProxy, echo: EchoServer) -> None:
    much = bytes(range(256)) * 4096
    with connect(proxy.port) as client:
        sender = threading.Thread(target=client.sendall, args=(much,))
        sender.start()
        assert heard(client, len(much)) == much
        sender.join()
    until(lambda: echo.ends == ["fin"])
    counts = proxy.counts
    assert (counts.connections, counts.bytes_up, counts.bytes_down) == (1, len(much), len(much))
    assert counts.faults == {}
    until(lambda: proxy.open_connections == 0)


async def test_a_link_that_is_ended_in_the_moment_of_the_healing_ends() -> None:
    trouble = Trouble()
    pausing = asyncio.create_task(trouble.pause(10))
    await asyncio.sleep(0)
    trouble.healed.set()
    pausing.cancel()
    await asyncio.wait([pausing])
    assert pausing.cancelled()


def test_half_a_goodbye_is_passed_on(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        client.sendall(b"last words")
        client.shutdown(1)
        assert heard(client, 100) == b"last words"


def test_refused_is_refused(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        assert asked(client, b"a") == b"a"
        proxy.faults.refuse()
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError) as refused:
        connect(proxy.port)
    assert refused.value.errno == errno.ECONNREFUSED
    assert proxy.counts.faults == {"refuse": 1}
    proxy.faults.heal()
    with connect(proxy.port) as client:
        assert asked(client, b"b") == b"b"


def test_a_reset_reaches_both_sides(proxy: FaultProxy, echo: EchoServer) -> None:
    with connect(proxy.port) as client:
        assert asked(client, b"a") == b"a"
        proxy.faults.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    until(lambda: echo.ends == ["reset"])
    with pytest.raises(ConnectionResetError), connect(proxy.port) as client:
        client.recv(1)
    assert proxy.counts.faults == {"reset": 2}
    assert echo.received == b"a"


def test_a_server_that_is_away_is_a_reset() -> None:
    with EchoServer() as gone:
        port = gone.port
    with FaultProxy("127.0.0.1", port) as proxy, pytest.raises(ConnectionResetError), connect(proxy.port) as client:
        client.recv(1)


def test_latency_is_what_was_asked_for(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        proxy.faults.latency(0.1)
        measured = []
        for _ in range(3):
            began = time.monotonic()
            assert asked(client, b"a") == b"a"
            measured.append(time.monotonic() - began)
        # The shortest, because a busy machine may hold up any single one.
        assert 0.1 <= min(measured) < 0.18
    assert proxy.counts.faults == {"latency": 6}


def test_latency_does_not_add_up_within_a_stream(proxy: FaultProxy) -> None:
    """Twenty pieces that are sent within a moment arrive within a moment, too: it is a long line, not a queue."""
    with connect(proxy.port) as client:
        proxy.faults.latency(0.2)
        began = time.monotonic()
        for _ in range(20):
            client.sendall(b"a")
            time.sleep(0.001)
        assert heard(client, 20) == b"a" * 20
        assert time.monotonic() - began < 1.0


def test_jitter_repeats_with_the_seed(echo: EchoServer) -> None:
    def delays(seed: int) -> list[float]:
        with FaultProxy("127.0.0.1", echo.port, seed=seed) as proxy, connect(proxy.port) as client:
            proxy.faults.latency(0.06, jitter=0.06)
            measured = []
            for _ in range(8):
                began = time.monotonic()
                assert asked(client, b"a") == b"a"
                measured.append(time.monotonic() - began)
            return measured

    first, again, other = delays(1), delays(1), delays(2)
    assert statistics.stdev(first) > 0.005
    # Less between two runs with a seed than between two seeds: the median, because a busy machine may hold up any single one.
    same = statistics.median(abs(a - b) for a, b in zip(first, again, strict=True))
    assert same < statistics.median(abs(a - b) for a, b in zip(first, other, strict=True))


def test_half_open_is_silence_and_no_error(proxy: FaultProxy, echo: EchoServer) -> None:
    with connect(proxy.port, 0.2) as known, connect(proxy.port, 0.2) as idle:
        assert asked(known, b"a") == b"a"
        assert asked(idle, b"a") == b"a"
        proxy.faults.half_open()
        known.sendall(b"lost")
        with pytest.raises(TimeoutError):
            known.recv(1)
        with connect(proxy.port, 0.2) as new:
            new.sendall(b"lost, too")
            with pytest.raises(TimeoutError):
                new.recv(1)
            assert echo.ends == []
            assert echo.connections == 2
            assert proxy.counts.faults == {"half_open": 2}
            proxy.faults.heal()
            assert (known.recv(1), new.recv(1)) == (b"", b"")
        assert asked(idle, b"b") == b"b"
    assert echo.received == b"aab"


def test_in_a_dead_network_nobody_hears_that_the_other_side_has_gone(proxy: FaultProxy, echo: EchoServer) -> None:
    with connect(proxy.port) as client:
        assert asked(client, b"a") == b"a"
        proxy.faults.half_open()
    time.sleep(0.1)
    assert echo.ends == []
    proxy.faults.heal()
    until(lambda: echo.ends == ["fin"])


def test_only_requests_pass(proxy: FaultProxy, echo: EchoServer) -> None:
    with connect(proxy.port, 0.2) as client:
        proxy.faults.one_way("up")
        client.sendall(b"done")
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert echo.received == b"done"
        proxy.faults.heal()
        assert client.recv(1) == b""
    assert proxy.counts.faults == {"one_way": 1}


def test_only_answers_pass(proxy: FaultProxy, echo: EchoServer) -> None:
    with connect(proxy.port) as client:
        assert asked(client, b"a") == b"a"
        proxy.faults.latency(0.4)
        client.sendall(b"b")
        until(lambda: echo.received == b"ab")
        proxy.faults.one_way("down")
        client.sendall(b"c")
        assert heard(client, 1) == b"b"
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert echo.received == b"ab"


def test_bandwidth_is_kept(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        proxy.faults.bandwidth(20_000)
        began = time.monotonic()
        assert asked(client, b"x" * 10_000) == b"x" * 10_000
        # Both ways at once: the answer begins with the first bytes of the request.
        assert 0.45 <= time.monotonic() - began < 1.5


def test_healing_ends_a_slow_transfer(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        proxy.faults.bandwidth(10)
        client.sendall(b"x" * 1000)
        assert heard(client, 1) == b"x"
        proxy.faults.heal()
        began = time.monotonic()
        assert heard(client, 999) == b"x" * 999
        assert time.monotonic() - began < 2.0


def test_healing_ends_a_wait(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        proxy.faults.latency(60)
        client.sendall(b"x")
        until(lambda: proxy.counts.faults)
        proxy.faults.heal()
        assert heard(client, 1) == b"x"


def test_slices_are_small_and_come_one_by_one(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        proxy.faults.slice(3, delay_s=0.02)
        client.sendall(b"0123456789")
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < 10:
            pieces.append(client.recv(100))
        assert b"".join(pieces) == b"0123456789"
        assert max(map(len, pieces)) <= 3
    assert proxy.counts.faults["slice"] >= 3


@pytest.mark.parametrize("matching", [b"pay", None, lambda request: request.endswith(b"now")])
def test_a_lost_reply_was_executed(proxy: FaultProxy, echo: EchoServer, matching: Matching) -> None:
    with connect(proxy.port) as client:
        assert asked(client, b"hello") == b"hello"
        proxy.faults.drop_reply(matching)
        client.sendall(b"please pay now")
        assert client.recv(100) == b""
    assert echo.received == b"helloplease pay now"
    assert proxy.counts.faults == {"drop_reply": 1}
    with connect(proxy.port) as client:
        assert asked(client, b"please pay now") == b"please pay now"


def test_all_that_went_in_one_piece_is_done_before_the_client_is_told() -> None:
    with EchoServer(work_s=0.005) as slow, FaultProxy("127.0.0.1", slow.port) as proxy, connect(proxy.port) as client:
        proxy.faults.drop_reply(b"first")
        client.sendall(b"first and last")
        assert client.recv(100) == b""
        assert slow.received == b"first and last"


def test_other_requests_keep_their_replies(proxy: FaultProxy) -> None:
    proxy.faults.drop_reply(b"pay", count=2)
    for _ in range(2):
        with connect(proxy.port) as client:
            assert asked(client, b"look") == b"look"
            client.sendall(b"pay")
            assert client.recv(100) == b""
    with connect(proxy.port) as client:
        assert asked(client, b"pay") == b"pay"


def test_what_a_matching_function_raises_is_not_lost(echo: EchoServer) -> None:
    def broken(request: bytes) -> bool:
        raise ZeroDivisionError(request)

    proxy = FaultProxy("127.0.0.1", echo.port)
    proxy.faults.drop_reply(broken)
    with connect(proxy.port) as client:
        client.sendall(b"a")
        assert client.recv(1) == b""
    with pytest.raises(ExceptionGroup) as raised:
        proxy.close()
    assert raised.group_contains(ZeroDivisionError)


def test_a_matching_function_cannot_change_faults(echo: EchoServer) -> None:
    proxy = FaultProxy("127.0.0.1", echo.port)

    def meddling(_request: bytes) -> bool:
        proxy.faults.heal()
        return True

    proxy.faults.drop_reply(meddling)
    with connect(proxy.port) as client:
        client.sendall(b"a")
        assert client.recv(1) == b""
    with pytest.raises(ExceptionGroup) as raised:
        proxy.close()
    assert raised.group_contains(RuntimeError, match="may not change faults")


def test_a_reset_in_the_middle_of_a_request(proxy: FaultProxy, echo: EchoServer) -> None:
    with connect(proxy.port) as client:
        assert asked(client, b"hello") == b"hello"
        proxy.faults.reset_after(4, count=1)
        client.sendall(b"0123456789")
        with pytest.raises(ConnectionResetError):
            heard(client, 100)
    until(lambda: echo.ends == ["reset"])
    assert b"hello0123".startswith(echo.received)
    with connect(proxy.port) as client:
        assert asked(client, b"0123456789") == b"0123456789"
    assert proxy.counts.faults == {"reset_after": 1}


def test_a_reset_in_the_middle_of_an_answer(proxy: FaultProxy, echo: EchoServer) -> None:
    proxy.faults.reset_after(4, "down")
    for _ in range(2):
        with connect(proxy.port) as client:
            client.sendall(b"0123456789")
            with pytest.raises(ConnectionResetError):
                heard(client, 100)
    assert echo.received == b"0123456789" * 2
    assert proxy.counts.faults == {"reset_after": 2}


def test_faults_come_on_top_of_each_other(proxy: FaultProxy) -> None:
    with connect(proxy.port) as client:
        proxy.faults.latency(0.1)
        proxy.faults.slice(1)
        proxy.faults.drop_reply(b"pay")
        began = time.monotonic()
        assert asked(client, b"look") == b"look"
        assert time.monotonic() - began >= 0.1
        client.sendall(b"pay")
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda faults: faults.latency(-1),
        lambda faults: faults.latency(0.1, jitter=0.2),
        lambda faults: faults.bandwidth(0),
        lambda faults: faults.slice(0),
        lambda faults: faults.one_way("sideways"),
        lambda faults: faults.drop_reply(count=0),
        lambda faults: faults.reset_after(0),
    ],
)
def test_nonsense_is_refused(proxy: FaultProxy, nonsense) -> None:
    with pytest.raises(ValueError, match=r"at least|above 0|seconds|direction"):
        nonsense(proxy.faults)


def test_closing_frees_the_port_and_ends_the_thread(echo: EchoServer) -> None:
    proxy = FaultProxy("localhost", echo.port)
    with connect(proxy.port) as client:
        proxy.close()
        proxy.close()
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy.port)
    assert not [thread for thread in threading.enumerate() if thread.name == f"fault-proxy-{proxy.port}"]
    with pytest.raises(RuntimeError, match="closed"):
        proxy.faults.heal()


async def test_a_loop_may_set_faults_while_its_own_clients_wait(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.faults.half_open()
    writer.write(b"a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    proxy.faults.heal()
    assert await reader.read(1) == b""
    writer.close()


def test_many_clients_while_faults_come_and_go(proxy: FaultProxy) -> None:
    """No connection, task or thread is left, and what gets an answer gets the right one."""
    ended = threading.Event()
    wrong: list[bytes] = []

    def client(number: int) -> None:
        while not ended.is_set():
            try:
                with connect(proxy.port, 0.1) as connection:
                    for turn in range(20):
                        said = b"%d/%d" % (number, turn)
                        if not said.startswith(answer := asked(connection, said)):
                            wrong.append(answer)
            except OSError:
                continue

    clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in clients:
        thread.start()
    faults = proxy.faults
    met = {"refuse", "reset", "half_open", "latency", "drop_reply", "reset_after"}
    rounds = 0
    while rounds < 3 or (
        not met <= proxy.counts.faults.keys() and rounds < 100
    ):  # on a busy machine a client may sleep through one
        rounds += 1
        for fault in (
            faults.refuse,
            faults.reset,
            faults.half_open,
            lambda: faults.one_way("up"),
            lambda: faults.latency(0.01, 0.01),
            lambda: faults.slice(1),
            lambda: faults.drop_reply(count=3),
            lambda: faults.reset_after(10),
        ):
            fault()
            time.sleep(0.02)
            faults.heal()
            time.sleep(0.01)
    ended.set()
    for thread in clients:
        thread.join()
    assert wrong == []
    until(lambda: proxy.open_connections == 0)
    assert met <= proxy.counts.faults.keys()
