"""Who may see figures and history of a process: this machine, whoever has the service key, or (by a setting) everybody."""

from __future__ import annotations

from starlette.requests import Request

from sessile.model.errors import AuthenticationRequired
from sessile.server.access import is_service
from sessile.server.local import is_from_this_machine
from sessile.server.refusals import NoSuchPage


def may_watch(request: Request) -> bool:
    """Figures have no user data, but they tell how much the service is used, and when it is weak."""
    settings = request.app.state.manager.settings
    match settings.metrics_access:
        case "open":
            return True
        case "off":
            return False
    key = settings.service_key
    if key is not None and is_service(request, key.get_secret_value()):
        return True
    return is_from_this_machine(request.scope)


def check_watcher(request: Request) -> None:
    """Raises NoSuchPage where nobody may, AuthenticationRequired for somebody from elsewhere without the service key."""
    if request.app.state.manager.settings.metrics_access == "off":
        raise NoSuchPage
    if not may_watch(request):
        raise AuthenticationRequired("service_key")
