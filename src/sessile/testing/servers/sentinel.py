"""Redis with replicas and sentinels for tests: failovers that keep every write, and failovers that do not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from sessile.testing.servers.process import START_TIMEOUT_S, ServerProcess, wait_until
from sessile.testing.servers.redis_server import RedisProcess, RedisServer
from sessile.testing.servers.resp import RedisRefused, text_of, texts_of
from sessile.testing.servers.server_set import ServerSet

NAME: Final = "sessile"
"""What the sentinels call the master."""
_DOWN_AFTER_MS: Final = 1000
_FAILOVER_TIMEOUT_MS: Final = 2000
"""A sentinel that took part in a failover begins none for twice as long."""
_HOLD_MAX_S: Final = 8.0
"""A sentinel promotes no replica that was apart from its master for longer than ten times `down-after-milliseconds`."""
_REPLICA: Final = "replica"
"""The account with which replicas connect, so that it can be locked: name and password."""


class RedisSentinel(RedisProcess):
    """One sentinel. A majority of them has to agree that a master is gone.

    One that was paused for more than two seconds takes its clock for broken and does nothing for thirty: kill and start it instead.
    """

    def __init__(self, master: RedisServer, quorum: int) -> None:
        super().__init__("redis-sentinel")
        access = [] if master.password is None else [f'sentinel auth-pass {NAME} "{master.password}"']
        self.configure(
            [
                "bind 127.0.0.1",
                f"port {self.port}",
                f"dir {self.folder}",
                f"sentinel monitor {NAME} 127.0.0.1 {master.port} {quorum}",
                f"sentinel down-after-milliseconds {NAME} {_DOWN_AFTER_MS}",
                f"sentinel failover-timeout {NAME} {_FAILOVER_TIMEOUT_MS}",
                f"sentinel parallel-syncs {NAME} 5",
                *access,
            ]
        )

    def master_port(self) -> int:
        """Of the master that it would tell a client. Raises OSError when it does not answer."""
        return int(texts_of(self.run("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME))[1])

    def knows(self) -> tuple[int, int]:
        """How many replicas and how many other sentinels."""
        facts = self._facts()
        return int(facts["num-slaves"]), int(facts["num-other-sentinels"])

    def is_busy(self) -> bool:
        """Whether it is in the middle of a failover that it leads."""
        return "failover_in_progress" in self._facts()["flags"].split(",")

    def _facts(self) -> dict[str, str]:
        parts = texts_of(self.run("SENTINEL", "MASTER", NAME))
        return dict(zip(parts[::2], parts[1::2], strict=True))


class RedisSentinelSet(ServerSet):
    """A master, its replicas, and sentinels that promote one of them when the master is gone: after about three seconds. Raises ServerMissing."""

    def __init__(
        self,
        replicas: int = 2,
        sentinels: int = 3,
        *,
        password: str | None = None,
        aof: Literal["no", "everysec", "always"] = "no",
        extra: Mapping[str, str] | None = None,
    ) -> None:
        settings = {
            "user": f"{_REPLICA} on >{_REPLICA} +psync +replconf +ping",
            "masteruser": _REPLICA,
            "masterauth": _REPLICA,
            **(extra or {}),
        }
        first = RedisServer(aof, password=password, extra=settings)
        others = [RedisServer(aof, password=password, replica_of=first, extra=settings) for _ in range(replicas)]
        self.servers = [first, *others]
        """The servers, in no order that means anything; `master` and `replicas` say who is what."""
        self.sentinels = [RedisSentinel(first, sentinels // 2 + 1) for _ in range(sentinels)]
        self._led = first
        self._held_since: float | None = None

    def start(self) -> None:
        for server in self.servers:
            server.start()
        # A sentinel asks for replicas when it starts and then every ten seconds: they have to be there by then.
        for replica in self.replicas:
            replica.wait_for_replication()
        for sentinel in self.sentinels:
            sentinel.start()
        complete = (len(self.servers) - 1, len(self.sentinels) - 1)
        wait_until(lambda: all(sentinel.knows() == complete for sentinel in self.sentinels), "the sentinels are met")

    def processes(self) -> Sequence[ServerProcess]:
        return [*self.sentinels, *self.servers]

    def url(self, database: int = 0) -> str:
        """`redis+sentinel://host:port,host:port,host:port/sessile`, with `/database` behind it when that is not 0."""
        access = "" if self.servers[0].password is None else f":{self.servers[0].password}@"
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{access}{places}/{NAME}" + (f"/{database}" if database else "")

    @property
    def master(self) -> RedisServer:
        """Whom the sentinels name; the one that was named last while none of them is there to ask."""
        asked = next((sentinel for sentinel in self.sentinels if sentinel.is_active), None)
        return self._led if asked is None else self._at(asked.master_port())

    @property
    def replicas(self) -> list[RedisServer]:
        """The others, those that are dead, too."""
        master = self.master
        return [server for server in self.servers if server is not master]

    def failover(self, *, lose_last_writes: bool = False, window_s: float = 0.5) -> RedisServer:
        """Makes another server the master; returns it when all sentinels agree. Raises TimeoutError.

        Without more no write is lost: writes wait until the new master is there and are then refused with READONLY by the old one,
        which is a replica by then. With `lose_last_writes` the master is killed, and the new one lacks what was written, and
        acknowledged, since `hold_replication` was called, or else in the next `window_s` seconds. The old one stays dead until
        `rejoin`.
        """
        if not lose_last_writes:
            return self._hand_over()
        if self._held_since is None:
            self.hold_replication()
            time.sleep(window_s)
        held_s = time.monotonic() - (self._held_since or 0.0)
        if held_s > _HOLD_MAX_S:
            self.release_replication()
            raise TimeoutError(
                f"replication was held for {held_s:.1f} s; after {_HOLD_MAX_S:g} s nobody would be promoted"
            )
        self.kill_master()
        return self.wait_for_failover()

    def hold_replication(self) -> None:
        """From now on the master acknowledges writes that no replica gets: until `release_replication`, or a failover within eight seconds loses them."""
        self._wait_for_rest()
        master = self.master
        # Not by SIGSTOP of the replicas: what waits in their sockets would be read when they go on.
        master.run("ACL", "SETUSER", _REPLICA, "off")
        master.run("CLIENT", "KILL", "TYPE", "replica")
        self._held_since = time.monotonic()

    def release_replication(self) -> None:
        """Replicas get what they missed, within about a second."""
        self.master.run("ACL", "SETUSER", _REPLICA, "on")
        self._held_since = None

    def kill_master(self) -> RedisServer:
        """SIGKILL to the master; returns it. The sentinels find out by themselves, see `wait_for_failover`."""
        self._wait_for_rest()
        self._led = self.master
        self._led.kill()
        self._held_since = None
        return self._led

    def wait_for_failover(self, timeout_s: float = START_TIMEOUT_S) -> RedisServer:
        """The new master, when every sentinel that is not dead or paused names it and it takes writes. Raises TimeoutError."""

        def is_done() -> bool:
            named = {sentinel.master_port() for sentinel in self.sentinels if sentinel.is_active}
            if len(named) != 1 or self._led.port in named:
                return False
            return self._at(named.pop()).info("replication")["role"] == "master"

        wait_until(is_done, "the sentinels agree on another master", timeout_s)
        self._led = self.master
        return self._led

    def rejoin(self) -> None:
        """Starts what is dead as replicas of the master; returns when all replicas are in step. Raises TimeoutError."""
        master = self.master
        for server in self.servers:
            if not server.is_running:
                server.follow(master)
                server.start()

        def are_in_step() -> bool:
            # Starved sentinels begin another failover by themselves: the master may be another one each time.
            master = self.master
            return all(self._is_in_step(server, master) for server in self.servers if server is not master)

        wait_until(are_in_step, "the replicas follow the master", 2 * START_TIMEOUT_S)

    def _wait_for_rest(self) -> None:
        # A sentinel whose new master dies while it still reconfigures replicas stays in that failover for ever.
        active = [sentinel for sentinel in self.sentinels if sentinel.is_active]
        wait_until(lambda: not any(sentinel.is_busy() for sentinel in active), "the last failover has ended")

    def _hand_over(self) -> RedisServer:
        """By the sentinels alone the old master would take writes, and lose them, for ten more seconds."""
        self._wait_for_rest()
        self._led = old = self.master
        old.run("CLIENT", "PAUSE", int(START_TIMEOUT_S * 1000), "WRITE")
        try:
            written = int(old.info("replication")["master_repl_offset"])
            wait_until(lambda: self._have_all(old, written), "the replicas have every write")
            wait_until(self._order_failover, "a sentinel begins the failover")
            new = self.wait_for_failover()
            old.follow(new)
        finally:
            old.run("CLIENT", "UNPAUSE")
        return new

    def _have_all(self, master: RedisServer, written: int) -> bool:
        """Whether each living replica has acknowledged this offset; they do so every second."""
        lines = [
            value for name, value in master.info("replication").items() if name.startswith("slave") and "=" in value
        ]
        offsets = [int(dict(part.split("=") for part in line.split(","))["offset"]) for line in lines]
        living = sum(replica.is_active for replica in self.replicas)
        return len(offsets) >= living and all(offset >= written for offset in offsets)

    def _is_in_step(self, replica: RedisServer, master: RedisServer) -> bool:
        # Until it hears of the new master it is in step with the old one.
        now = replica.info("replication")
        return now.get("master_port") == str(master.port) and now["master_link_status"] == "up"

    def _order_failover(self) -> bool:
        sentinel = next(sentinel for sentinel in self.sentinels if sentinel.is_active)
        try:
            return text_of(sentinel.run("SENTINEL", "FAILOVER", NAME)) == "OK"
        except RedisRefused:
            return False  # one is under way, or it has not seen a good replica yet

    def _at(self, port: int) -> RedisServer:
        return next(server for server in self.servers if server.port == port)
