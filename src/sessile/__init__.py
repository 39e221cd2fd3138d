"""Sessions and live documents that keep people where they were."""

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
