"""Documents of a kind: which one holds, and old states brought to its present version, on read for show and on write for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec

from sessile.model.canonical import state_hash
from sessile.model.change_format import check_value
from sessile.model.difference import differences
from sessile.model.document import Document, LoggedChange, State, Verdict
from sessile.model.errors import (
    ChangeRejected,
    DocumentTooLarge,
    InvalidChange,
    SchemaUnknown,
    SchemaUpgradeFailed,
)
from sessile.model.kind import KindRules, Kinds
from sessile.model.limits import HASH_EVERY_VERSIONS, STATE_BYTES_MAX
from sessile.model.merge import SchemaFault, kept_value

UPGRADED: Final = "schema_upgraded"
"""The code in the detail of the log's line that brought a document to another version of its kind."""


def for_new(kinds: Kinds, name: str, kind: str | None) -> KindRules | None:
    """The kind of a document that is made under this name; None for a free one. Raises SchemaUnknown, InvalidChange when the name belongs
    to another kind."""
    claimed = kinds.of_name(name)
    if kind is None:
        return claimed
    if claimed is not None and claimed.name != kind:
        raise InvalidChange("/kind", f"documents of this name are of the kind {claimed.name}")
    return kinds.named(kind)


def check_name_of_kind(kinds: Kinds, name: str, schema_name: str) -> None:
    """A document cannot come to a name that belongs to another kind by a detour. Raises InvalidChange."""
    claimed = kinds.of_name(name)
    if claimed is not None and claimed.name != schema_name:
        raise InvalidChange("/name", f"documents of this name are of the kind {claimed.name}")


def check_new_state(rules: KindRules | None, state: State, at: str) -> None:
    """Raises DocumentTooLarge, InvalidChange with the path of the fault, or ChangeRejected when the kind's check itself failed."""
    largest = STATE_BYTES_MAX if rules is None else rules.state_bytes_max
    if len(msgspec.json.encode(state)) > largest:
        raise DocumentTooLarge(f"The state is larger than {largest} bytes.")
    fault = rules.check(state) if rules is not None else None
    if fault is None:
        return
    if fault.code == "schema":
        raise InvalidChange(at + fault.path, fault.message)
    raise rejected(fault)


def rejected(fault: SchemaFault) -> ChangeRejected:
    return ChangeRejected(str(Verdict.REJECTED), {"code": fault.code, "message": fault.message, "path": fault.path})


def as_shown(kinds: Kinds, document: Document) -> Document:
    """As readers get it: in the present version of its kind where that can be had, otherwise as it is stored."""
    try:
        rules = kinds.of_schema(document.schema_name, document.schema_version)
        if rules is None or rules.version == document.schema_version:
            return document
        state = upgraded_state(rules, document.state, document.schema_version)
    except (SchemaUnknown, SchemaUpgradeFailed):
        return document
    return replace(document, state=state, schema_version=rules.version)


def brought_up_to_date(
    rules: KindRules | None, document: Document, now: datetime
) -> tuple[Document, LoggedChange | None]:
    """For who is about to change the document: it in the present version of its kind, and the log's line that makes it so, which the caller
    writes. Raises SchemaUpgradeFailed."""
    if rules is None or rules.version == document.schema_version:
        return document, None
    state, version = upgraded_state(rules, document.state, document.schema_version), document.version + 1
    line = LoggedChange(
        document_id=document.document_id,
        version=version,
        generation=document.generation,
        base_version=document.version,
        operations=[{"op": "replace", "value": state}],
        verdict=Verdict.APPLIED,
        detail={"code": UPGRADED, "message": "", "from": document.schema_version, "to": rules.version},
        before=[(found.path, kept_value(found.current)) for found in differences(document.state, state)],
        state_hash=state_hash(state) if version % HASH_EVERY_VERSIONS == 0 else None,
        created_at=now,
    )
    return replace(document, state=state, version=version, schema_version=rules.version, updated_at=now), line


def upgraded_state(rules: KindRules, state: State, from_version: int) -> State:
    """A state in the kind's present version. Raises SchemaUpgradeFailed, also for a result that does not fit the kind."""
    if from_version == rules.version:
        return state
    try:
        upgraded: Any = check_value(rules.upgrade(state, from_version), "")
    except InvalidChange as error:
        raise SchemaUpgradeFailed(rules.name, from_version, error.message) from None
    if not isinstance(upgraded, dict):
        raise SchemaUpgradeFailed(rules.name, from_version, "the result is not an object")
    if len(msgspec.json.encode(upgraded)) > rules.state_bytes_max:
        raise SchemaUpgradeFailed(rules.name, from_version, f"the result is larger than {rules.state_bytes_max} bytes")
    fault = rules.check(upgraded)
    if fault is not None:
        raise SchemaUpgradeFailed(rules.name, from_version, f"{fault.path or '(whole state)'}: {fault.message}")
    return upgraded


def touched_at(line: LoggedChange) -> int:
    """The version from which on a writer has seen what a line of the log did. Readers of the version before an upgrade were shown the
    upgraded state already, and what it overwrote follows from what they had: nobody collides with it who was there."""
    is_upgrade = line.detail is not None and line.detail.get("code") == UPGRADED
    return line.version - 1 if is_upgrade else line.version


def schema_version_after(line: LoggedChange, schema_version: int) -> int:
    """The version of the kind that a state is in after this line of the log."""
    if line.detail is not None and line.detail.get("code") == UPGRADED:
        return int(line.detail["to"])
    return schema_version
