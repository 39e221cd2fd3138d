"""From an address to a route, in each lane."""

from __future__ import annotations

from sessile.model.errors import ConfigurationError
from sessile.stores.redis.address import Address, Node, Topology
from sessile.stores.redis.asyncio_link import AsyncLink
from sessile.stores.redis.blocking_link import BlockingLink
from sessile.stores.redis.link import Limits
from sessile.stores.redis.route import DirectRoute, Route
from sessile.stores.redis.wire import Greeting


def async_route(address: Address, limits: Limits) -> Route:
    """Nothing is connected yet. Raises ConfigurationError."""
    if address.topology is not Topology.SINGLE:
        raise ConfigurationError("not yet")
    node = address.nodes[0]
    greeting = Greeting(address.login, address.database)

    async def locate() -> Node:
        return node

    return DirectRoute(AsyncLink(str(address), locate, greeting, tls=address.tls_context(), limits=limits))


def blocking_route(address: Address, limits: Limits) -> Route:
    """Nothing is connected yet. Raises ConfigurationError."""
    if address.topology is not Topology.SINGLE:
        raise ConfigurationError("not yet")
    node = address.nodes[0]
    greeting = Greeting(address.login, address.database)
    return DirectRoute(
        BlockingLink(str(address), lambda _within_s: node, greeting, tls=address.tls_context(), limits=limits)
    )
