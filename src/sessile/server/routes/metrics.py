"""Numbers for those who watch the process, in Prometheus' text format (0.0.4). Standalone only: an application has its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from sessile.model.errors import StoreUnavailable
from sessile.model.health import CacheStatus, Health

router = APIRouter(tags=["health"])
_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LINK_STATES: Final = ("up", "connecting", "down", "new")
_Line = tuple[str, str, str, float]
"""Name, type, help, value."""


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> PlainTextResponse:
    state = request.app.state
    try:
        health: Health | None = await state.manager.health()
    except StoreUnavailable:
        health = None
    lines = [
        ("sessile_sockets", "gauge", "WebSockets of this process.", len(state.hub.connections)),
        ("sessile_draining", "gauge", "1 while the process says goodbye to its sockets.", state.hub.draining),
        ("sessile_store_up", "gauge", "1 when the database answered just now.", health is not None),
        *_of_store(health),
    ]
    return PlainTextResponse(_text(lines), media_type=_MEDIA_TYPE)


def _of_store(health: Health | None) -> Iterator[_Line]:
    if health is None:
        return
    yield (
        "sessile_store_latency_seconds",
        "gauge",
        "How long the last look at the database took.",
        health.latency_ms / 1000,
    )
    if health.pool is not None:
        yield "sessile_pool_connections", "gauge", "Connections to the database.", health.pool.size
        yield "sessile_pool_in_use", "gauge", "Of these at work.", health.pool.in_use
        yield "sessile_pool_size_max", "gauge", "How many there may be.", health.pool.size_max
    if health.cache is not None:
        yield from _of_cache(health.cache)


def _of_cache(cache: CacheStatus) -> Iterator[_Line]:
    yield (
        "sessile_cache_used",
        "gauge",
        "1 while sessions are read from the cache; else the database answers.",
        cache.is_used,
    )
    yield "sessile_cache_hits_total", "counter", "Sessions read from the cache.", cache.hits
    yield "sessile_cache_misses_total", "counter", "Sessions that the database had to answer.", cache.misses
    yield (
        "sessile_cache_failures_total",
        "counter",
        "Connections to the cache that were lost or not had.",
        cache.link.failures,
    )
    yield "sessile_cache_timeouts_total", "counter", "Calls that the cache did not answer in time.", cache.link.timeouts
    yield (
        "sessile_cache_refusals_total",
        "counter",
        "Calls that failed at once because the cache was away.",
        cache.link.refusals,
    )
    for number, name in enumerate(_LINK_STATES):
        told = "How the way to the cache is: 1 for the state it is in." if number == 0 else ""
        yield f'sessile_cache_link{{state="{name}"}}', "gauge" if number == 0 else "", told, cache.link.state == name


def _text(lines: list[_Line]) -> str:
    text = []
    for name, kind, told, value in lines:
        if kind:
            family = name.partition("{")[0]
            text += [f"# HELP {family} {told}", f"# TYPE {family} {kind}"]
        text.append(f"{name} {float(value):g}")
    return "\n".join(text) + "\n"
