"""PostgreSQL for tests, from the installed binaries."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from sessile.testing.servers.process import START_TIMEOUT_S, ServerMissing, ServerProcess, wait_until

_PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


class PostgresServer(ServerProcess):
    """A cluster of its own, with durable settings. As root it runs as the account `postgres`, which refuses to be root. With `archives` it keeps its log, and can be put
    back to what it was at a moment: `back_up`, `restore`. Raises ServerMissing."""

    _stop_signal: ClassVar = signal.SIGINT
    """"Fast shutdown": clients are disconnected, what is committed is kept."""
    _refuses_root: ClassVar = True

    def __init__(self, *, archives: bool = False) -> None:
        self._bin = postgres_binaries()
        super().__init__()
        self._data = self.folder / "data"
        self._archive: Path | None = None
        if archives:
            self._archive = self.folder / "archive"
            self._make_folder(self._archive)
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

    def now(self) -> str:
        """The moment by its own clock, as `restore` takes it."""
        return self.ask_sql("SELECT clock_timestamp()")

    def back_up(self, name: str = "backup") -> Path:
        """A base backup, by pg_basebackup. Raises RuntimeError with what it says."""
        made = self.folder / name
        self._told("pg_basebackup", "-D", str(made), "-X", "stream", "-c", "fast", "-d", self.url())
        return made

    def finish_archiving(self) -> None:
        """Returns when all that is committed by now is in the archive. Raises TimeoutError."""
        segment = self.ask_sql("SELECT pg_walfile_name(pg_switch_wal())")
        wait_until((self._kept / segment).exists, "the log is in the archive")

    def restore(self, backup: Path, until: str) -> None:
        """Point-in-time recovery: starts it with the data of `backup` and what the archive has from then `until` that moment; returns when it takes writes. All that
        was committed later is gone. Something must have been, or there is no such point. The backup is used up. Raises TimeoutError with the server's log."""
        self.stop()
        shutil.rmtree(self._data)
        backup.rename(self._data)
        (self._data / "recovery.signal").touch()
        with (self._data / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
            settings.write(
                f"restore_command = 'cp {self._kept}/%f %p'\n"
                f"recovery_target_time = '{until}'\nrecovery_target_action = 'promote'\n"
            )
        self.start()
        wait_until(lambda: self.ask_sql("SELECT pg_is_in_recovery()") == "f", "it is restored", 2 * START_TIMEOUT_S)

    @property
    def _kept(self) -> Path:
        if self._archive is None:
            raise RuntimeError("it keeps no log: PostgresServer(archives=True)")
        return self._archive

    def _make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)
        account = self._account()
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)

    def dump(self, database: str = "postgres") -> str:
        """All rows of a database, as statements. Raises RuntimeError with what pg_dump says."""
        return self._told("pg_dump", "--data-only", "--inserts", "-d", self.url(database))

    @property
    def version(self) -> str:
        """Of the server that runs: "15.14". Raises RuntimeError."""
        return self.ask_sql("SHOW server_version").split(maxsplit=1)[0]

    def _told(self, program: str, *arguments: str) -> str:
        command = [str(self._bin / program), *arguments]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, check=False, capture_output=True, text=True, **self._as_account()
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def _command(self) -> Sequence[str]:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200", "shared_buffers": "32MB"}  # fmt: skip
        if self._archive is not None:
            settings |= {
                "archive_mode": "on",
                "archive_command": f"cp %p {self._archive}/%f.part && mv {self._archive}/%f.part {self._archive}/%f",
            }
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
