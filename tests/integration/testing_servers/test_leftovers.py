"""However a test run ends, no server and no folder of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sessile.testing.servers import free_port, postgres_binaries
from sessile.testing.servers.process import is_free
from sessile.testing.servers.reaper import lives
from sessile.testing.servers.redis_server import redis_binary
from tests.conftest import redis_or_skip, server_or_skip
from tests.integration.testing_servers.echo import until

RUN = """
import sys, time
from sessile.testing.servers import PostgresServer, RedisServer
server = {server}()
server.start()
{then}
print(server.pid, server.folder, flush=True)
{end}
"""


def _hear_ctrl_c() -> None:
    """A run in the background of a script ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("server", "then", "end", "how"),
    [
        ("RedisServer", "", "sys.exit(0)", None),
        ("RedisServer", "", "time.sleep(60)", signal.SIGINT),
        ("RedisServer", "server.pause()", "time.sleep(60)", signal.SIGKILL),
        ("PostgresServer", "", "time.sleep(60)", signal.SIGKILL),
    ],
)
def test_a_server_ends_with_the_run(server: str, then: str, end: str, how: signal.Signals | None) -> None:
    server_or_skip(postgres_binaries if server == "PostgresServer" else lambda: redis_binary("redis-server"))
    source = RUN.format(server=server, then=then, end=end)
    with subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=_hear_ctrl_c,  # noqa: PLW1509 - nothing else runs in this process
    ) as run:
        assert run.stdout is not None
        pid, folder = run.stdout.readline().split()
        if how is not None:
            assert lives(int(pid))
            run.send_signal(how)
    until(lambda: not lives(int(pid)))
    until(lambda: not Path(folder).exists())


def test_ctrl_c_is_for_the_tests_and_not_for_their_servers() -> None:
    with redis_or_skip() as server:
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_a_free_port_is_none_that_a_client_could_be_given() -> None:
    known = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not known.exists():
        pytest.skip("not run: this kernel does not tell its range of ports")
    lowest = int(known.read_text().split()[0])
    ports = {free_port() for _ in range(50)}
    assert len(ports) > 40
    assert max(ports) < lowest


def test_a_taken_port_is_not_free() -> None:
    with redis_or_skip() as server:
        assert not is_free(server.port)
    assert is_free(server.port)
