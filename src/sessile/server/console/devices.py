"""Devices that are connected now, on whichever process."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from sessile.model.errors import InvalidValue
from sessile.model.operator_access import Right
from sessile.server.answers import ok
from sessile.server.console import wire
from sessile.server.console.table import Call, Route


async def listed(call: Call) -> Response:
    after = (call.text("after") or "").split(".")
    if after != [""] and len(after) != 3:
        raise InvalidValue("/after", "is what an earlier page gave")
    found = await call.console.oversight.devices(
        call.text("q") or "", after=after if after != [""] else (), limit=call.number("limit", 50, 1, 200)
    )
    rows = [
        {"session_id": one.session_id, "user_id": found.users.get(one.session_id), **wire.device(one)}
        for one in found.leases
    ]
    return ok({"devices": rows, "total": found.total, "after": found.after})


ROUTES: Final = (Route("GET", "/devices", Right.READ, listed),)
