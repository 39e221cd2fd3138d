"""How the parts are, since when, and what changed lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.responses import Response

from sessile.model.health import CacheStatus, ComponentState, Health
from sessile.model.operator_access import Right
from sessile.model.wire import iso, iso_or_none
from sessile.runtime.settings import Settings
from sessile.server.answers import ok
from sessile.server.console.table import Call, Route
from sessile.server.refusals import NoSuchPage
from sessile.telemetry.hub import Telemetry

_FLIPS_KEPT: Final = 100
_LAG_BAD_MS: Final = 200.0
_ORDER: Final = {"ok": 0, "off": 0, "degraded": 1, "down": 2}


class Components:
    """As of the last look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, tuple[str, datetime, dict[str, Any]]] = {}
        self._flips: deque[dict[str, Any]] = deque(maxlen=_FLIPS_KEPT)

    def note(
        self, now: datetime, health: Health | None, *, lag: tuple[float, float], sockets: int, draining: bool
    ) -> None:
        """What was seen just now. `health` None: the database did not answer."""
        latency = None if health is None else round(health.latency_ms, 3)
        self._put(now, "database", "down" if health is None else "ok", {"latency_ms": latency})
        pool = None if health is None else health.pool
        if pool is not None:
            is_full = pool.in_use >= pool.size_max
            facts = {"size": pool.size, "in_use": pool.in_use, "size_max": pool.size_max, "waiting": pool.waiting}
            self._put(now, "pool", "degraded" if is_full else "ok", facts)
        if health is not None:
            self._put(now, "redis", *_redis(health.cache))
        p95, most = lag
        loop = {"lag_p95_ms": p95, "lag_max_ms": most}
        self._put(now, "event_loop", "degraded" if p95 > _LAG_BAD_MS else "ok", loop)
        self._put(now, "sockets", "degraded" if draining else "ok", {"connections": sockets, "draining": draining})
        self._put(now, "audit", "ok", self._sinks())

    def _sinks(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "file": settings.audit_file is not None,
            "syslog": settings.audit_syslog is not None,
            "webhook": settings.audit_webhook_url is not None,
            "retention_d": settings.audit_retention_d,
        }

    def _put(self, now: datetime, name: str, state: str, facts: dict[str, Any]) -> None:
        before, since, _ = self._known.get(name, (None, now, {}))
        if before is not None and before != state:
            self._flips.appendleft({"at": iso(now), "name": name, "from": before, "to": state})
        self._known[name] = (state, since if before == state else now, facts)

    def told(self, now: datetime, others: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """The worst of them, and of the others, is the state of the whole."""
        states = [state for state, _, _ in self._known.values()] + [str(one["state"]) for one in others]
        worst = max(states, key=lambda state: _ORDER[state], default="ok")
        return {
            "at": iso(now),
            "state": "ok" if worst == "off" else worst,
            "components": [
                {"name": name, "state": state, "since": iso(since), "facts": facts}
                for name, (state, since, facts) in self._known.items()
            ]
            + list(others),
            "flips": list(self._flips),
        }


def _redis(cache: CacheStatus | None) -> tuple[str, dict[str, Any]]:
    if cache is None:
        return "off", {"link": "not configured"}
    state = "ok" if cache.link.state == "up" and cache.is_used else "degraded"
    link = cache.link
    return state, {
        "is_used": cache.is_used,
        "link": link.state,
        "hits": cache.hits,
        "misses": cache.misses,
        "failures": link.failures,
        "timeouts": link.timeouts,
        "refusals": link.refusals,
    }


_STATES: Final = {ComponentState.HEALTHY: "ok", ComponentState.DEGRADED: "degraded", ComponentState.UNHEALTHY: "down"}
_OURS: Final = frozenset({"database", "pool", "cache", "responsiveness"})
"""Parts of which the console has figures of its own."""


def watched(telemetry: Telemetry) -> list[dict[str, Any]]:
    """The other parts that the process watches: their reasons are their facts."""
    return [
        {"name": one.name, "state": _STATES[one.state], "since": iso(one.since), "facts": {"reason": one.reason}}
        for one in telemetry.components()
        if one.name not in _OURS
    ]


def alerts(telemetry: Telemetry) -> list[dict[str, Any]]:
    """Those that are active, acknowledged or not."""
    return [
        {
            "rule": one.rule.name,
            "meaning": one.rule.meaning,
            "severity": str(one.rule.severity),
            "state": str(one.state),
            "since": iso(one.since),
            "value": one.value,
            "threshold": one.rule.threshold,
            "unit": one.rule.unit,
            "told_again_at": iso_or_none(telemetry.alerts.told_again_at(one)),
            "acknowledged_by": one.acknowledged_by,
            "note": one.note,
        }
        for one in telemetry.alerts.active()
    ]


async def health(call: Call) -> Response:
    """How things are just now."""
    console = call.console
    console.monitor.looked_at()
    await console.monitor.sample()
    telemetry = console.manager.telemetry
    told = console.monitor.components.told(console.manager.clock.now(), watched(telemetry))
    return ok({**told, "alerts": alerts(telemetry)})


class AcknowledgeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


async def acknowledged(call: Call) -> Response:
    """Somebody has seen an alert and looks after it. Of this process: alerts are each process's own."""
    body, rule = await call.body(AcknowledgeBody), call.path("rule")
    act = call.act("system", "acknowledge_alert", body.reason)
    telemetry = call.console.manager.telemetry
    if rule not in {one.rule.name for one in telemetry.alerts.active()}:
        raise NoSuchPage("There is no such alert now.")
    await call.console.manager.operators.note(act, {"rule": rule})
    telemetry.alerts.acknowledge(rule, act.by, act.reason)
    return ok({"alerts": alerts(telemetry)})


ROUTES: Final = (
    Route("GET", "/health", Right.READ, health),
    Route("POST", "/alerts/{rule}/acknowledge", Right.ALERT_ACKNOWLEDGE, acknowledged),
)
