"""Redis for tests, from the installed binaries."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from sessile.testing.servers.certificates import Certificates, make_certificates
from sessile.testing.servers.process import START_TIMEOUT_S, ServerMissing, ServerProcess, wait_until
from sessile.testing.servers.resp import RedisRefused, Reply, ask, text_of

_DATA: Final = ("dump.rdb", "appendonlydir", "appendonly.aof")
"""What Redis keeps; the last is what version 6 has instead of the folder."""


class RedisProcess(ServerProcess):
    """What servers and sentinels have in common: a configuration in a file, because Redis itself rewrites it, and `run`."""

    def __init__(self, binary: str, *, password: str | None = None, port: int | None = None) -> None:
        self._binary = redis_binary(binary)
        self.password = password
        self._ca: Path | None = None
        super().__init__(port)

    def run(self, *command: str | bytes | float, timeout_s: float = 5.0) -> Reply:
        """The answer to one command: a status as text, values as bytes. Raises RedisRefused, and OSError when nobody answers in time."""
        return ask(self.port, *command, password=self.password, ca_file=self._ca, timeout_s=timeout_s)

    def info(self, section: str) -> dict[str, str]:
        """One section of INFO. Raises as `run` does."""
        lines = text_of(self.run("INFO", section)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def configure(self, lines: Sequence[str]) -> None:
        """Writes its configuration file."""
        self._configuration.write_text("\n".join([*lines, ""]), encoding="utf-8")

    @property
    def run_id(self) -> str:
        """Another one after every start."""
        return self.info("server")["run_id"]

    @property
    def _configuration(self) -> Path:
        return self.folder / "redis.conf"

    def _command(self) -> Sequence[str]:
        return [self._binary, str(self._configuration)]

    def _answers(self) -> bool:
        try:
            return self.run("PING", timeout_s=1.0) == "PONG"
        except (OSError, RedisRefused):
            return False  # not there yet, or LOADING


class RedisServer(RedisProcess):
    """One Redis. Raises ServerMissing when it is not installed.

    `aof` is how durable it is: "no" forgets everything when it ends; "always" syncs before it answers. `maxmemory` is "2mb" and the like,
    and a full one refuses writes unless `extra` says otherwise. `extra` has further settings of redis.conf. Without `port` a free one is found.
    `binary` is another server of the same kind, by name or path: `valkey-server`.
    """

    def __init__(
        self,
        aof: Literal["no", "everysec", "always"] = "no",
        *,
        password: str | None = None,
        tls: bool = False,
        maxmemory: str | None = None,
        replica_of: RedisServer | None = None,
        extra: Mapping[str, str] | None = None,
        port: int | None = None,
        binary: str = "redis-server",
    ) -> None:
        super().__init__(binary, password=password, port=port)
        self.aof = aof
        settings = {
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": '""',
            "appendonly": "no" if aof == "no" else "yes",
            "appendfsync": "everysec" if aof == "no" else aof,
            # Five seconds otherwise, in which it waits for more replicas.
            "repl-diskless-sync-delay": "0",
        }
        # A replica and its master have to trust each other.
        known = replica_of._certificates if replica_of is not None else None
        self._certificates: Certificates | None = known or (make_certificates(self.folder) if tls else None)
        settings |= self._access()
        if maxmemory is not None:
            settings |= {"maxmemory": maxmemory, "maxmemory-policy": "noeviction"}
        if replica_of is not None:
            settings |= {"replicaof": f"127.0.0.1 {replica_of.port}"}
        settings |= extra or {}
        self.configure([f"{name} {value}" for name, value in settings.items()])

    def url(self, database: int = 0, port: int | None = None) -> str:
        """`redis://...` or `rediss://...`; with the port of a proxy in front of it when one is given."""
        scheme = "redis" if self._ca is None else "rediss"
        access = "" if self.password is None else f":{quote(self.password, safe='')}@"
        return f"{scheme}://{access}127.0.0.1:{port or self.port}/{database}"

    @property
    def ca_file(self) -> Path:
        """What a client has to trust, with `tls=True`."""
        assert self._ca is not None, "it was made without tls"
        return self._ca

    def flush(self) -> None:
        """Removes every key while it runs."""
        self.run("FLUSHALL")

    def restart_empty(self) -> None:
        """Kills it and starts it without anything it had."""
        self.kill()
        self._forget()
        self.start()

    def copy_data(self) -> Path:
        """A folder with what it has now, for `restart_from`. It is removed when the server is closed."""
        if self.aof == "no":
            self.run("SAVE", timeout_s=START_TIMEOUT_S)
        else:
            # Not a copy of the file as it stands: with "everysec" the last writes may not be in it yet.
            wait_until(self._rewrite, "a rewrite of the append-only file begins")
            wait_until(self._is_rewritten, "the append-only file is rewritten")
        copy = Path(tempfile.mkdtemp(prefix="copy-", dir=self.folder))
        _copy(self.folder, copy)
        return copy

    def restart_from(self, older_copy: Path) -> None:
        """Kills it and starts it with what it had when the copy was made."""
        self.kill()
        self._forget()
        _copy(older_copy, self.folder)
        self.start()

    def follow(self, master: RedisServer) -> None:
        """Makes it a replica of another one; from its next start on when it does not run."""
        place = ("127.0.0.1", str(master.port))
        if self.is_running:
            self.run("REPLICAOF", *place)
        kept = self._configuration.read_text(encoding="utf-8").splitlines()
        self.configure([line for line in kept if not line.startswith("replicaof ")] + ["replicaof " + " ".join(place)])

    def wait_for_replication(self) -> None:
        """Returns when this replica has what its master has. Raises TimeoutError."""
        wait_until(lambda: self.info("replication").get("master_link_status") == "up", "the replica is in step")

    def _rewrite(self) -> bool:
        """Whether a rewrite of its append-only file was begun; not while another one is under way, which could lack the last writes."""
        try:
            self.run("BGREWRITEAOF")
        except RedisRefused:
            return False
        return True

    def _is_rewritten(self) -> bool:
        now = self.info("persistence")
        return now["aof_rewrite_in_progress"] == "0" and now["aof_rewrite_scheduled"] == "0"

    def _forget(self) -> None:
        for kept in map(self.folder.joinpath, _DATA):
            if kept.is_dir():
                shutil.rmtree(kept)
            else:
                kept.unlink(missing_ok=True)

    def _access(self) -> dict[str, str]:
        settings = {} if self.password is None else dict.fromkeys(("requirepass", "masterauth"), f'"{self.password}"')
        if self._certificates is None:
            return settings | {"port": str(self.port)}
        self._ca = self._certificates.ca
        return settings | {
            "port": "0",
            "tls-port": str(self.port),
            "tls-replication": "yes",
            "tls-auth-clients": "no",
            "tls-ca-cert-file": str(self._certificates.ca),
            "tls-cert-file": str(self._certificates.certificate),
            "tls-key-file": str(self._certificates.key),
        }


def redis_binary(name: str) -> str:
    """The path of `redis-server`, `redis-sentinel` or `redis-cli`. Raises ServerMissing."""
    found = shutil.which(name)
    if found is None:
        raise ServerMissing(f"Redis is not installed: there is no {name}")
    return found


def _copy(source: Path, target: Path) -> None:
    for kept in map(source.joinpath, _DATA):
        if kept.is_dir():
            shutil.copytree(kept, target / kept.name)
        elif kept.exists():
            shutil.copy2(kept, target)
