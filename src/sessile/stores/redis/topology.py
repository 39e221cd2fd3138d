"""From an address to a route, in each lane."""

from __future__ import annotations

from sessile.stores.redis.address import Address, Topology
from sessile.stores.redis.cluster import ClusterRoute
from sessile.stores.redis.lanes import AsyncLane, BlockingLane, Lane
from sessile.stores.redis.link import Limits, Locate
from sessile.stores.redis.route import DirectRoute, Route
from sessile.stores.redis.sentinel import Sentinels, fixed
from sessile.stores.redis.wire import Greeting


def async_route(address: Address, limits: Limits) -> Route:
    """Nothing is connected yet. Raises ConfigurationError."""
    return _route(address, AsyncLane(address.tls_context(), limits))


def blocking_route(address: Address, limits: Limits) -> Route:
    """Nothing is connected yet. Raises ConfigurationError."""
    return _route(address, BlockingLane(address.tls_context(), limits))


def _route(address: Address, lane: Lane) -> Route:
    if address.topology is Topology.CLUSTER:
        return ClusterRoute(address, lane)
    locate: Locate = fixed(address.nodes[0])
    if address.topology is Topology.SENTINEL:
        locate = Sentinels(address, lane).locate
    return DirectRoute(lane.link(str(address), locate, Greeting(address.login, address.database)))
