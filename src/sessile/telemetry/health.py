"""Components with a history: each change of a state is kept with its reason and time, the last ones only."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Final

from sessile.model.health import Component, ComponentState, Flip
from sessile.ports import Clock
from sessile.telemetry.metrics import Metrics
from sessile.telemetry.table import COMPONENTS, UndeclaredTelemetry

FLIPS_MAX: Final = 256
_NUMBERS: Final[Mapping[ComponentState, int]] = {
    ComponentState.HEALTHY: 0,
    ComponentState.DEGRADED: 1,
    ComponentState.UNHEALTHY: 2,
}


class HealthHistory:
    """Safe to share between threads. In memory: a process that begins anew has none."""

    def __init__(self, metrics: Metrics, clock: Clock, flips_max: int = FLIPS_MAX) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._components: dict[str, Component] = {}
        self._flips: deque[Flip] = deque(maxlen=flips_max)

    def report(self, name: str, state: ComponentState, reason: str) -> Flip | None:
        """Notes how a component is; the flip, if its state changed. `reason` must not hold anything that a user or a server wrote. Raises
        UndeclaredTelemetry."""
        if name not in COMPONENTS:
            raise UndeclaredTelemetry(f"{name} is no component of the table")
        now = self._clock.now()
        with self._lock:
            before = self._components.get(name)
            if before is not None and before.state is state:
                self._components[name] = Component(name, state, reason, before.since)
                return None
            self._components[name] = Component(name, state, reason, now)
            self._metrics.gauge("sessile_component_state", component=name).set(_NUMBERS[state])
            if before is None and state is ComponentState.HEALTHY:
                return None
            flip = Flip(name, None if before is None else before.state, state, reason, now)
            self._flips.append(flip)
        self._metrics.counter("sessile_component_flips_total", component=name).add()
        return flip

    def components(self) -> list[Component]:
        """Those that were looked at, in the order of the table."""
        with self._lock:
            return [self._components[name] for name in COMPONENTS if name in self._components]

    def state(self) -> ComponentState:
        """The worst of them."""
        return max((one.state for one in self.components()), key=_NUMBERS.__getitem__, default=ComponentState.HEALTHY)

    def history(self, component: str | None = None, limit: int = FLIPS_MAX) -> list[Flip]:
        """Flips, newest first, of one component or all."""
        with self._lock:
            flips = list(self._flips)
        return [one for one in reversed(flips) if component in (None, one.component)][:limit]
