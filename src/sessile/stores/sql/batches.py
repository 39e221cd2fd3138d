"""A batch of changes in few statements: what it holds, what it reads around that, and what it writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from sessile.model.batch import Progress, Surroundings
from sessile.model.document import Conflict, Document, DocumentDevice, LoggedChange
from sessile.model.errors import VersionConflict
from sessile.model.session import Lifetime
from sessile.stores.sql import records
from sessile.stores.sql.documents import SqlDocumentRows
from sessile.stores.sql.drivers import Driver, Taken, driver_of

Held = tuple[dict[str, Lifetime], dict[str, Document]]


class SqlBatchRows(SqlDocumentRows, ABC):
    """Documents, many at once. Its statements go to the driver directly."""

    _by_id: str
    _by_id_locked: str
    _devices: str
    """Devices of documents, and in a last column whether the document has open conflicts."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._made: Driver | None = None

    @property
    def _driver(self) -> Driver:
        if self._made is None:  # few transactions need one
            self._made = driver_of(self._connection)
        return self._made

    @abstractmethod
    def hold(self, session_ids: Sequence[str], document_ids: Sequence[str], *, with_state: bool) -> Held:
        """See `Transaction.hold`."""

    def get_many(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, Document]:
        if not document_ids:
            return {}
        rows = self._driver.fetch(self._by_id_locked if lock else self._by_id, list(document_ids))
        return {row[0]: records.document(row) for row in rows}

    def surroundings(self, after: Mapping[str, int | None]) -> dict[str, Surroundings]:
        if not after:
            return {}
        devices: dict[str, list[DocumentDevice]] = {document_id: [] for document_id in after}
        quiet: set[str] = set()
        for row in self._driver.fetch(self._devices, list(after)):
            *values, has_conflicts = row
            devices[row[0]].append(records.device(values))
            if not has_conflicts:
                quiet.add(row[0])
        # A document without devices has no row that could tell.
        conflicts = {key: self.open_conflicts(key) for key in after if key not in quiet}
        nothing: list[Conflict] = []
        logs = self._logs({key: version for key, version in after.items() if version is not None})
        return {key: Surroundings(logs.get(key, ()), devices[key], conflicts.get(key, nothing)) for key in after}

    def _logs(self, after: Mapping[str, int]) -> Mapping[str, Sequence[LoggedChange]]:
        return {document_id: self.changes(document_id, after=version) for document_id, version in after.items()}

    def record(self, progress: Sequence[Progress]) -> None:
        if not progress:
            return
        logged = [change for one in progress for change in one.logged]
        try:
            self._write(logged, progress, [device for one in progress for device in one.devices])
        except Taken as error:
            versions = [change.version for change in logged]
            raise VersionConflict({"versions": versions}, "One of these changes is in the log already.") from error
        conflicts = [conflict for one in progress for conflict in one.conflicts]
        if conflicts:
            self.put_conflicts(conflicts)

    @abstractmethod
    def _write(
        self, logged: Sequence[LoggedChange], progress: Sequence[Progress], marked: Sequence[DocumentDevice]
    ) -> None:
        """Raises Taken."""


def names(table: Table, alias: str = "", *, without: str = "") -> str:
    """All columns of the table that are written, in their order; NULL for one to be left out."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(
        "NULL" if column.name == without else f'{prefix}"{column.name}"'
        for column in table.columns
        if column.computed is None
    )


LIFETIME = "session_id, idle_expires_at, absolute_expires_at, ended_at, end_reason"
HAS_CONFLICTS = "EXISTS (SELECT 1 FROM conflicts c WHERE c.document_id = d.document_id AND c.status = 'open')"
