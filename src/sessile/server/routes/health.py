"""For those who watch the process. Standalone only: an application has its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, Request

from sessile import __version__
from sessile.model.errors import StoreUnavailable
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.answers import Json, ok
from sessile.server.watching import may_watch

_FLIPS_SHOWN: Final = 50
router = APIRouter(tags=["health"])


@router.get("/", include_in_schema=False)
async def root() -> Json:
    return ok({"name": "Sessile", "version": __version__, "openapi": "/api/v0/openapi.json"})


@router.get("/healthz", summary="The process is alive")
async def alive() -> Json:
    return ok({"status": "ok", "version": __version__})


@router.get("/readyz", summary="The store can be reached and the server takes work")
async def ready(request: Request) -> Json:
    if request.app.state.hub.draining:
        return ok({"status": "draining"}, status=503, headers={"retry-after": str(StoreUnavailable.retry_after_s)})
    # How the pool was when this asked tells a database that is away from one to which no connection is free.
    pool = _pool(request.app.state.manager)
    try:
        health = await request.app.state.manager.health()
    except StoreUnavailable as error:
        away = {"latency_ms": None, "pool": pool}
        return ok(
            {"status": "unavailable", "store": away}, status=503, headers={"retry-after": str(error.retry_after_s)}
        )
    store = {"latency_ms": round(health.latency_ms, 3), "pool": pool}
    told: dict[str, Any] = {
        "status": "ok",
        "store": store,
        "cache": None if health.cache is None else asdict(health.cache),
    }
    if may_watch(request):
        telemetry = request.app.state.manager.telemetry
        told["components"] = [asdict(one) for one in telemetry.components()]
        told["history"] = [asdict(one) for one in telemetry.health_history(limit=_FLIPS_SHOWN)]
        told["alerts"] = [
            {"rule": one.rule.name, "state": one.state, "since": one.since, "value": one.value}
            for one in telemetry.alerts.active()
        ]
    return ok(told)


def _pool(manager: AsyncSessionManager) -> dict[str, int] | None:
    pool = manager.pool()
    return None if pool is None else asdict(pool)
