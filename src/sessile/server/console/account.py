"""The operator's own session, and those of the others."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from sessile import __version__
from sessile.model.errors import InvalidValue
from sessile.model.operator_access import RIGHTS, OperatorEnd, Right
from sessile.model.wire import iso
from sessile.server.answers import ok
from sessile.server.console import wire
from sessile.server.console.sessions import CONFIRM_ABOVE, ReasonBody
from sessile.server.console.table import Call, Route, is_handle
from sessile.server.refusals import NoSuchPage


async def shown(call: Call) -> Response:
    console, operator = call.console, call.operator
    return ok(
        {
            "operator": operator.operator,
            "role": str(operator.role),
            "rights": sorted(str(right) for right in RIGHTS[operator.role]),
            "csrf": await console.access.csrf_token(operator),
            "signed_in_at": iso(operator.created_at),
            "idle_expires_at": iso(operator.idle_expires_at),
            "absolute_expires_at": iso(operator.absolute_expires_at),
            "idle_timeout_s": console.manager.settings.console_idle_timeout_s,
            "server": {
                "version": __version__,
                "node_id": console.hub.leases.node_id,
                "now": iso(console.manager.clock.now()),
                "confirm_above": CONFIRM_ABOVE,
            },
        }
    )


async def signed_out(call: Call) -> Response:
    await call.console.sign_out(call.operator)
    cleared = call.console.access.set_cookie(call.request.scope, "", 0)
    return Response(status_code=204, headers={"set-cookie": cleared, "clear-site-data": '"cache"'})


async def operators(call: Call) -> Response:
    found = await call.console.manager.operator_access.credentials()
    return ok({"operators": [wire.credential(one, call.operator) for one in found]})


async def ended(call: Call) -> Response:
    body = await call.body(ReasonBody)
    act = call.act("system", "end_operator", body.reason)
    credential_id = call.path("credential_id")
    if not is_handle(credential_id):
        raise InvalidValue("/id", "is one of the list of operators")
    access = call.console.manager.operator_access
    if not await access.end(credential_id, OperatorEnd.REVOKED, by=act.by, reason=act.reason):
        raise NoSuchPage("There is no such operator's session or token any more.")
    call.console.feeds.end(credential_id, "revoked")
    return Response(status_code=204)


ROUTES: Final = (
    Route("GET", "/session", Right.READ, shown),
    Route("DELETE", "/session", Right.READ, signed_out),
    Route("GET", "/operators", Right.OPERATORS_MANAGE, operators),
    Route("POST", "/operators/{credential_id}/end", Right.OPERATORS_MANAGE, ended),
)
