"""Whether a request comes from this very machine, with nothing in between. When in doubt it does not."""

from __future__ import annotations

import ipaddress
from typing import Final

from sessile.web.asgi import Scope, host_of
from sessile.web.cookie_names import is_this_machine

_OF_PROXIES: Final = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-forwarded-port",
        b"x-forwarded-server",
        b"x-forwarded-prefix",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-host",
        b"x-envoy-external-address",
        b"cf-connecting-ip",
        b"true-client-ip",
        b"fly-client-ip",
        b"x-amzn-trace-id",
        b"x-cloud-trace-context",
    }
)
"""Headers that only something in between adds. A server that believes its proxy has put the address of the proxy's client in the place of the proxy's own, and the
headers are still there: so whoever writes 127.0.0.1 into them comes from nowhere near."""
_OLD_HTTP: Final = "1.0"
"""What nginx speaks to whom it passes on to, where nobody has told it otherwise, without a header that says so."""


def is_from_this_machine(scope: Scope) -> bool:
    """The connection's other end is a loopback address, the name in Host is one of this machine (a page whose name was made to lead here has another one), and no
    header of a proxy came with it. A socket of the file system (Unix) has no address, and a proxy at its other end."""
    client = scope.get("client")
    if not client or scope.get("http_version", "1.1") == _OLD_HTTP or not is_this_machine(host_of(scope)):
        return False
    if any(name.lower() in _OF_PROXIES for name, _ in scope["headers"]):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
