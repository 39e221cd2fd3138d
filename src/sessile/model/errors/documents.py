"""Errors about documents, their logs and their kinds."""

from __future__ import annotations

from typing import Any

from sessile.model.errors.root import SessileError


class DocumentNotFound(SessileError):
    """No such document, or it belongs to somebody else: the two answer alike."""

    code = "document_not_found"
    http_status = 404
    default_message = "There is no such document."
    cause = "The id or name is wrong, the document is archived, or somebody else's: these are not told apart."
    cure = "Open it by name, or look at `documents.list`. An anonymous visitor's documents come along at the log-in."


class CheckpointNotFound(SessileError):
    code = "checkpoint_not_found"
    http_status = 404
    default_message = "There is no such checkpoint of this document."
    cause = "It belongs to another document, or was removed by the rules of retention."
    cure = "List the checkpoints of the document. Manual ones are kept; `checkpoints_kept` bounds the others."


class ChangeRejected(SessileError):
    """A change made by server code was not applied. `detail` is the verdict's detail, `verdict_detail` in an answer."""

    code = "change_rejected"
    http_status = 409
    cause = "An operation does not fit the state, a policy or the kind; `detail` has code and path."
    cure = "Read the document again and make the change for what stands there now."

    def __init__(self, verdict: str, detail: dict[str, Any]) -> None:
        super().__init__(f"The change was not applied ({verdict}): {detail.get('message', detail.get('code', ''))}")
        self.verdict = verdict
        self.detail = detail

    def as_dict(self) -> dict[str, Any]:
        # RFC 9457 has a member `detail` of its own, which is a text.
        return {**super().as_dict(), "verdict": self.verdict, "verdict_detail": self.detail}


class ConflictNotFound(ChangeRejected):
    """A `resolve` of a conflict that is not open (any more)."""

    code = "conflict_not_found"
    http_status = 404
    cause = "Another device has resolved it, a restore closed it, or the id is wrong."
    cure = "Read the open conflicts again; there may be nothing left to decide."


def rejection(verdict: str, detail: dict[str, Any]) -> ChangeRejected:
    """The error that a verdict means which is neither applied nor noop."""
    kind = ConflictNotFound if detail.get("code") == ConflictNotFound.code else ChangeRejected
    return kind(verdict, detail)


class SchemaUnknown(SessileError):
    """This process does not know the document's kind in its version, so it could not tell a valid change from another. Reading works.
    Another process, or the next release, may know it: changes wait."""

    code = "schema_unknown"
    http_status = 409
    retryable = True
    cause = "A process of an older release, or one without `documents`, met a document of a newer kind."
    cure = "Start it with the module that declares the kind, in that version or a later one."

    def __init__(self, schema_name: str, schema_version: int | None) -> None:
        version = "" if schema_version is None else f" in version {schema_version}"
        super().__init__(
            f"The document kind {schema_name}{version} is not known here; such documents can only be read."
        )
        self.schema_name = schema_name
        self.schema_version = schema_version

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "schema_name": self.schema_name, "schema_version": self.schema_version}


class SchemaUpgradeFailed(SessileError):
    """The document is still of an older version of its kind, and bringing it up to date failed. It can be read as it is, and not be changed."""

    code = "schema_upgrade_failed"
    http_status = 409
    cause = "The upgrade function raised, is missing for a version, or made a state that does not fit."
    cure = "Correct the upgrade; its traceback is in the log. The next write tries again."

    def __init__(self, schema_name: str, from_version: int, problem: str) -> None:
        super().__init__(f"The document could not be upgraded from version {from_version} of {schema_name}: {problem}")
        self.schema_name = schema_name
        self.from_version = from_version

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "schema_name": self.schema_name, "from_version": self.from_version}


class VersionNotKept(SessileError):
    """The log was shortened behind this version. `oldest_version` is the first that can still be rebuilt; checkpoints stay reachable by id."""

    code = "version_not_kept"
    http_status = 410
    cause = "The log is kept for `log_retention_d` and `log_versions_kept`; this version is older."
    cure = "Take the nearest checkpoint, or a version from `oldest_version` on."

    def __init__(self, oldest_version: int) -> None:
        super().__init__(f"The history of this document goes back to version {oldest_version}.")
        self.oldest_version = oldest_version

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "oldest_version": self.oldest_version}


class ExportDamaged(SessileError):
    """An exported document whose hash, log or values do not fit together. Nothing of it was imported."""

    code = "export_damaged"
    http_status = 422
    cause = "The file was cut short, edited, or is not an export."
    cure = "Export again. Edit the document after the import, not the file."

    def __init__(self, problem: str) -> None:
        super().__init__(f"The exported document is damaged: {problem}")


class SequenceGap(SessileError):
    """The device skipped a sequence number; `expected_seq` is the one to go on with."""

    code = "gap"
    http_status = 409
    retryable = True
    cause = "A change of the device was lost or overtaken on the way."
    cure = "The clients do it by themselves: send again from `expected_seq`."

    def __init__(self, expected_seq: int) -> None:
        super().__init__(f"The next change of this device must have seq {expected_seq}.")
        self.expected_seq = expected_seq

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "expected_seq": self.expected_seq}


class IdentityReused(SessileError):
    """The same (device, seq) came with other operations: two browsers share one device id. Take a new one and resubmit."""

    code = "identity_reused"
    http_status = 409
    cause = "A browser profile or an outbox file was copied."
    cure = "The clients do it by themselves: a new device id, and everything unanswered once more."

    def __init__(self, expected_seq: int) -> None:
        super().__init__("This device id and seq were used for another change. Take a new device id and resubmit.")
        self.expected_seq = expected_seq
