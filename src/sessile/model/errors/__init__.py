"""Every error Sessile raises.

    SessileError
    ├── ConfigurationError              a setting is missing, weak or contradicts another
    ├── StoreUnavailable                cannot look: the store is down, locked or too slow (retryable)
    │   └── ContentUnreadable           what is kept is encrypted, and no key opens it (retryable)
    ├── SessionError
    │   ├── SessionNotFound             no such session, or the token is not one of ours
    │   ├── SessionExpired              idle or absolute deadline passed
    │   ├── SessionEnded                ended, with the reason
    │   ├── SessionClosed               written to after the response had started
    │   │   └── SessionReadOnly         the log-in changed while the request was under way
    │   ├── SessionDamaged              its stored data cannot be read
    │   ├── SessionCreationError        a session could not be made
    │   │   ├── SessionLimitReached     the user has as many as are allowed
    │   │   └── MaintenanceUnderway     nobody new is let in just now (retryable)
    │   ├── SessionUpdateError          a session could not be changed
    │   └── AuthenticationRequired      a user is needed here
    ├── FreshnessRequired               the last authentication is too old for this
    ├── OriginRefused / CsrfFailed      a request from somewhere else
    ├── InvalidValue                    a value that cannot be kept; names the path
    ├── InvalidChange                   a change that is malformed; names the path
    ├── DocumentNotFound / CheckpointNotFound
    ├── HandoffRefused                  a code that is wrong, used, too late, or was not agreed to
    ├── TooManyTries                    wrong guesses from one address (retryable)
    ├── PlatformRefused                 not a platform that this user can be on
    ├── DocumentTooLarge                over a limit of `sessile.model.limits`
    ├── VersionConflict                 somebody was faster; carries what is there now
    ├── ChangeRejected                  a server-side change got the verdict rejected or conflict
    │   └── ConflictNotFound            it resolves a conflict that is not open
    ├── SchemaUnknown                   this process does not know the document's kind, or only an older version of it
    ├── SchemaUpgradeFailed             a state of an older version could not be brought to the present one
    ├── VersionNotKept                  the log does not reach back that far any more
    ├── ExportDamaged                   an exported document that is not as it was exported
    └── SequenceGap / IdentityReused    a device's sequence does not fit (answered with nack)

"Not found" and "cannot look" are never the same error: an outage must not look like a logout.

Each class says its usual `cause` and its `cure`; docs/reference/errors.md is made of them, and a test provokes every one.
"""

from __future__ import annotations

from sessile.model.errors.documents import (
    ChangeRejected,
    CheckpointNotFound,
    ConflictNotFound,
    DocumentNotFound,
    ExportDamaged,
    IdentityReused,
    SchemaUnknown,
    SchemaUpgradeFailed,
    SequenceGap,
    VersionNotKept,
    rejection,
)
from sessile.model.errors.root import (
    ConfigurationError,
    ContentUnreadable,
    SessileError,
    StoreUnavailable,
)
from sessile.model.errors.sessions import (
    AuthenticationRequired,
    BindingRefused,
    BindingRequired,
    CsrfFailed,
    FreshnessRequired,
    HandoffRefused,
    MaintenanceUnderway,
    OriginRefused,
    PlatformRefused,
    SessionClosed,
    SessionCreationError,
    SessionDamaged,
    SessionEnded,
    SessionError,
    SessionExpired,
    SessionLimitReached,
    SessionNotFound,
    SessionReadOnly,
    SessionUpdateError,
    TooManyTries,
)
from sessile.model.errors.values import (
    DocumentTooLarge,
    InvalidChange,
    InvalidValue,
    VersionConflict,
)

__all__ = [
    "AuthenticationRequired",
    "BindingRefused",
    "BindingRequired",
    "ChangeRejected",
    "CheckpointNotFound",
    "ConfigurationError",
    "ConflictNotFound",
    "ContentUnreadable",
    "CsrfFailed",
    "DocumentNotFound",
    "DocumentTooLarge",
    "ExportDamaged",
    "FreshnessRequired",
    "HandoffRefused",
    "IdentityReused",
    "InvalidChange",
    "InvalidValue",
    "MaintenanceUnderway",
    "OriginRefused",
    "PlatformRefused",
    "SchemaUnknown",
    "SchemaUpgradeFailed",
    "SequenceGap",
    "SessileError",
    "SessionClosed",
    "SessionCreationError",
    "SessionDamaged",
    "SessionEnded",
    "SessionError",
    "SessionExpired",
    "SessionLimitReached",
    "SessionNotFound",
    "SessionReadOnly",
    "SessionUpdateError",
    "StoreUnavailable",
    "TooManyTries",
    "VersionConflict",
    "VersionNotKept",
    "rejection",
]
