"""Real servers for tests: PostgreSQL from the installed binaries, on a free port, in a folder of its own; started, killed, stopped, continued.

Nothing that runs on this machine already is touched. A server that is started here is stopped by its pid.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_START_TIMEOUT_S: Final = 30.0
_POSTGRES_PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


class ServerMissing(RuntimeError):
    """The binaries of the server are not installed here."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess(ABC):
    """One server process with a folder of its own, which `close` removes. `kill` is SIGKILL, `pause` SIGSTOP (it holds its connections and answers nothing), `resume` SIGCONT."""

    def __init__(self) -> None:
        # Not in a test's own folder: those are closed to other accounts, and a server that refuses to be root runs as one.
        self.folder = Path(tempfile.mkdtemp(prefix="sessile-server-"))
        _hand_over(self.folder)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, again after a stop or kill on the same port and data; returns when it answers. Raises TimeoutError with its log."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, **_as_other(self.folder)
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError((self.folder / "server.log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it the way an operator would; waits for it."""
        self._end(self._stop_signal)

    def close(self) -> None:
        """Stops it and removes its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def kill(self) -> None:
        """SIGKILL to the server and everything it started."""
        for pid in (*_children(self.pid), self.pid):
            _send(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        for pid in (self.pid, *_children(self.pid)):
            _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in (*_children(self.pid), self.pid):
            _send(pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    _stop_signal = signal.SIGTERM

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(how)
            self._process.wait(_START_TIMEOUT_S)

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What is run."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it takes connections."""


class PostgresServer(ServerProcess):
    """A cluster of its own, with durable settings. As root it runs as the account `postgres`, which refuses to be root."""

    _stop_signal = signal.SIGINT
    """"Fast shutdown": clients are disconnected, what is committed is kept."""

    def __init__(self) -> None:
        self._bin = postgres_binaries()
        super().__init__()
        self._data = self.folder / "data"
        subprocess.run(
            [str(self._bin / "initdb"), "-D", str(self._data), "-U", "sessile", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-N"],
            check=True, capture_output=True, **_as_other(self.folder),
        )  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        """`postgresql://...` of one of its databases."""
        return f"postgresql://sessile@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Makes an empty database; its URL."""
        self.run_sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def run_sql(self, statement: str, database: str = "postgres") -> None:
        """Raises RuntimeError with what psql says."""
        command = [str(self._bin / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", statement]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)

    def _command(self) -> Sequence[str]:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200", "shared_buffers": "32MB"}  # fmt: skip
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port), *flags]

    def _answers(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def postgres_binaries() -> Path:
    """The folder of `initdb` and `postgres`. Raises ServerMissing."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    for pattern in _POSTGRES_PLACES:
        root = Path("/")
        for folder in sorted(root.glob(pattern.lstrip("/")), reverse=True):
            if (folder / "initdb").exists():
                return folder
    raise ServerMissing("PostgreSQL is not installed: there is no initdb")


def _account() -> pwd.struct_passwd | None:
    """Whom servers run as that do not want to be root; None when we are not root either."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def _as_other(folder: Path) -> dict[str, Any]:
    account = _account()
    return {"cwd": folder} if account is None else {"cwd": folder, "user": account.pw_uid, "group": account.pw_gid}


def _hand_over(folder: Path) -> None:
    """Gives the account the folder."""
    account = _account()
    if account is None:
        return
    os.chown(folder, account.pw_uid, account.pw_gid)


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


def _send(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
