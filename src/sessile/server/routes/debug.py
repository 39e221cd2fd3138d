"""What the service sees of a request's session and cookies, for who wonders why somebody is not logged in. Only where `SESSILE_DEBUG` is on, and then for requests
from this machine or of an operator; everybody else is told that there is nothing. No value is shown: names, sizes and times are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request

from sessile.model.errors import ConfigurationError, SessileError
from sessile.model.session import Session
from sessile.model.values import decode
from sessile.model.wire import iso, iso_or_none
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.access import Access, Seen
from sessile.server.answers import Json, ok
from sessile.server.local import is_from_this_machine
from sessile.server.refusals import NoSuchPage
from sessile.web.asgi import Scope, header_values, host_of, scheme_of

OPERATOR_ROLES: Final = frozenset({"admin", "operator"})
REDACTED: Final = "[redacted]"
_KEYS_MAX: Final = 100


async def permitted(request: Request) -> Seen:
    """The caller. Raises NoSuchPage for whom these pages are not there."""
    manager: AsyncSessionManager = request.app.state.manager
    access: Access = request.app.state.access
    if not manager.settings.debug:
        raise NoSuchPage
    seen = await access.look(request.scope)
    if not is_from_this_machine(request.scope) and not await _is_operator(manager, seen.session):
        raise NoSuchPage
    return seen


Permitted = Annotated[Seen, Depends(permitted)]
router = APIRouter(prefix="/api/v0/debug", include_in_schema=False)


@router.get("/session")
async def session_of_request(request: Request, seen: Permitted) -> Json:
    """Which session the request has, its clocks, and the names of what is kept in it; without one the reason."""
    manager: AsyncSessionManager = request.app.state.manager
    shown = None if seen.session is None else _session(seen.session, manager.clock.now())
    credential = "bearer" if seen.is_bearer else "cookie"
    return ok(
        {"session": shown, "reason": seen.reason or None, "credential": credential, "request": _request(request.scope)}
    )


@router.get("/cookie")
async def cookie_of_service(request: Request, _seen: Permitted) -> Json:
    """The cookie that an answer to this request would set, and what is wrong or weak about it."""
    access: Access = request.app.state.access
    try:
        name, *attributes = access.set_cookie(request.scope, "", None).decode("ascii").split("; ")
        would_set: dict[str, Any] = {"name": name.partition("=")[0], "value": REDACTED, "attributes": attributes}
    except ConfigurationError as error:
        would_set = {"refused": error.message}
    findings = [asdict(finding) for finding in access.cookies.check(request.scope)]
    return ok({"would_set": would_set, "findings": findings, "request": _request(request.scope)})


@router.get("/request-cookies")
async def cookies_of_request(request: Request, seen: Permitted) -> Json:
    """The cookies that came, by name and size, and what was made of them."""
    access: Access = request.app.state.access
    found = access.cookies.read(request.scope)
    try:
        expected: str | None = access.cookies.name_for(scheme_of(request.scope), host_of(request.scope))
    except ConfigurationError:
        expected = None
    cookies = [
        {"name": name, "value": REDACTED, "bytes": len(value), "is_session": name == expected}
        for name, value in _pairs(request.scope)
    ]
    return ok(
        {
            "cookies": cookies,
            "expected_name": expected,
            "cookie_reason": found.reason or None,
            "session_reason": seen.reason or None,
            "has_legacy": access.cookies.legacy is not None and access.cookies.legacy.has_one(request.scope),
            "request": _request(request.scope),
        }
    )


async def _is_operator(manager: AsyncSessionManager, session: Session | None) -> bool:
    if session is None or session.user_id is None:
        return False
    principal = await manager.get_principal(session.user_id)
    return principal is not None and not OPERATOR_ROLES.isdisjoint(principal.roles)


def _session(session: Session, now: datetime) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "standing": str(session.standing),
        "version": session.version,
        "platform_id": session.platform_id,
        "created_at": iso(session.created_at),
        "authenticated_at": iso_or_none(session.authenticated_at),
        "last_seen_at": iso(session.last_seen_at),
        "idle_expires_at": iso(session.idle_expires_at),
        "absolute_expires_at": iso(session.absolute_expires_at),
        "ends_in_s": round((session.expires_at - now).total_seconds(), 3),
        "token_seen_at": iso_or_none(session.token_seen_at),
        "retired_tokens": len(session.retired_tokens),
        "is_remembered": session.is_remembered,
        "is_bound": session.binding is not None,
        "has_fingerprint": session.fingerprint is not None,
        "data": _kept(session.data),
        "public": dict.fromkeys(sorted(session.public), REDACTED),
        "device": dict.fromkeys(sorted(session.device), REDACTED),
    }


def _kept(data: bytes) -> dict[str, Any]:
    """The names in the framework's dict and its size, or that it cannot be read."""
    try:
        names = sorted(map(str, decode(data)))
    except SessileError as error:
        return {"bytes": len(data), "damaged": error.code}
    return {
        "bytes": len(data),
        "keys": dict.fromkeys(names[:_KEYS_MAX], REDACTED),
        "keys_left_out": len(names[_KEYS_MAX:]),
    }


def _request(scope: Scope) -> dict[str, Any]:
    client = scope.get("client")
    named = [
        name
        for name in ("origin", "sec-fetch-site", "x-forwarded-proto", "x-forwarded-host")
        if header_values(scope["headers"], name.encode())
    ]
    return {
        "scheme": scheme_of(scope),
        "host": host_of(scope),
        "client": client[0] if client else None,
        "headers": {name: header_values(scope["headers"], name.encode()) for name in named},
    }


def _pairs(scope: Scope) -> Iterator[tuple[str, str]]:
    for header in header_values(scope["headers"], b"cookie"):
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            if name or value:
                yield name, value
