"""Sessions: found, looked at, ended one or many, extended, told to look again, moved to another platform."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from sessile.engine.oversight import ENDED_AT_ONCE, SeenSession
from sessile.model.document import Document, Owner
from sessile.model.errors import InvalidValue
from sessile.model.operator_access import Right
from sessile.model.session import Principal
from sessile.model.session_query import LIVE
from sessile.model.wire import iso, platform_to_wire
from sessile.server.answers import ok
from sessile.server.console import wire
from sessile.server.console.refusals import ConfirmationNeeded, SessionNotFoundHere, SessionOver
from sessile.server.console.table import Call, Route, is_handle
from sessile.server.console.timeline import timeline

CONFIRM_ABOVE: Final = 20
"""More sessions than this are ended only with their number typed."""
ROWS_MAX: Final = 10_000
DOCUMENTS_SHOWN: Final = 50
_ORDERS: Final = frozenset({"newest", "oldest"})


class EndBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    session_ids: list[str] | None = None
    q: str | None = None
    reason: str
    confirm: int | None = None


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class PlatformBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    platform_id: str
    expected: str | UnsetType | None = UNSET
    reason: str


async def listed(call: Call) -> Response:
    limit = call.number("limit", 50, 1, ROWS_MAX)
    order = call.one_of("order", "newest", _ORDERS)
    found = await call.console.oversight.find(
        call.text("q") or "", after=call.text("after"), limit=limit, newest_first=order == "newest"
    )
    return ok(
        {
            "sessions": [wire.row(seen, call.console.hub) for seen in found.sessions],
            "total": found.total,
            "after": found.after,
            "query": {"terms": [{"qualifier": name, "value": value} for name, value in found.terms], "problem": None},
        }
    )


async def shown(call: Call) -> Response:
    seen = await the_session(call)
    return ok(await body_of_session(call.console, seen))


async def body_of_session(console: Any, seen: SeenSession, *, is_live: bool = False) -> dict[str, Any]:
    """Everything that the console shows of a session; `is_live`: without what its owner has besides."""
    manager, session = console.manager, seen.session
    principal: Principal | None = None
    body: dict[str, Any] = {
        "session": wire.session_detail(seen, console.hub),
        "platform": platform_to_wire(await manager.get_session_platform(session)),
        "devices": wire.devices(seen.leases),
        "user": None,
    }
    if session.user_id is not None:
        principal = await manager.get_principal(session.user_id)
        own = await manager.list_sessions(session.user_id)
        body["user"] = wire.user(session.user_id, principal, len(own))
    if not is_live:
        platforms = [] if session.user_id is None else await manager.list_platforms(session.user_id)
        documents = await documents_of(console, session.session_id, session.user_id)
        body |= {
            "platforms": [platform_to_wire(platform) for platform in platforms],
            "documents": [wire.document(one) for one in documents[:DOCUMENTS_SHOWN]],
            "documents_truncated": len(documents) > DOCUMENTS_SHOWN,
        }
    return body


async def documents_of(console: Any, session_id: str, user_id: str | None) -> list[Document]:
    """Those that the session works on: its user's, or its own while nobody is logged in."""
    owner = Owner(user_id=user_id) if user_id is not None else Owner(session_id=session_id)
    return list(await console.manager.operators.documents(owner))


async def the_session(call: Call, *, is_live: bool = False) -> SeenSession:
    """The session of the address, over or not. Raises SessionNotFound; SessionOver where it has to be live."""
    session_id = call.path("session_id")
    found = await call.console.oversight.see([session_id]) if is_handle(session_id) else []
    if not found:
        raise SessionNotFoundHere
    if is_live and found[0].state not in LIVE:
        raise SessionOver
    return found[0]


async def ended_many(call: Call) -> Response:
    body = await call.body(EndBody)
    act = call.act("", "end", body.reason)
    if (body.session_ids is None) == (body.q is None):
        raise InvalidValue("/session_ids", "give session_ids or q, one of them")
    remaining = 0
    if body.q is not None:
        ids, total = await call.console.oversight.ids(body.q, limit=ENDED_AT_ONCE)
        check_confirmed(total, body.confirm)
        remaining = total - len(ids)
    else:
        ids = list(dict.fromkeys(body.session_ids or ()))
        if not 1 <= len(ids) <= ENDED_AT_ONCE or not all(is_handle(one) for one in ids):
            raise InvalidValue("/session_ids", f"has 1 to {ENDED_AT_ONCE} handles")
        check_confirmed(len(ids), body.confirm)
    ended = await call.console.oversight.end_sessions(ids, act)
    return ok(
        {"ended": ended.ended, "already_over": ended.already_over, "sockets": ended.sockets, "remaining": remaining}
    )


def check_confirmed(count: int, confirmed: int | None) -> None:
    """The number that a person typed is the number that is about to be ended. Raises ConfirmationNeeded."""
    if count > CONFIRM_ABOVE and confirmed != count:
        raise ConfirmationNeeded(count)


async def ended_one(call: Call) -> Response:
    body = await call.body(ReasonBody)
    act = call.act("", "end", body.reason)
    seen = await the_session(call)
    ended = await call.console.oversight.end_sessions([seen.session.session_id], act)
    return ok({"ended": ended.ended, "already_over": ended.already_over, "sockets": ended.sockets})


async def extended(call: Call) -> Response:
    body = await call.body(ReasonBody)
    seen = await the_session(call, is_live=True)
    session_id, before = seen.session.session_id, seen.session.idle_expires_at
    act = call.act(f"session:{session_id}", "extend", body.reason)

    async def extend() -> None:
        await call.console.manager.extend_session(session_id)

    await call.console.done(act, extend, before={"idle_expires_at": iso(before)})
    again = await the_session(call)
    moved = again.session.idle_expires_at > before
    return ok({"session": wire.session_detail(again, call.console.hub), "moved": moved})


async def resynced(call: Call) -> Response:
    body = await call.body(ReasonBody)
    seen = await the_session(call, is_live=True)
    session_id = seen.session.session_id
    act = call.act(f"session:{session_id}", "resync", body.reason)
    documents = sorted({lease.document_id for lease in seen.leases if lease.document_id})
    await call.console.oversight.resync(session_id, documents, act)
    sockets = sum(lease.tabs for lease in seen.leases if not lease.document_id)
    return ok({"sockets": sockets, "documents": len(documents)})


async def switched(call: Call) -> Response:
    body = await call.body(PlatformBody)
    seen = await the_session(call, is_live=True)
    session_id = seen.session.session_id
    act = call.act(f"session:{session_id}", "switch_platform", body.reason)
    await call.console.manager.check_platform(seen.session.user_id, body.platform_id)

    async def switch() -> None:
        await call.console.manager.switch_platform(session_id, body.platform_id, expected=body.expected)

    before, after = {"platform_id": seen.session.platform_id}, {"platform_id": body.platform_id}
    await call.console.done(act, switch, before=before, after=after)
    return ok({"session": wire.session_detail(await the_session(call), call.console.hub)})


ROUTES: Final = (
    Route("GET", "/sessions", Right.READ, listed),
    Route("POST", "/sessions/end", Right.SESSION_END, ended_many),
    Route("GET", "/sessions/{session_id}", Right.READ, shown),
    Route("GET", "/sessions/{session_id}/timeline", Right.READ, timeline),
    Route("POST", "/sessions/{session_id}/end", Right.SESSION_END, ended_one),
    Route("POST", "/sessions/{session_id}/extend", Right.SESSION_EXTEND, extended),
    Route("POST", "/sessions/{session_id}/resync", Right.SESSION_RESYNC, resynced),
    Route("POST", "/sessions/{session_id}/platform", Right.SESSION_PLATFORM, switched),
)
