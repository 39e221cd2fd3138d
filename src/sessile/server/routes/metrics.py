"""Numbers for those who watch the process, in Prometheus' text format (0.0.4). Standalone only: an application has its own."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from sessile.model.errors import StoreUnavailable
from sessile.model.health import Health
from sessile.server.watching import check_watcher
from sessile.telemetry.exposition import MEDIA_TYPE

router = APIRouter(tags=["health"])


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> PlainTextResponse:
    check_watcher(request)
    manager = request.app.state.manager
    pool = manager.pool()
    try:
        health: Health | None = await manager.health()
    except StoreUnavailable:
        health = None
    manager.telemetry.note_health(health, pool)
    return PlainTextResponse(manager.telemetry.exposition(), media_type=MEDIA_TYPE)
