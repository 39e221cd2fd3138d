"""Where a service is."""

from __future__ import annotations

from urllib.parse import urlsplit

from sessile.model.errors import ConfigurationError


def addresses(url: str) -> tuple[str, str]:
    """The service's address for HTTP and for the socket. Raises ConfigurationError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("A client needs the service's address, like https://example.com/")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("The service's address has no user, query or fragment; the token is given as `token`.")
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    socket_scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{parts.scheme}://{parts.netloc}{path}", f"{socket_scheme}://{parts.netloc}{path}ws"
