"""Document rows, their log, devices and conflicts. Checkpoints are in `checkpoints`, where logs begin in `history`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from sessile.model.document import (
    ABSENT,
    Conflict,
    Document,
    DocumentDevice,
    LoggedChange,
    Owner,
    Verdict,
)
from sessile.model.errors import VersionConflict
from sessile.stores.sql.dialects import put, upsert
from sessile.stores.sql.history import SqlHistoryRows
from sessile.stores.sql.records import (
    before_from,
    before_to,
    conflict_from,
    conflict_from_json,
    conflict_to_json,
    conflict_values,
)
from sessile.stores.sql.tables import changes, conflicts, document_devices, documents
from sessile.stores.sql.types import EPOCH

_COLUMNS: Final = [column for column in documents.columns if column.computed is None]
_HOUR: Final = timedelta(hours=1)
_GET = select(*_COLUMNS).where(documents.c.document_id == bindparam("document_id"))
_VERSION = select(documents.c.document_id, documents.c.version).where(
    documents.c.document_id == bindparam("document_id")
)
_VERSION_LOCKED = _VERSION.with_for_update(key_share=True)
_CHANGES = (
    select(changes)
    .where(changes.c.document_id == bindparam("document_id"), changes.c.version > bindparam("after"))
    .order_by(changes.c.version)
)
_DEVICES = (
    select(document_devices)
    .where(document_devices.c.document_id == bindparam("document_id"))
    .order_by(document_devices.c.device_no)
)
_DEVICE = select(document_devices).where(
    document_devices.c.document_id == bindparam("document_id"), document_devices.c.device_id == bindparam("device_id")
)
_OPEN_CONFLICTS = (
    select(conflicts)
    .where(conflicts.c.document_id == bindparam("document_id"), conflicts.c.status == "open")
    .order_by(conflicts.c.opened_at, conflicts.c.conflict_id)
)
_RECORD: Final = (
    "name", "schema_name", "schema_version", "version", "checkpoint_version", "epoch", "generation", "status", "updated_at",
    "last_activity_at",
)  # fmt: skip


def _update(columns: Sequence[str]) -> Any:
    values = {column: bindparam(f"new_{column}", type_=documents.c[column].type) for column in columns}
    return update(documents).where(documents.c.document_id == bindparam("of_document")).values(values)


_UPDATE = _update((*_RECORD, "owner_user_id", "owner_session_id"))
_UPDATE_WITH_STATE = _update((*_RECORD, "owner_user_id", "owner_session_id", "state", "state_version"))


class SqlDocumentRows(SqlHistoryRows):
    def get(self, document_id: str) -> Document | None:
        row = self._connection.execute(_GET, {"document_id": document_id}).one_or_none()
        return None if row is None else _document(row)

    def versions(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, int]:
        statement = _VERSION_LOCKED if lock else _VERSION
        found = (
            self._connection.execute(statement, {"document_id": document_id}).one_or_none()
            for document_id in sorted(set(document_ids))
        )
        return {row.document_id: row.version for row in found if row is not None}

    def by_name(self, owner: Owner, name: str) -> Document | None:
        statement = _of(owner).where(documents.c.status == "active", documents.c.name == name)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _document(row)

    def of_owner(self, owner: Owner, *, status: str | None = "active") -> list[Document]:
        statement = _of(owner).order_by(documents.c.last_activity_at.desc(), documents.c.document_id)
        if status is not None:
            statement = statement.where(documents.c.status == status)
        return [_document(row) for row in self._connection.execute(statement)]

    def ids_of_owner(self, owner: Owner, *, after: str = "", limit: int) -> list[str]:
        statement = _of(owner).with_only_columns(documents.c.document_id).where(documents.c.document_id > after)
        return list(self._connection.execute(statement.order_by(documents.c.document_id).limit(limit)).scalars())

    def delete(self, document_ids: Sequence[str]) -> None:
        for document_id in sorted(document_ids):  # what belongs to it goes with it: ON DELETE CASCADE
            self._connection.execute(delete(documents).where(documents.c.document_id == document_id))

    def insert(self, document: Document) -> None:
        values = {
            **_record(document),
            "document_id": document.document_id,
            "state": document.state,
            "state_version": document.state_version,
            "created_at": document.created_at,
        }
        # Not an error of the database, which would end the transaction: who comes second may go on with what the first one made.
        statement = upsert(self._connection, documents).on_conflict_do_nothing().returning(documents.c.document_id)
        if self._connection.execute(statement, values).first() is None:
            raise VersionConflict({"name": document.name}, "There is another document of that name.")

    def update(self, documents: Sequence[Document], *, with_state: Sequence[bool]) -> None:
        for document, state in zip(documents, with_state, strict=True):
            values = {f"new_{column}": value for column, value in _record(document).items()}
            values["of_document"] = document.document_id
            if state:
                values |= {"new_state": document.state, "new_state_version": document.state_version}
            try:
                self._connection.execute(_UPDATE_WITH_STATE if state else _UPDATE, values)
            except IntegrityError as error:  # the name was free when somebody looked
                raise VersionConflict({"name": document.name}, "There is another document of that name.") from error

    def needing_checkpoint(self, active_since: datetime, limit: int) -> list[str]:
        statement = (
            select(documents.c.document_id)
            .where(
                documents.c.active_hour >= (active_since - EPOCH) // _HOUR,
                documents.c.last_activity_at >= active_since,
                documents.c.version > documents.c.checkpoint_version,
                documents.c.status == "active",
            )
            .order_by(documents.c.document_id)
            .limit(limit)
        )
        return list(self._connection.execute(statement).scalars())

    # -- the log --------------------------------------------------------------------------------------------------------------------

    def changes(self, document_id: str, *, after: int, limit: int | None = None) -> list[LoggedChange]:
        statement = _CHANGES if limit is None else _CHANGES.limit(limit)
        return [
            change_of(row) for row in self._connection.execute(statement, {"document_id": document_id, "after": after})
        ]

    def recent_changes(self, document_id: str, *, before: int | None, limit: int) -> list[LoggedChange]:
        statement = (
            select(changes).where(changes.c.document_id == document_id).order_by(changes.c.version.desc()).limit(limit)
        )
        if before is not None:
            statement = statement.where(changes.c.version < before)
        return [change_of(row) for row in self._connection.execute(statement)]

    def change_of_device(self, document_id: str, device_id: str, seq: int) -> LoggedChange | None:
        statement = select(changes).where(
            changes.c.document_id == document_id, changes.c.device_id == device_id, changes.c.seq == seq
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else change_of(row)

    def change_by_key(self, document_id: str, idempotency_key: str) -> LoggedChange | None:
        statement = select(changes).where(
            changes.c.document_id == document_id, changes.c.idempotency_key == idempotency_key
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else change_of(row)

    def insert_changes(self, changes: Sequence[LoggedChange]) -> None:
        if not changes:
            return
        try:
            self._connection.execute(_INSERT_CHANGE, [change_values(change) for change in changes])
        except IntegrityError as error:
            versions = [change.version for change in changes]
            raise VersionConflict({"versions": versions}, "One of these changes is in the log already.") from error

    # -- devices and conflicts ------------------------------------------------------------------------------------------------------

    def devices(self, document_id: str) -> list[DocumentDevice]:
        rows = self._connection.execute(_DEVICES, {"document_id": document_id})
        return [DocumentDevice(**row._asdict()) for row in rows]

    def device(self, document_id: str, device_id: str) -> DocumentDevice | None:
        values = {"document_id": document_id, "device_id": device_id}
        row = self._connection.execute(_DEVICE, values).one_or_none()
        return None if row is None else DocumentDevice(**row._asdict())

    def put_devices(self, devices: Sequence[DocumentDevice]) -> None:
        if devices:
            statement = put(self._connection, document_devices, ("document_id", "device_id"))
            self._connection.execute(statement, [_device_values(device) for device in devices])

    def open_conflicts(self, document_id: str) -> list[Conflict]:
        rows = self._connection.execute(_OPEN_CONFLICTS, {"document_id": document_id})
        return [conflict_from({**row._asdict(), "opened_at": row.opened_at}) for row in rows]

    def put_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        # Resolved ones first: their paths must be free before a new conflict opens on one.
        statement = put(self._connection, _CONFLICTS, ("conflict_id",))
        for conflict in sorted(conflicts, key=lambda conflict: conflict.status == "open"):
            self._connection.execute(statement, conflict_values(conflict))


_INSERT_CHANGE = insert(changes)
_CONFLICTS = conflicts


def _of(owner: Owner) -> Select[Any]:
    statement = select(*_COLUMNS)
    if owner.user_id is not None:
        return statement.where(documents.c.owner_user_id == owner.user_id)
    return statement.where(documents.c.owner_session_id == owner.session_id)


def _record(document: Document) -> dict[str, Any]:
    return {
        **{column: getattr(document, column) for column in _RECORD},
        "owner_user_id": document.owner.user_id,
        "owner_session_id": document.owner.session_id,
    }


def _document(row: Row[Any]) -> Document:
    values = row._asdict()
    owner = Owner(values.pop("owner_user_id"), values.pop("owner_session_id"))
    return Document(owner=owner, **values)


def _device_values(device: DocumentDevice) -> dict[str, Any]:
    return {column.name: getattr(device, column.name) for column in document_devices.columns}


def change_values(change: LoggedChange) -> dict[str, Any]:
    return {
        "document_id": change.document_id,
        "version": change.version,
        "generation": change.generation,
        "base_version": change.base_version,
        "operations": list(change.operations),
        "operations_hash": change.operations_hash,
        "verdict": str(change.verdict),
        "detail": ABSENT if change.detail is None else change.detail,
        "device_id": change.device_id,
        "device_no": change.device_no,
        "seq": change.seq,
        "idempotency_key": change.idempotency_key,
        "before": before_to(change.before),
        "conflicts": [conflict_to_json(conflict) for conflict in change.conflicts],
        "resolved": list(change.resolved),
        "state_hash": change.state_hash,
        "session_id": change.session_id,
        "created_at": change.created_at,
    }


def change_of(row: Row[Any]) -> LoggedChange:
    values = row._asdict()
    values["verdict"] = Verdict(values["verdict"])
    values["detail"] = None if values["detail"] is ABSENT else values["detail"]
    values["before"] = before_from(values["before"])
    values["conflicts"] = [conflict_from_json(item) for item in values["conflicts"]]
    return LoggedChange(**values)
