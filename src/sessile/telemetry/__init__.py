"""What Sessile tells about itself: metrics, logs, traces, health, alerts; and tools to see what an operation costs.

from sessile import telemetry

with telemetry.profile("checkout", queries_max=5):
    ...
"""

from sessile.telemetry.profiling import (
    BudgetExceeded,
    Measured,
    Profile,
    count_queries,
    forget_profiles,
    profile,
    profiles,
)

__all__ = ["BudgetExceeded", "Measured", "Profile", "count_queries", "forget_profiles", "profile", "profiles"]
