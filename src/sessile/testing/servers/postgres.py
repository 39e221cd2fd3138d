"""PostgreSQL for tests, from the installed binaries."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from sessile.testing.servers.process import ServerMissing, ServerProcess

_PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


class PostgresServer(ServerProcess):
    """A cluster of its own, with durable settings. As root it runs as the account `postgres`, which refuses to be root. Raises ServerMissing."""

    _stop_signal: ClassVar = signal.SIGINT
    """"Fast shutdown": clients are disconnected, what is committed is kept."""
    _refuses_root: ClassVar = True

    def __init__(self) -> None:
        self._bin = postgres_binaries()
        super().__init__()
        self._data = self.folder / "data"
        subprocess.run(
            [str(self._bin / "initdb"), "-D", str(self._data), "-U", "sessile", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-N"],
            check=True, capture_output=True, **self._as_account(),
        )  # fmt: skip

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """`postgresql://...` of one of its databases; with the port of a proxy in front of it when one is given."""
        return f"postgresql://sessile@127.0.0.1:{port or self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Makes an empty database; its URL."""
        self.run_sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def run_sql(self, statement: str, database: str = "postgres") -> None:
        """Raises RuntimeError with what psql says."""
        self.ask_sql(statement, database)

    def ask_sql(self, statement: str, database: str = "postgres") -> str:
        """The rows that a statement gives: a line each, columns separated by `|`. Raises RuntimeError with what psql says."""
        return self._told("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", statement).rstrip(
            "\n"
        )

    def dump(self, database: str = "postgres") -> str:
        """All rows of a database, as statements. Raises RuntimeError with what pg_dump says."""
        return self._told("pg_dump", "--data-only", "--inserts", "-d", self.url(database))

    @property
    def version(self) -> str:
        """Of the server that runs: "15.14". Raises RuntimeError."""
        return self.ask_sql("SHOW server_version").split(maxsplit=1)[0]

    def _told(self, program: str, *arguments: str) -> str:
        done = subprocess.run([str(self._bin / program), *arguments], check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

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
    for pattern in _PLACES:
        root = Path("/")
        for folder in sorted(root.glob(pattern.lstrip("/")), reverse=True):
            if (folder / "initdb").exists():
                return folder
    raise ServerMissing("PostgreSQL is not installed: there is no initdb")
