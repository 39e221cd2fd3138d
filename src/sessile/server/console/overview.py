"""The first page: how many are here, what happens each second, and how that was lately."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from sessile.model.operator_access import Right
from sessile.server.answers import ok
from sessile.server.console.history import WINDOWS
from sessile.server.console.table import Call, Route


async def overview(call: Call) -> Response:
    window = call.one_of("window", "5m", WINDOWS)
    monitor = call.console.monitor
    monitor.looked_at()
    told = await monitor.overview()
    now = call.console.manager.clock.now().timestamp()
    return ok({**told, "history": monitor.history.window(window, now)})


ROUTES: Final = (Route("GET", "/overview", Right.READ, overview),)
