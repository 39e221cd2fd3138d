"""Django: `SESSION_ENGINE = "sessile.integrations.django"`, and this in the place of Django's own session middleware:

    MIDDLEWARE = [..., "sessile.integrations.django.SessionMiddleware", ...]
    INSTALLED_APPS = [..., "sessile.integrations.django"]
    SESSILE = {"DATABASE_URL": "sqlite:////path/to/sessile.sqlite3"}

`request.session` is then Django's session object with the verbs of the other frameworks beside it. docs/how-to/django.md has the rest.
"""

from __future__ import annotations

from sessile.integrations.django.access import (
    aget_current_session_context,
    current_session,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
    require_authentication,
    require_bound,
    require_fresh,
    require_platform,
)
from sessile.integrations.django.middleware import SessionMiddleware, session_of
from sessile.integrations.django.process import close, get_manager
from sessile.integrations.django.store import SessionStore

__all__ = [
    "SessionMiddleware",
    "SessionStore",
    "aget_current_session_context",
    "close",
    "current_session",
    "get_current_platform_id",
    "get_current_session_context",
    "get_current_user_id",
    "get_manager",
    "is_session_authenticated",
    "require_authentication",
    "require_bound",
    "require_fresh",
    "require_platform",
    "session_of",
]
