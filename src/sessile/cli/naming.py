"""Whether an application that is named as `module:app` has sessions of ours."""

from __future__ import annotations

from typing import Any

from sessile.model.errors import ConfigurationError


def application_problem(name: str) -> str | None:
    """What is wrong; None when it has them."""
    from sessile.cli.hosted import load_application

    try:
        application: Any = load_application(name)
    except ConfigurationError as error:
        return error.message
    if getattr(getattr(application, "state", None), "sessile", None) is not None:  # FastAPI, Starlette
        return None
    if "sessile" in getattr(application, "extensions", {}):  # Flask
        return None
    if type(application).__module__.partition(".")[0] == "django":
        from django.conf import settings

        if settings.SESSION_ENGINE == "sessile.integrations.django":
            return None
        return f"SESSION_ENGINE of {name} is {settings.SESSION_ENGINE}"
    return f"{name} has no Sessile(app)"
