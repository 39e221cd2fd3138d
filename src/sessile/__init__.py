"""Sessions and live documents that keep people where they were."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from sessile.runtime.blocking import SessionManager
    from sessile.runtime.kinds import DocumentKind
    from sessile.runtime.manager import AsyncSessionManager
    from sessile.runtime.settings import Settings

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
]

_WHEN_ASKED_FOR = {
    "AsyncSessionManager": "sessile.runtime.manager",
    "DocumentKind": "sessile.runtime.kinds",
    "SessionManager": "sessile.runtime.blocking",
    "Settings": "sessile.runtime.settings",
}
"""What needs pydantic, by its module: who wants an error class or a record should not wait for that."""


def __getattr__(name: str) -> Any:
    if name not in _WHEN_ASKED_FOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_WHEN_ASKED_FOR[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
