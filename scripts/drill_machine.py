"""What a drill does to the machine under a system: a disk that gets full, clocks that are wrong, and more callers than there are connections."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from unittest.mock import patch

import httpx
import psycopg

from sessile.runtime.assemble import SystemClock
from sessile.testing.servers import PostgresServer

DISK_MB: Final = 400
"""Room for a PostgreSQL with nothing much in it. What is not used of it costs no memory."""
_LIBRARIES: Final = ("usr/lib/*/faketime/libfaketime.so.1", "usr/lib/faketime/libfaketime.so.1", "usr/local/lib/faketime/libfaketime.so.1")  # fmt: skip


# -- a disk ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(size_mb: int = DISK_MB) -> Iterator[Path | None]:
    """A file system of its own in memory; None where we may not mount one (that takes root on Linux)."""
    folder = Path(tempfile.mkdtemp(prefix="sessile-disk-"))
    options = f"size={size_mb}m,mode=0755"
    mounting = ["mount", "-t", "tmpfs", "-o", options, "sessile-drill", str(folder)]
    is_mounted = (
        shutil.which("mount") is not None and subprocess.run(mounting, check=False, capture_output=True).returncode == 0
    )
    try:
        yield folder if is_mounted else None
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - whatever is here
        folder.rmdir()


def fill(disk: Path) -> None:
    """Until nothing is left, by a file that somebody else could have put there."""
    with suppress(OSError), (disk / "somebody-elses.iso").open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free)
        while True:
            file.seek(0, os.SEEK_END)
            file.write(bytes(4096))


def make_room(command: str, keep: Callable[[Path], bool]) -> None:
    """What somebody does who reads what the command shows: the largest file of it that is not to be kept is removed. Raises LookupError where it shows none."""
    done = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)  # noqa: S607 - a command for any shell
    shown = [Path(line.partition("\t")[2]) for line in done.stdout.splitlines()]
    largest = next((path for path in reversed(shown) if path.is_file() and not keep(path)), None)
    if largest is None:
        raise LookupError(f"{command} shows nothing that may go: {done.stdout}")
    largest.unlink()


# -- clocks ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def clock_of_this_process(ahead_s: float) -> Iterator[None]:
    """What we take for the time is so far ahead of it; the machine's own clock is left alone."""

    def now(_self: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=ahead_s)

    with patch.object(SystemClock, "now", now):
        yield


def faketime() -> Path | None:
    """The library that gives a process another time (Debian's `libfaketime`); None where it is not installed."""
    return next((path for pattern in _LIBRARIES for path in Path("/").glob(pattern)), None)


class FakedPostgres(PostgresServer):
    """PostgreSQL whose time is what a file says, from one call to the next."""

    def set_clock(self, ahead_s: float) -> None:
        """So far ahead of the machine's."""
        made = self.folder / "clock.new"
        made.write_text(f"{ahead_s:+g}\n", encoding="ascii")
        made.chmod(0o644)
        made.replace(self.folder / "clock")

    def _command(self) -> Sequence[str]:
        if not (self.folder / "clock").exists():
            self.set_clock(0)
        settings = {
            "LD_PRELOAD": faketime(),
            "FAKETIME_TIMESTAMP_FILE": self.folder / "clock",
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,  # what waits goes on waiting as long as it should
        }
        return ["env", *(f"{name}={value}" for name, value in settings.items()), *super()._command()]


class RedisClock:
    """Stands before a Redis and changes what that says to TIME: libfaketime and the allocator that Redis is built with do not go together."""

    _TIME: Final = re.compile(rb"(?<=\*2\r\n\$10\r\n)\d{10}(?=\r\n\$\d\r\n)")

    def __init__(self, port: int, ahead_s: int) -> None:
        self.ahead_s = ahead_s
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Nobody new comes in."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client, server, bytes), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, self._changed), daemon=True).start()

    def _changed(self, told: bytes) -> bytes:
        return self._TIME.sub(lambda found: str(int(found[0]) + self.ahead_s).encode(), told)

    def _carry(self, source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]) -> None:
        with suppress(OSError), source:
            while told := source.recv(65536):
                target.sendall(change(told))
            target.shutdown(socket.SHUT_WR)


# -- a crowd --------------------------------------------------------------------------------------------------------------------


class Crowd:
    """Callers of a service that log out, over and over, of sessions whose rows somebody else has locked: each holds a connection for as long as it waits."""

    def __init__(self, url: str, database_url: str, tokens: Sequence[str]) -> None:
        self._url = url
        self._is_over = threading.Event()
        self._lock = psycopg.connect(database_url)
        self._lock.execute("SELECT session_id FROM sessile.sessions FOR UPDATE")
        self._threads = [threading.Thread(target=self._call, args=(token,), daemon=True) for token in tokens]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """The rows are free, everybody gets an answer and goes."""
        self._is_over.set()
        self._lock.close()
        for thread in self._threads:
            thread.join(60)

    def _call(self, token: str) -> None:
        while not self._is_over.is_set():
            with suppress(httpx.TransportError):
                httpx.post(
                    f"{self._url}/api/v0/session/logout", headers={"authorization": f"Bearer {token}"}, timeout=30
                )
            self._is_over.wait(0.02)
