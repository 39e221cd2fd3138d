"""Users: what is known of them, ending all of their sessions, shutting them out."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from sessile.model.document import Owner
from sessile.model.errors import InvalidValue
from sessile.model.limits import USER_ID_LENGTH_MAX
from sessile.model.operator_access import Right
from sessile.model.session import EndReason, Principal
from sessile.model.wire import platform_to_wire
from sessile.server.answers import ok
from sessile.server.console import wire
from sessile.server.console.sessions import DOCUMENTS_SHOWN, ReasonBody, check_confirmed
from sessile.server.console.table import Call, Route
from sessile.server.refusals import NoSuchPage


class EndBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str
    confirm: int | None = None


def _user(call: Call) -> str:
    user_id = call.path("user_id")
    if not user_id.isprintable() or len(user_id) > USER_ID_LENGTH_MAX:
        raise InvalidValue("/user", f"is a printable text of at most {USER_ID_LENGTH_MAX} characters")
    return user_id


async def _known(call: Call, user_id: str) -> tuple[Principal | None, list[str]]:
    """What is known of a user, and the handles of their sessions. Raises NoSuchPage for one whom nobody knows."""
    manager = call.console.manager
    principal = await manager.get_principal(user_id)
    own = [session.session_id for session in await manager.list_sessions(user_id)]
    if principal is None and not own and not await manager.list_platforms(user_id, with_inactive=True):
        raise NoSuchPage("Nobody of this name ever had a session here.")
    return principal, own


async def shown(call: Call) -> Response:
    user_id = _user(call)
    principal, own = await _known(call, user_id)
    seen = await call.console.oversight.see(own[:DOCUMENTS_SHOWN])
    platforms = await call.console.manager.list_platforms(user_id)
    documents = await call.console.manager.operators.documents(Owner(user_id=user_id))
    return ok(
        {
            "user": wire.user(user_id, principal, len(own)),
            "sessions": [wire.row(one, call.console.hub) for one in seen],
            "platforms": [platform_to_wire(platform) for platform in platforms],
            "documents": [wire.document(one) for one in documents[:DOCUMENTS_SHOWN]],
        }
    )


async def ended(call: Call) -> Response:
    user_id, body = _user(call), await call.body(EndBody)
    act = call.act(f"user:{user_id}", "end_sessions", body.reason)
    _, own = await _known(call, user_id)
    check_confirmed(len(own), body.confirm)
    manager = call.console.manager
    result: dict[str, Any] = {}

    async def end() -> None:
        await manager.handoffs.withdraw(user_id)
        done = await call.console.oversight.end_sessions(own, call.act("", "end", body.reason))
        # A login that came in between is over, too.
        late = await manager.cleanup_user_sessions(user_id, reason=EndReason.ADMIN)
        result.update(ended=done.ended + late, already_over=done.already_over, sockets=done.sockets)

    await call.console.done(act, end, before={"sessions": len(own)}, after={"sessions": 0})
    return ok(result)


async def disabled(call: Call) -> Response:
    user_id, body = _user(call), await call.body(EndBody)
    act = call.act(f"user:{user_id}", "disable", body.reason)
    principal, own = await _known(call, user_id)
    check_confirmed(len(own), body.confirm)
    manager = call.console.manager
    result: dict[str, Any] = {}

    async def disable() -> None:
        result["ended"] = await manager.disable_user(user_id)
        await manager.handoffs.withdraw(user_id)

    was_disabled = principal is not None and principal.disabled_at is not None
    before = {"is_disabled": was_disabled, "sessions": len(own)}
    await call.console.done(act, disable, before=before, after={"is_disabled": True, "sessions": 0})
    return ok(result | {"user": wire.user(user_id, await manager.get_principal(user_id), 0)})


async def enabled(call: Call) -> Response:
    user_id, body = _user(call), await call.body(ReasonBody)
    act = call.act(f"user:{user_id}", "enable", body.reason)
    principal, own = await _known(call, user_id)
    manager = call.console.manager

    async def enable() -> None:
        await manager.enable_user(user_id)

    was_disabled = principal is not None and principal.disabled_at is not None
    await call.console.done(act, enable, before={"is_disabled": was_disabled}, after={"is_disabled": False})
    return ok({"user": wire.user(user_id, await manager.get_principal(user_id), len(own))})


ROUTES: Final = (
    Route("POST", "/users/{user_id:path}/end", Right.USER_END, ended),
    Route("POST", "/users/{user_id:path}/disable", Right.USER_DISABLE, disabled),
    Route("POST", "/users/{user_id:path}/enable", Right.USER_DISABLE, enabled),
    Route("GET", "/users/{user_id:path}", Right.READ, shown),
)
