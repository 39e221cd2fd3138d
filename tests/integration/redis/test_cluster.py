"""Redis Cluster: every slot is served, a failover anywhere makes it another server, and slots may move meanwhile."""

from __future__ import annotations

import subprocess
import time

import pytest

from sessile.model.fence import CachePlace, CacheUnavailable, Miss, Publication
from sessile.stores.redis.slots import SLOTS, key_slot
from sessile.testing.servers import free_port
from tests.integration.redis.conftest import Cache, Lane, Redis, Start, epoch, place_of


class Cluster:
    """Three masters, three replicas."""

    def __init__(self, start: Start) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0")
        self.nodes = [start(*options, "--cluster-port", str(free_port())) for _ in range(6)]
        addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.wait_until_whole()

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[:2])}"

    def masters(self) -> dict[str, Redis]:
        """By id, as a master says; only those that live."""
        for node in self.nodes:
            if node.is_running and node.cli("ROLE").startswith("master"):
                found = {
                    line[0]: self._at(line[1]) for line in _lines(node) if "master" in line[2] and "fail" not in line[2]
                }
                if len(found) == 3:
                    return found
        raise LookupError("there are no three masters")

    def _at(self, address: str) -> Redis:
        return next(node for node in self.nodes if address.startswith(f"127.0.0.1:{node.port}@"))

    def owners(self) -> list[str]:
        """The id of the master of each slot."""
        masters = self.masters()
        owners = [""] * SLOTS
        for line in _lines(next(iter(masters.values()))):
            for part in line[8:] if line[0] in masters else ():
                first, _, last = part.partition("-")
                if first.isdigit():
                    owners[int(first) : int(last or first) + 1] = [line[0]] * (int(last or first) + 1 - int(first))
        return owners

    def wait_until_whole(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if all(self._is_whole(node) for node in self.nodes):
                return
            time.sleep(0.05)
        raise TimeoutError([node.cli("CLUSTER", "NODES") for node in self.nodes])

    def _is_whole(self, node: Redis) -> bool:
        nodes = node.cli("CLUSTER", "NODES")
        is_linked = node.cli("ROLE").startswith("master") or "\nconnected\n" in node.cli("ROLE")
        return (
            "cluster_state:ok" in node.cli("CLUSTER", "INFO")
            and is_linked
            and nodes.count("slave") == 3
            and "fail" not in nodes
        )


def _lines(node: Redis) -> list[list[str]]:
    return [line.split() for line in node.cli("CLUSTER", "NODES").splitlines()]


@pytest.fixture(scope="module")
def cluster(start_shared: Start) -> Cluster:
    return Cluster(start_shared)


def names_by_master(cluster: Cluster, place: CachePlace, count: int = 60) -> dict[str, list[str]]:
    """Session ids by the id of the master that has them."""
    owners, found = cluster.owners(), dict[str, list[str]]()
    for number in range(count):
        name = f"s{number}"
        found.setdefault(owners[key_slot(f"sessile:{place.epoch}:{name}")], []).append(name)
    return found


def test_every_master_serves_its_slots(either: Lane, cluster: Cluster) -> None:
    async def scenario() -> None:
        cache = either.make(cluster.url)
        place = await place_of(cache)
        names = [f"s{number}" for number in range(300)]
        await cache.mark(place, [(name, name.encode()) for name in names])
        await cache.publish(place, [Publication(name, name.encode(), b"v" + name.encode(), 60) for name in names])
        assert [await cache.get(place, name) for name in names] == [b"v" + name.encode() for name in names]
        assert await cache.lease(place, "missed", b"t")
        await cache.fill(place, "missed", b"t", b"filled", 60)
        await either.sleep(0.05)
        assert await cache.get(place, "missed") == b"filled"
        await cache.close()
        assert len(names_by_master(cluster, place)) == 3

    either.run(scenario())


def test_two_processes_see_one_identity(either: Lane, cluster: Cluster) -> None:
    async def scenario() -> None:
        first, second = either.make(cluster.url), either.make(f"redis+cluster://127.0.0.1:{cluster.nodes[4].port}")
        assert await first.server() == await second.server()
        await first.close()
        await second.close()

    either.run(scenario())


async def marked(cache: Cache, place: CachePlace, names: list[str]) -> bool:
    await cache.mark(place, [(name, b"m") for name in names])
    return True


async def marked_somewhere(cache: Cache, names: list[str]) -> CachePlace | None:
    """Nodes agree on a new master one by one, and on a busy machine not on the first: who it is is asked each time."""
    place = CachePlace(await cache.server(), epoch())
    return place if await marked(cache, place, names) else None


async def planned(replica: Redis) -> bool:
    """Refused while the replica's link to its master is not there."""
    try:
        return replica.cli("CLUSTER", "FAILOVER") == "OK"
    except subprocess.CalledProcessError:
        return False


async def other_server(cache: Cache, before: str) -> bool:
    return await cache.server() != before


def test_a_failover_makes_it_another_server(either: Lane, cluster: Cluster) -> None:
    killed: list[Redis] = []

    async def scenario() -> None:
        cache = either.make(cluster.url)
        place = await place_of(cache)
        by_master = names_by_master(cluster, place)
        victim = cluster.masters()[next(iter(by_master))]
        await cache.mark(place, [(name, b"m") for names in by_master.values() for name in names])
        killed.append(victim)
        victim.kill()
        (lost, *_), *kept = by_master.values()
        with pytest.raises(CacheUnavailable):
            await cache.get(place, lost)
        with pytest.raises(CacheUnavailable):
            await cache.server()
        for names in kept:
            assert await cache.get(place, names[0]) is Miss.BUSY
        await either.until(lambda: other_server(cache, place.server))
        with pytest.raises(CacheUnavailable):
            await cache.get(place, kept[0][0])
        names = [f"s{number}" for number in range(60)]
        after = await either.until(lambda: marked_somewhere(cache, names))
        assert {await cache.get(after, name) for name in names} == {Miss.BUSY}
        await cache.close()

    try:
        either.run(scenario())
    finally:
        for victim in killed:  # the others of this module need it
            victim.start()
    cluster.wait_until_whole()


async def is_refused(cache: Cache, place: CachePlace, session_id: str) -> bool:
    try:
        await cache.get(place, session_id)
    except CacheUnavailable:
        return True
    return False


def test_a_planned_failover_is_noticed_where_it_happened(either: Lane, cluster: Cluster) -> None:
    async def scenario() -> None:
        cache = either.make(cluster.url)
        place = await place_of(cache)
        by_master = names_by_master(cluster, place)
        [replica, *_] = [node for node in cluster.nodes if node not in cluster.masters().values()]
        old_id = replica.cli("CLUSTER", "NODES").partition("myself,slave ")[2].split()[0]
        await either.until(lambda: planned(replica))
        deadline = time.monotonic() + 5
        while not await is_refused(cache, place, by_master[old_id][0]) and time.monotonic() < deadline:
            await either.sleep(0.02)  # until the old master has heard of it
        await either.until(lambda: other_server(cache, place.server))
        await cache.close()

    either.run(scenario())
    cluster.wait_until_whole()


def test_slots_may_move_meanwhile(either: Lane, cluster: Cluster) -> None:
    async def scenario() -> None:
        cache = either.make(cluster.url)
        place = await place_of(cache)
        slot = key_slot(f"sessile:{place.epoch}:s")
        source_id = cluster.owners()[slot]
        masters = cluster.masters()
        source = masters.pop(source_id)
        target_id, target = next(iter(masters.items()))
        target.cli("CLUSTER", "SETSLOT", str(slot), "IMPORTING", source_id)
        source.cli("CLUSTER", "SETSLOT", str(slot), "MIGRATING", target_id)
        await cache.mark(place, [("s", b"m")])  # the source sends it on: it does not have the key any more
        await cache.publish(place, [Publication("s", b"m", b"moved", 60)])
        assert await cache.get(place, "s") == b"moved"
        for node in (target, source):
            node.cli("CLUSTER", "SETSLOT", str(slot), "NODE", target_id)
        for _ in range(3):
            assert await cache.get(place, "s") == b"moved"
        assert await cache.server() == place.server
        await cache.close()

    either.run(scenario())


def test_a_node_of_a_cluster_is_no_single_server(either: Lane, cluster: Cluster, shared: Redis) -> None:
    async def scenario() -> None:
        single = either.make(next(iter(cluster.masters().values())).url)
        with pytest.raises(CacheUnavailable, match="redis\\+cluster"):
            await single.server()
        await single.close()
        none = either.make(f"redis+cluster://127.0.0.1:{shared.port}")
        with pytest.raises(CacheUnavailable):
            await none.server()
        await none.close()

    either.run(scenario())
