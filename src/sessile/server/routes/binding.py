"""Binding a session to its device (W3C DBSC): the two addresses that a browser asks by itself. Its signature, and not a token in the page, is what counts.

How these are answered decides whether the browser keeps the binding: after 401, 403 without a challenge or 429 it forgets it, after 5xx it comes again. So
trouble of ours is always 503, and nothing here may count requests (seen with Chromium 156, which is stricter than the specification).
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from sessile.engine.binding import BindingOver, BoundCookie, Challenged
from sessile.model.errors import BindingRefused, OriginRefused, SessionError
from sessile.model.session import Session
from sessile.model.structured_field import parse_item, quoted
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.access import Access
from sessile.server.answers import ok
from sessile.web.asgi import header_values, host_of, scheme_of
from sessile.web.binding import (
    CHALLENGE,
    IDENTIFIER,
    REFRESH_PATH,
    REGISTRATION_PATH,
    RESPONSE,
    cookie_attributes,
    cookie_name,
    set_cookie,
)

router = APIRouter(tags=["session"])
_SHOWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
                    "session_identifier": "019d4766-2000-7000-8000-000000000001",
                    "refresh_url": REFRESH_PATH,
                    "continue": True,
                    "scope": {
                        "origin": "https://example.org",
                        "include_site": False,
                        "scope_specification": [{"type": "exclude", "domain": "*", "path": "/static"}],
                    },
                    "credentials": [
                        {
                            "type": "cookie",
                            "name": "__Host-sessile-bound",
                            "attributes": "Path=/; Secure; HttpOnly; SameSite=Lax",
                        }
                    ],
                    "allowed_refresh_initiators": ["*"],
                }
            }
        }
    }
}
"""Not recorded like the other examples: a browser asks for it, signed with its own key."""


@router.post(
    REGISTRATION_PATH,
    summary="A browser registers its key for the session that has just logged in",
    responses=_SHOWN,
)
async def registration(request: Request) -> Response:
    manager = _usable(request)
    _check_origin(request)
    proof = _one(request, RESPONSE)
    if proof is None:
        raise BindingRefused("proof")
    presented = await _presented(request, manager)
    handle = presented.session_id if presented is not None else None
    bound = await manager.bindings.register(proof, presented=handle, audience=_asked(request))
    return _told(request, manager, bound)


@router.post(
    REFRESH_PATH,
    summary="A browser shows that it still has its key, and gets the next bound cookie",
    responses=_SHOWN,
)
async def refresh(request: Request) -> Response:
    manager = _usable(request)
    _check_origin(request)
    identifier = _one(request, IDENTIFIER)
    if identifier is None:
        # Pages cannot send this header, so this is no browser's own refresh. It learns nothing, and nothing is looked up.
        raise BindingRefused("address")
    match await manager.bindings.refresh(identifier, _one(request, RESPONSE), audience=_asked(request)):
        case BoundCookie() as bound:
            return _told(request, manager, bound)
        case Challenged() as challenged:
            response = ok({"session_identifier": identifier}, status=403)
            response.raw_headers.append((CHALLENGE, _challenge(challenged.challenge, challenged.identifier)))
            return response
        case BindingOver():
            return ok({"session_identifier": identifier, "continue": False})


def _told(request: Request, manager: AsyncSessionManager, bound: BoundCookie) -> Response:
    """The session's instructions, whole each time: what was set otherwise in the meantime reaches every browser with its next refresh."""
    settings = manager.settings
    root = str(request.scope.get("root_path", ""))
    excluded = [{"type": "exclude", "domain": "*", "path": root + path} for path in settings.dbsc_excluded_paths]
    instructions: dict[str, Any] = {
        "session_identifier": bound.identifier,
        "refresh_url": root + REFRESH_PATH,
        "continue": True,
        "scope": {
            "origin": f"https://{host_of(request.scope)}",
            "include_site": False,
            "scope_specification": excluded,
        },
        "credentials": [
            {"type": "cookie", "name": cookie_name(settings), "attributes": cookie_attributes(settings)},
        ],
        # Without it Chromium 156 refreshes nothing for a link on another site's page, and whoever followed it would be nobody there.
        "allowed_refresh_initiators": ["*"],
    }
    response = ok(instructions)
    response.raw_headers += [
        (b"set-cookie", set_cookie(settings, bound)),
        (CHALLENGE, _challenge(bound.challenge, bound.identifier)),
    ]
    return response


def _challenge(challenge: str, identifier: str) -> bytes:
    return f"{quoted(challenge)};id={quoted(identifier)}".encode("ascii")


def _usable(request: Request) -> AsyncSessionManager:
    """Raises BindingRefused where it is off."""
    manager: AsyncSessionManager = request.app.state.manager
    if not manager.settings.dbsc:
        raise BindingRefused("address")
    return manager


def _check_origin(request: Request) -> None:
    """Raises OriginRefused for another site's page."""
    access: Access = request.app.state.access
    origins = header_values(request.scope["headers"], b"origin")
    if origins and (len(origins) > 1 or not access.origins.allows(request.scope, origins[0])):
        raise OriginRefused
    if not origins and header_values(request.scope["headers"], b"sec-fetch-site") == ["cross-site"]:
        raise OriginRefused


async def _presented(request: Request, manager: AsyncSessionManager) -> Session | None:
    """The session of the cookie, if there is a live one: a registration for another one is refused. Raises StoreUnavailable."""
    access: Access = request.app.state.access
    token = access.cookies.read(request.scope).token
    if token is None:
        return None
    try:
        return await manager.authenticate(token)
    except SessionError:
        return None


def _one(request: Request, name: bytes) -> str | None:
    """The one item of a header, quoted or bare."""
    values = header_values(request.scope["headers"], name)
    item = parse_item(values[0]) if len(values) == 1 else None
    return item.value if item is not None else None


def _asked(request: Request) -> str:
    """This very address, as a browser would write it."""
    access: Access = request.app.state.access
    scheme = "https" if access.origins.is_always_secure else scheme_of(request.scope)
    return f"{scheme}://{host_of(request.scope)}{request.scope['path']}"
