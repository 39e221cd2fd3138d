"""What Redis says of itself, for `sessile doctor`: one command on a connection of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessile.model.fence import CacheUnavailable
from sessile.runtime.lane import drive
from sessile.stores.redis.address import parse_address
from sessile.stores.redis.link import Limits
from sessile.stores.redis.topology import blocking_route


def configuration(address: str) -> Mapping[str, str]:
    """What it says of its memory; nothing where it does not let us ask."""
    reply = _ask(address, "CONFIG", "GET", "maxmemory*")
    if isinstance(reply, dict):
        return {_text(name): _text(value) for name, value in reply.items()}
    parts = [_text(part) for part in reply] if isinstance(reply, list) else []
    return dict(zip(parts[::2], parts[1::2], strict=False))


def time_of(address: str) -> float | None:
    """Its clock, in seconds since 1970; None where it does not let us ask."""
    reply = _ask(address, "TIME")
    if not isinstance(reply, list) or len(reply) != 2:
        return None
    seconds, micros = (int(_text(part)) for part in reply)
    return seconds + micros / 1e6


def _ask(address: str, *command: str) -> Any:
    route = blocking_route(parse_address(address), Limits())
    try:
        return drive(route.call(drive(route.server()), "sessile", command))
    except CacheUnavailable:
        return None
    finally:
        drive(route.close())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
