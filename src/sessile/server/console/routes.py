"""Every route of the console's API with the right that it needs: the one table, and what a test goes through role by role."""

from __future__ import annotations

from typing import Final

from sessile.server.console import about, account, audit, devices, documents, feed, health, overview, sessions, users
from sessile.server.console.table import Route

ROUTES: Final[tuple[Route, ...]] = (
    *account.ROUTES,
    *overview.ROUTES,
    *sessions.ROUTES,
    *users.ROUTES,
    *documents.ROUTES,
    *devices.ROUTES,
    *audit.ROUTES,
    *health.ROUTES,
    *about.ROUTES,
    *feed.ROUTES,
)
