"""Who is asking the console: its own cookie, and where a request comes from. Users' sessions and users' cookies mean nothing here.

The cookie is `SameSite=Strict` and `HttpOnly`, under https with the prefix `__Host-`. Over plain http it works for this machine only, whatever `insecure_lan` says.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Final

from sessile.model.errors import AuthenticationRequired, ConfigurationError, CsrfFailed, OriginRefused
from sessile.model.operator_access import OperatorCredential
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.console.refusals import ConsoleNeedsHttps
from sessile.web.asgi import SAFE_METHODS, Scope, header_values, host_of, scheme_of
from sessile.web.cookie_names import is_this_machine, values_of
from sessile.web.csrf import HEADER as CSRF_HEADER

BACKGROUND_HEADER: Final = b"sessile-background"
_PREFIX: Final = "__Host-"
_PURPOSE: Final = "console-csrf"


class ConsoleAccess:
    """Raises AuthenticationRequired, OriginRefused, CsrfFailed, ConsoleNeedsHttps, StoreUnavailable."""

    def __init__(self, manager: AsyncSessionManager) -> None:
        self._manager = manager
        self._name = manager.settings.console_cookie_name
        self._is_always_secure = manager.settings.cookie_secure

    def scheme(self, scope: Scope) -> str:
        """`https` also where only the settings know that a proxy speaks it."""
        return "https" if self._is_always_secure else scheme_of(scope)

    def check_transport(self, scope: Scope) -> None:
        """Plain http is for this machine only."""
        if self.scheme(scope) != "https" and not is_this_machine(host_of(scope)):
            raise ConsoleNeedsHttps

    def check_own_origin(self, scope: Scope) -> None:
        """For everything that acts: `Origin` decides, else `Sec-Fetch-Site: same-origin`; neither is a refusal."""
        origins = header_values(scope["headers"], b"origin")
        if origins:
            if origins != [f"{self.scheme(scope)}://{host_of(scope)}"]:
                raise OriginRefused
        elif header_values(scope["headers"], b"sec-fetch-site") != ["same-origin"]:
            raise CsrfFailed

    def check_read(self, scope: Scope) -> None:
        """For what only tells: no page of another site gets it, nor of another host of this site. A browser's address bar and a program say `none` or
        nothing."""
        origins = header_values(scope["headers"], b"origin")
        if origins and origins != [f"{self.scheme(scope)}://{host_of(scope)}"]:
            raise OriginRefused
        if header_values(scope["headers"], b"sec-fetch-site") not in ([], ["same-origin"], ["none"]):
            raise OriginRefused

    def check_stream(self, scope: Scope) -> None:
        """For the live feed, which `EventSource` opens without `Origin`: then `Sec-Fetch-Site` decides, and for browsers that leave it out (over plain http)
        `Accept: text/event-stream`, which links, pictures and forms do not send."""
        self.check_read(scope)
        if header_values(scope["headers"], b"origin"):
            return
        sites = header_values(scope["headers"], b"sec-fetch-site")
        accepted = ",".join(header_values(scope["headers"], b"accept")).lower()
        if sites != ["same-origin"] and (sites or "text/event-stream" not in accepted):
            raise OriginRefused

    async def operator(self, scope: Scope, *, is_stream: bool = False) -> OperatorCredential:
        """The operator behind the request's one cookie of our name. A stream is opened again and again by the browser itself, so it is no activity."""
        self.check_transport(scope)
        values, imitated = values_of(scope["headers"], self._cookie_name(scope))
        if imitated or len(values) > 1:
            raise AuthenticationRequired("duplicate_cookie")
        if not values:
            raise AuthenticationRequired("no_cookie")
        is_active = not is_stream and not header_values(scope["headers"], BACKGROUND_HEADER)
        return await self._manager.operator_access.authenticate(values[0], is_active=is_active)

    async def csrf_token(self, operator: OperatorCredential) -> str:
        """For the header `X-CSRF-Token`: good for this session of the operator alone."""
        signature = await self._manager.sign(_PURPOSE, operator.credential_id.encode())
        return base64.urlsafe_b64encode(signature).decode()

    async def check_csrf(self, scope: Scope, operator: OperatorCredential) -> None:
        if scope["method"] in SAFE_METHODS:
            return
        values = header_values(scope["headers"], CSRF_HEADER.encode())
        try:
            signature = base64.urlsafe_b64decode(values[0]) if len(values) == 1 else b""
        except (binascii.Error, ValueError):
            signature = b""
        if not await self._manager.verify_signature(_PURPOSE, operator.credential_id.encode(), signature):
            raise CsrfFailed

    def set_cookie(self, scope: Scope, token: str, max_age_s: int) -> str:
        """The Set-Cookie value that gives the browser a token; with 0 that takes it away."""
        secure = "; Secure" if self.scheme(scope) == "https" else ""
        return f"{self._cookie_name(scope)}={token}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"

    def _cookie_name(self, scope: Scope) -> str:
        return _PREFIX + self._name if self.scheme(scope) == "https" else self._name


def require_safe_bind(host: str, settings: Settings) -> None:
    """Before the server listens: operators' credentials travel over https, or not off this machine. Raises ConfigurationError."""
    if _is_loopback(host):
        return
    if settings.insecure_lan:
        raise ConfigurationError(
            "The console is not served with insecure_lan: operators' tokens would cross the network in clear. Leave out one of the two, or listen on 127.0.0.1"
        )
    if not settings.trusted_proxies and not settings.cookie_secure:
        raise ConfigurationError(
            f"The console is not served on {host} without https: name the proxy that ends TLS in SESSILE_TRUSTED_PROXIES, or listen on 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
