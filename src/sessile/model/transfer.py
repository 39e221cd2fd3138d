"""A document as one JSON value, and back. What comes back is checked like anything from outside: it may have been damaged, or made up.

Who wrote a change is told by `device_no` only: ids of devices and sessions and idempotency keys stay where they were made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta

from sessile.model.canonical import digest, state_hash
from sessile.model.change_format import check_value, parse_operations
from sessile.model.document import (
    ABSENT,
    Checkpoint,
    CheckpointKind,
    Conflict,
    ConflictReason,
    Document,
    LogBase,
    LoggedChange,
    Operation,
    State,
    Verdict,
)
from sessile.model.errors import ExportDamaged, InvalidChange
from sessile.model.limits import (
    EXPORTED_CHANGES_MAX,
    EXPORTED_CHECKPOINTS_MAX,
    LABEL_LENGTH_MAX,
    NAME_LENGTH_MAX,
    OPEN_CONFLICTS_MAX,
    STATE_BYTES_MAX,
)
from sessile.model.pointer import parse

FORMAT: Final = "sessile.document.1"
_Count = Annotated[int, Meta(ge=0, le=2**48)]
"""Versions of an imported document leave room to go on counting."""
_Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Schema = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Moment = Annotated[datetime, Meta(tz=True)]
_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
    schema_name: Annotated[str, Meta(max_length=NAME_LENGTH_MAX)]
    schema_version: _Schema
    version: _Count
    generation: _Count
    created_at: _Moment
    updated_at: _Moment
    state: dict[str, Any]


class _Base(msgspec.Struct, frozen=True, kw_only=True):
    version: _Count
    generation: _Count
    schema_version: _Schema
    state: dict[str, Any]


class _Conflict(msgspec.Struct, frozen=True, kw_only=True):
    conflict_id: Annotated[str, Meta(min_length=1, max_length=64)]
    path: Annotated[str, Meta(max_length=16_384)]
    reason: ConflictReason
    base: Any = UNSET
    winner: Any = UNSET
    loser: Any = UNSET
    winner_device_no: _Number
    loser_device_no: _Number
    version: _Count
    opened_at: _Moment


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    version: _Count
    generation: _Count
    base_version: _Count
    operations: list[dict[str, Any]]
    verdict: Verdict
    detail: dict[str, Any] | None
    device_no: _Number
    before: list[Annotated[list[Any], Meta(min_length=1, max_length=2)]]
    conflicts: list[_Conflict]
    resolved: list[str]
    state_hash: _Hash | None
    created_at: _Moment


class _Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    version: _Count
    generation: _Count
    kind: CheckpointKind
    label: Annotated[str, Meta(max_length=LABEL_LENGTH_MAX)]
    step: _Count | None
    device_no: _Number | None
    schema_version: _Schema
    created_at: _Moment
    state: dict[str, Any]


class _Export(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    document: _Document
    base: _Base
    log: Annotated[list[_Change], Meta(max_length=EXPORTED_CHANGES_MAX)]
    checkpoints: Annotated[list[_Checkpoint], Meta(max_length=EXPORTED_CHECKPOINTS_MAX)]
    conflicts: Annotated[list[_Conflict], Meta(max_length=OPEN_CONFLICTS_MAX)]
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an export holds, with new ids. Nothing of it has been followed yet: that the log leads from `base` to the state is for the
    engine to see."""

    name: str
    schema_name: str
    schema_version: int
    version: int
    generation: int
    created_at: datetime
    state: State
    base: LogBase
    log: Sequence[LoggedChange]
    checkpoints: Sequence[Checkpoint]
    conflicts: Sequence[Conflict]


def exported(
    document: Document,
    base: LogBase,
    log: Sequence[LoggedChange],
    checkpoints: Sequence[Checkpoint],
    conflicts: Sequence[Conflict],
) -> dict[str, Any]:
    """A JSON value. `hash` is the SHA-256 of the canonical form (RFC 8785) of everything else: it shows damage, it is no signature."""
    content = {
        "format": FORMAT,
        "document": {
            **_fields(document, "name", "schema_name", "schema_version", "version", "generation", "state"),
            "created_at": document.created_at.isoformat(),
            "updated_at": document.updated_at.isoformat(),
        },
        "base": _fields(base, "version", "generation", "schema_version", "state"),
        "log": [_change_out(change) for change in log],
        "checkpoints": [
            {
                **_fields(checkpoint, "version", "generation", "label", "step", "device_no", "schema_version", "state"),
                "kind": str(checkpoint.kind),
                "created_at": checkpoint.created_at.isoformat(),
            }
            for checkpoint in checkpoints
        ],
        "conflicts": [_conflict_out(conflict) for conflict in conflicts],
    }
    return {**content, "hash": digest(content).hex()}


def imported(raw: Mapping[str, Any], document_id: str, new_id: Callable[[], str]) -> Imported:
    """Raises ExportDamaged for what `exported` did not make, or what was changed since."""
    try:
        whole = digest({key: value for key, value in raw.items() if key != "hash"}).hex()
    except (TypeError, AttributeError, RecursionError, UnicodeError):
        raise ExportDamaged("it is not a JSON object") from None
    if raw.get("format") != FORMAT:
        raise ExportDamaged(f"its format is not {FORMAT}")
    if raw.get("hash") != whole:
        raise ExportDamaged("its hash does not fit its content")
    try:
        export = msgspec.convert(raw, _Export)
        return _Reader(document_id, new_id).read(export)
    except msgspec.ValidationError as error:
        raise ExportDamaged(str(error)) from None
    except (InvalidChange, ValueError, OverflowError) as error:
        raise ExportDamaged(str(error)) from None


class _Reader:
    """Records from structs: values checked, ids of conflicts replaced by new ones, the same one everywhere."""

    def __init__(self, document_id: str, new_id: Callable[[], str]) -> None:
        self._document_id = document_id
        self._new_id = new_id
        self._conflict_ids: dict[str, str] = {}

    def read(self, export: _Export) -> Imported:
        document, base = export.document, export.base
        first, last = base.version, document.version
        if [change.version for change in export.log] != list(range(first + 1, last + 1)):
            raise ValueError("the log is not contiguous")
        if len({conflict.path for conflict in export.conflicts}) != len(export.conflicts):
            raise ValueError("two open conflicts have one path")
        if any(checkpoint.version > last for checkpoint in export.checkpoints):
            raise ValueError("a checkpoint is ahead of the document")
        return Imported(
            name=document.name,
            schema_name=document.schema_name,
            schema_version=document.schema_version,
            version=last,
            generation=document.generation,
            created_at=_utc(document.created_at),
            state=_state(document.state, "/document/state"),
            base=LogBase(
                document_id=self._document_id,
                version=first,
                generation=base.generation,
                schema_version=base.schema_version,
                state=_state(base.state, "/base/state"),
            ),
            log=[self._change(change, f"/log/{index}") for index, change in enumerate(export.log)],
            checkpoints=[self._checkpoint(c, f"/checkpoints/{index}") for index, c in enumerate(export.checkpoints)],
            conflicts=[self._conflict(c, f"/conflicts/{index}") for index, c in enumerate(export.conflicts)],
        )

    def _change(self, change: _Change, at: str) -> LoggedChange:
        before = []
        for path, *value in change.before:
            parse(_text(path))
            before.append((path, check_value(value[0], f"{at}/before") if value else ABSENT))
        return LoggedChange(
            document_id=self._document_id,
            version=change.version,
            generation=change.generation,
            base_version=change.base_version,
            operations=[self._operation(operation, f"{at}/operations") for operation in change.operations],
            verdict=change.verdict,
            detail=check_value(change.detail, f"{at}/detail"),
            device_no=change.device_no,
            before=before,
            conflicts=[self._conflict(conflict, f"{at}/conflicts") for conflict in change.conflicts],
            resolved=[self._conflict_id(conflict_id) for conflict_id in change.resolved],
            state_hash=change.state_hash,
            created_at=_utc(change.created_at),
        )

    def _operation(self, operation: dict[str, Any], at: str) -> Operation:
        if operation.get("op") == "replace":
            return {"op": "replace", "value": _state(operation.get("value"), at)}
        parsed = parse_operations([operation], at)[0]
        if parsed["op"] == "resolve":
            return {**parsed, "conflict_id": self._conflict_id(parsed["conflict_id"])}
        return parsed

    def _conflict(self, conflict: _Conflict, at: str) -> Conflict:
        parse(conflict.path)
        values: dict[str, Any] = {
            side: ABSENT if getattr(conflict, side) is UNSET else check_value(getattr(conflict, side), f"{at}/{side}")
            for side in ("base", "winner", "loser")
        }
        return Conflict(
            conflict_id=self._conflict_id(conflict.conflict_id),
            document_id=self._document_id,
            path=conflict.path,
            reason=conflict.reason,
            winner_device_no=conflict.winner_device_no,
            loser_device_no=conflict.loser_device_no,
            version=conflict.version,
            opened_at=_utc(conflict.opened_at),
            **values,
        )

    def _conflict_id(self, old: str) -> str:
        if old not in self._conflict_ids:
            self._conflict_ids[old] = self._new_id()
        return self._conflict_ids[old]

    def _checkpoint(self, checkpoint: _Checkpoint, at: str) -> Checkpoint:
        return Checkpoint(
            checkpoint_id=self._new_id(),
            document_id=self._document_id,
            version=checkpoint.version,
            generation=checkpoint.generation,
            kind=checkpoint.kind,
            label=_text(checkpoint.label),
            step=checkpoint.step,
            device_no=checkpoint.device_no,
            schema_version=checkpoint.schema_version,
            created_at=_utc(checkpoint.created_at),
            state=_state(checkpoint.state, f"{at}/state"),
        )


def check_hash(change: LoggedChange, state: State) -> None:
    """Raises ExportDamaged when the state behind a line is not the one that the line was written with."""
    if change.state_hash is not None and change.state_hash != state_hash(state):
        raise ExportDamaged(f"the state at version {change.version} is not the one of the log")


def _state(value: Any, at: str) -> State:
    if not isinstance(value, dict):
        raise InvalidChange(at, "a state is an object")
    state: State = check_value(value, at)
    if len(msgspec.json.encode(state)) > STATE_BYTES_MAX:
        raise InvalidChange(at, f"a state has at most {STATE_BYTES_MAX} bytes")
    return state


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidChange("", "a path or label is text")
    value.encode()
    return value


def _fields(record: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _change_out(change: LoggedChange) -> dict[str, Any]:
    return {
        **_fields(change, "version", "generation", "base_version", "device_no", "state_hash"),
        "operations": [dict(operation) for operation in change.operations],
        "verdict": str(change.verdict),
        "detail": None if change.detail is None else dict(change.detail),
        "before": [[path] if value is ABSENT else [path, value] for path, value in change.before],
        "conflicts": [_conflict_out(conflict) for conflict in change.conflicts],
        "resolved": list(change.resolved),
        "created_at": change.created_at.isoformat(),
    }


def _conflict_out(conflict: Conflict) -> dict[str, Any]:
    sides = {side: getattr(conflict, side) for side in ("base", "winner", "loser")}
    return {
        **_fields(conflict, "conflict_id", "path", "winner_device_no", "loser_device_no", "version"),
        **{side: value for side, value in sides.items() if value is not ABSENT},
        "reason": str(conflict.reason),
        "opened_at": conflict.opened_at.isoformat(),
    }
