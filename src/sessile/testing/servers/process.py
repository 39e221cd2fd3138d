"""One server process for tests: on a free port, in a folder of its own; started, killed, stopped, continued.

Nothing that runs on this machine already is touched. A server that is started here is stopped by its pid.
"""

from __future__ import annotations

import atexit
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from sessile.testing.servers import reaper

START_TIMEOUT_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.02
_PORTS_FROM: Final = 10_000
_PORT_ATTEMPTS: Final = 200


class ServerMissing(RuntimeError):
    """The binaries of the server are not installed here."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on.

    Where the kernel tells its range of ports for outgoing connections, the port is below it: otherwise a client that tries again
    and again to reach a server that is down can be given that very port, and is connected to itself.
    """
    below = _outgoing_from()
    if below <= _PORTS_FROM:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])
    for _ in range(_PORT_ATTEMPTS):
        port = _PORTS_FROM + secrets.randbelow(below - _PORTS_FROM)
        if is_free(port):
            return port
    raise OSError(f"no free port in {_PORT_ATTEMPTS} attempts")


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _outgoing_from() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])
    except OSError:
        return 0


def wait_until(holds: Callable[[], object], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Returns when it holds. Raises TimeoutError with what was waited for; an OSError meanwhile is no answer yet."""
    deadline = time.monotonic() + timeout_s
    while True:
        with suppress(OSError):
            if holds():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(_LOOK_EVERY_S)


class ServerProcess(ABC):
    """One server process with a folder of its own, which `close` removes. `kill` is SIGKILL, `pause` SIGSTOP (it holds its connections and answers nothing), `resume` SIGCONT.

    As a context manager it is started and closed. One that is not closed ends with the Python process that started it, however
    that ends.
    """

    _stop_signal: ClassVar = signal.SIGTERM
    _refuses_root: ClassVar = False
    """Whether it has to run as the account `postgres` when we are root."""
    _starts_within_s: ClassVar = START_TIMEOUT_S

    def __init__(self, port: int | None = None) -> None:
        # Not in a test's own folder: those are closed to other accounts, and a server that refuses to be root runs as one.
        self.folder = Path(tempfile.mkdtemp(prefix="sessile-server-"))
        _tell_reaper(made=str(self.folder))
        account = self._account()
        if account is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.port = free_port() if port is None else port
        self._process: subprocess.Popen[bytes] | None = None
        self._is_paused = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Starts it, again after a stop or kill on the same port and data; returns when it answers. Raises TimeoutError with its log."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                # Ctrl-C is for the tests, which then stop their servers in order.
                start_new_session=True,
                **self._as_account(),
            )
        _tell_reaper(started=self.pid, signal=int(self._stop_signal))
        deadline = time.monotonic() + self._starts_within_s
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError(self.log()[-2000:])
            time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """Ends it the way an operator would; waits for it."""
        self._end(self._stop_signal)

    def close(self) -> None:
        """Stops it and removes its folder. Does nothing the second time."""
        self.stop()
        if self.folder.exists():
            shutil.rmtree(self.folder)
            _tell_reaper(removed=str(self.folder))

    def kill(self) -> None:
        """SIGKILL to the server and everything it started."""
        _send(self.pid, signal.SIGSTOP)  # or it starts others while its children die
        family = _children(self.pid)
        for pid in (*family, self.pid):
            _send(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while any(_is_running(pid) for pid in family) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)  # what they share is free only when the last one has gone

    def pause(self) -> None:
        self._is_paused = True
        for pid in (self.pid, *_children(self.pid)):
            _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        self._is_paused = False
        for pid in (*_children(self.pid), self.pid):
            _send(pid, signal.SIGCONT)

    def log(self) -> str:
        """What it has printed, over all its starts."""
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_active(self) -> bool:
        """Whether it runs and is not paused."""
        return self.is_running and not self._is_paused

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
            self.resume()  # a paused one hears of the signal only then
        self._is_paused = False
        self._process.wait(START_TIMEOUT_S)
        _tell_reaper(ended=self._process.pid)

    def _account(self) -> pwd.struct_passwd | None:
        """Whom it runs as; None for ourselves."""
        return pwd.getpwnam("postgres") if self._refuses_root and os.geteuid() == 0 else None

    def _as_account(self) -> dict[str, Any]:
        account = self._account()
        as_it: dict[str, Any] = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid}
        return {"cwd": self.folder, **as_it}

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What is run."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it takes connections."""


_reapers: dict[int, subprocess.Popen[str]] = {}
"""One for each process that starts servers, by its pid: a fork has its own."""


def _tell_reaper(**told: object) -> None:
    process = _reapers.get(os.getpid())
    if process is None:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        _reapers[os.getpid()] = process
        atexit.register(_end_reaper, process)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told) + "\n")
    process.stdin.flush()


def _end_reaper(process: subprocess.Popen[str]) -> None:
    """At a regular exit, so that what was not closed is gone when we are."""
    if _reapers.get(os.getpid()) is process and process.stdin is not None:
        process.stdin.close()
        process.wait(START_TIMEOUT_S)


def _children(pid: int) -> list[int]:
    """Processes that it started, theirs included."""
    by_parent: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        by_parent.setdefault(int(after_name[1]), []).append(int(entry.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = by_parent.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _is_running(pid: int) -> bool:
    """Not when it waits for its parent to see that it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def _send(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
