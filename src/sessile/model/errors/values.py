"""Errors about what was handed in: values, changes, sizes, versions."""

from __future__ import annotations

from typing import Any

from sessile.model.errors.root import SessileError


class InvalidValue(SessileError):
    """A value that cannot be stored. `path` is a JSON Pointer to it."""

    code = "invalid_value"
    http_status = 422
    cause = "A type, number, text or depth that JSON or a row of ours cannot keep."
    cure = "Change the value at `path`: text for an object, a shorter label, no NaN."

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '(top level)'}: {problem}")
        self.path = path

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "path": self.path}


class InvalidChange(SessileError):
    """A change that no correct client sends. `path` names the faulty field, e.g. `/changes/0/operations/2/path`."""

    code = "invalid_change"
    http_status = 422
    cause = "A client with a fault, or operations that were written by hand."
    cure = "Correct the field at `path`; `protocol/README.md` lists the operations and their bounds."

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '(change)'}: {problem}")
        self.path = path

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "path": self.path}


class DocumentTooLarge(SessileError):
    code = "too_large"
    http_status = 413
    default_message = "This is larger than the limit."
    cause = "A state, a session's data, a request or a change is over its bound in `sessile.model.limits`."
    cure = "Split the document, or keep files elsewhere and their address here."


class VersionConflict(SessileError):
    """`current` is what stands there now."""

    code = "version_conflict"
    http_status = 409
    default_message = "It was changed meanwhile."
    cause = "Somebody changed the same thing first, or has the name already."
    cure = "Look at `current`, decide anew, and send it with the version that stands there."

    def __init__(self, current: Any, message: str | None = None) -> None:
        super().__init__(message)
        self.current = current

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "current": self.current}
