"""Sessions and live documents that keep people where they were."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessile.model.document import Actor, CheckpointKind, Policy
    from sessile.model.errors import (
        AuthenticationRequired,
        ChangeRejected,
        ConfigurationError,
        DocumentNotFound,
        FreshnessRequired,
        InvalidChange,
        InvalidValue,
        PlatformRefused,
        SessileError,
        SessionEnded,
        SessionExpired,
        SessionNotFound,
        StoreUnavailable,
        VersionConflict,
    )
    from sessile.model.platform import Platform, PlatformEntry
    from sessile.model.session import EndReason, Session
    from sessile.runtime.blocking import SessionManager
    from sessile.runtime.kinds import DocumentKind
    from sessile.runtime.manager import AsyncSessionManager
    from sessile.runtime.settings import Settings
    from sessile.runtime.webhooks import verify_webhook

__version__ = "0.1.0"
__all__ = [
    "Actor",
    "AsyncSessionManager",
    "AuthenticationRequired",
    "ChangeRejected",
    "CheckpointKind",
    "ConfigurationError",
    "DocumentKind",
    "DocumentNotFound",
    "EndReason",
    "FreshnessRequired",
    "InvalidChange",
    "InvalidValue",
    "Platform",
    "PlatformEntry",
    "PlatformRefused",
    "Policy",
    "SessileError",
    "Session",
    "SessionEnded",
    "SessionExpired",
    "SessionManager",
    "SessionNotFound",
    "Settings",
    "StoreUnavailable",
    "VersionConflict",
    "__version__",
    "verify_webhook",
]

_WHEN_ASKED_FOR = {
    "Actor": "sessile.model.document",
    "AsyncSessionManager": "sessile.runtime.manager",
    "AuthenticationRequired": "sessile.model.errors",
    "ChangeRejected": "sessile.model.errors",
    "CheckpointKind": "sessile.model.document",
    "ConfigurationError": "sessile.model.errors",
    "DocumentKind": "sessile.runtime.kinds",
    "DocumentNotFound": "sessile.model.errors",
    "EndReason": "sessile.model.session",
    "FreshnessRequired": "sessile.model.errors",
    "InvalidChange": "sessile.model.errors",
    "InvalidValue": "sessile.model.errors",
    "Platform": "sessile.model.platform",
    "PlatformEntry": "sessile.model.platform",
    "PlatformRefused": "sessile.model.errors",
    "Policy": "sessile.model.document",
    "SessileError": "sessile.model.errors",
    "Session": "sessile.model.session",
    "SessionEnded": "sessile.model.errors",
    "SessionExpired": "sessile.model.errors",
    "SessionManager": "sessile.runtime.blocking",
    "SessionNotFound": "sessile.model.errors",
    "Settings": "sessile.runtime.settings",
    "StoreUnavailable": "sessile.model.errors",
    "VersionConflict": "sessile.model.errors",
    "verify_webhook": "sessile.runtime.webhooks",
}
"""Everything, by its module: who wants an error class should not wait for pydantic, nor the command line for either."""


def __getattr__(name: str) -> Any:
    if name not in _WHEN_ASKED_FOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_WHEN_ASKED_FOR[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
