"""Redis Cluster for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sessile.testing.servers.process import START_TIMEOUT_S, ServerProcess, free_port, is_free, wait_until
from sessile.testing.servers.redis_server import RedisServer, redis_binary
from sessile.testing.servers.resp import RedisRefused, text_of
from sessile.testing.servers.server_set import ServerSet

_BUS: Final = 10_000
"""What the port of the cluster's bus lies above the one for clients. Version 6 cannot be told another."""
_NODE_TIMEOUT_MS: Final = 2000
_PORT_ATTEMPTS: Final = 200


@dataclass(frozen=True)
class _Node:
    """One line of CLUSTER NODES."""

    node_id: str
    port: int
    flags: frozenset[str]
    master_id: str
    first_slot: int | None


class RedisClusterSet(ServerSet):
    """Masters that share the slots, each with its replicas; a replica takes over about three seconds after its master is gone.

    A master is named by its index: 0 owns the first slots, whoever that is by now. Raises ServerMissing.
    """

    def __init__(self, masters: int = 3, replicas: int = 1, *, extra: Mapping[str, str] | None = None) -> None:
        self._cli = redis_binary("redis-cli")
        self._replicas = replicas
        settings = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(_NODE_TIMEOUT_MS),
            # A replica stays with its master, or a test could not say which one takes over.
            "cluster-migration-barrier": "100",
            **(extra or {}),
        }
        self.servers = [RedisServer(port=_free_pair(), extra=settings) for _ in range(masters * (1 + replicas))]

    def start(self) -> None:
        for server in self.servers:
            server.start()
        places = [f"127.0.0.1:{server.port}" for server in self.servers]
        command = [
            self._cli,
            "--cluster",
            "create",
            *places,
            "--cluster-replicas",
            str(self._replicas),
            "--cluster-yes",
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=2 * START_TIMEOUT_S)
        if done.returncode:
            raise TimeoutError(done.stdout + done.stderr)
        wait_until(self._is_whole, "every node knows the cluster")

    def processes(self) -> Sequence[ServerProcess]:
        return self.servers

    def url(self) -> str:
        """`redis+cluster://host:port,host:port,...` with every node."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def masters(self) -> list[RedisServer]:
        """Who owns slots, in their order; one that was killed until its replica has taken over. Raises OSError when no node answers."""
        return self._owners(next(iter(self._active()), self.servers[0]))

    def failover(self, index: int) -> RedisServer:
        """Makes a replica of this master the master, as an operator would: no write is lost. Returns it when all nodes know. Raises TimeoutError, and LookupError without a living replica."""
        wait_until(self._is_whole, "every node knows the cluster")
        before = self.masters()[index]
        after = self._replica_of(before)

        def is_ordered() -> bool:
            try:
                return after.run("CLUSTER", "FAILOVER") == "OK"
            except RedisRefused:
                return False  # its link to the master is not up yet

        wait_until(is_ordered, "the replica begins the failover")
        wait_until(lambda: self._is_whole() and self.masters()[index] is after, "all nodes know the new master")
        return after

    def kill(self, index: int) -> RedisServer:
        """SIGKILL to this master; returns it. The others find out by themselves, see `wait_for_failover`."""
        killed = self.masters()[index]
        killed.kill()
        return killed

    def wait_for_failover(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Returns when every slot is owned by a node that is there, and all that are there know it. Raises TimeoutError."""
        wait_until(self._is_served, "every slot has a living owner", timeout_s)

    def rejoin(self) -> None:
        """Starts what is dead; returns when everybody has found its place, as a replica where another one took over. Raises TimeoutError."""
        for server in self.servers:
            if not server.is_running:
                server.start()
        wait_until(self._is_whole, "every node knows the cluster")

    def _active(self) -> list[RedisServer]:
        return [server for server in self.servers if server.is_active]

    def _is_served(self) -> bool:
        views = [self._owners(server) for server in self._active()]
        is_one_view = all(view == views[0] and all(owner.is_active for owner in view) for view in views)
        return is_one_view and all("cluster_state:ok" in text_of(at.run("CLUSTER", "INFO")) for at in self._active())

    def _is_whole(self) -> bool:
        """Served, and each replica is in step with its master."""
        if not self._is_served():
            return False
        owners = self.masters()
        followers = {server.port for server in self._active() if server not in owners}
        if any(self._followers(seen_by) != followers for seen_by in self._active()):
            return False
        return all(self._at(port).info("replication").get("master_link_status") == "up" for port in followers)

    def _owners(self, seen_by: RedisServer) -> list[RedisServer]:
        owners = [node for node in _nodes(seen_by) if node.first_slot is not None]
        return [self._at(node.port) for node in sorted(owners, key=lambda node: node.first_slot or 0)]

    def _followers(self, seen_by: RedisServer) -> set[int]:
        """Ports of the replicas that are there, with a master that is there."""
        nodes = _nodes(seen_by)
        masters = {node.node_id for node in nodes if self._at(node.port).is_active}
        return {node.port for node in nodes if node.master_id in masters and self._at(node.port).is_active}

    def _replica_of(self, master: RedisServer) -> RedisServer:
        nodes = _nodes(master)
        its_id = next(node.node_id for node in nodes if "myself" in node.flags)
        followers = [self._at(node.port) for node in nodes if node.master_id == its_id]
        for follower in followers:
            if follower.is_active:
                return follower
        raise LookupError("this master has no replica that is there")

    def _at(self, port: int) -> RedisServer:
        return next(server for server in self.servers if server.port == port)


def _nodes(seen_by: RedisServer) -> list[_Node]:
    nodes = []
    for line in text_of(seen_by.run("CLUSTER", "NODES")).splitlines():
        node_id, place, flags, master_id, _ping, _pong, _epoch, _link, *slots = line.split()
        port = int(place.partition("@")[0].rpartition(":")[2])
        # A slot in brackets is one that is being moved.
        owned = [int(slot.partition("-")[0]) for slot in slots if not slot.startswith("[")]
        nodes.append(_Node(node_id, port, frozenset(flags.split(",")), master_id, min(owned, default=None)))
    return nodes


def _free_pair() -> int:
    """A free port whose bus port is free, too."""
    for _ in range(_PORT_ATTEMPTS):
        port = free_port()
        if port + _BUS < 65_536 and is_free(port + _BUS):
            return port
    raise OSError(f"no free pair of ports in {_PORT_ATTEMPTS} attempts")
